/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "ring.h"
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define RING_BLOCKS 128 /* of all streams together: 32 MiB */
#define RETIRE_MS 50    /* a block is handed over after this long at the latest */

static int refused(const struct kt_live *l, const char *what, struct kt_error *err)
{
    int e = errno;
    if (e == EPERM || e == EACCES)
        return kt_fail(err, KT_EPERM, 0,
                       "%s: capturing needs the right CAP_NET_RAW (run as root, or setcap "
                       "cap_net_raw+ep on the program)",
                       l->name);
    return kt_fail_errno(err, e, "%s: %s", l->name, what);
}

/* What the frames begin with. A device with a link layer of its own kind is read without it: what
 * it carries then begins with an IP header. */
static int open_socket(struct kt_live *l, struct kt_error *err)
{
    struct ifreq req = {0};
    snprintf(req.ifr_name, sizeof req.ifr_name, "%s", l->name);
    int probe = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int rc = ioctl(probe, SIOCGIFHWADDR, &req);
    if (probe >= 0)
        close(probe);
    if (rc < 0)
        return refused(l, "cannot ask for its type", err);
    int type = SOCK_RAW;
    l->link = KT_LINK_ETHERNET;
    switch (req.ifr_hwaddr.sa_family) {
    case ARPHRD_LOOPBACK:
        l->loopback = true;
        break;
    case ARPHRD_ETHER:
        break;
    case ARPHRD_IEEE80211:
        l->link = KT_LINK_IEEE80211;
        break;
    case ARPHRD_IEEE80211_RADIOTAP:
        l->link = KT_LINK_RADIOTAP;
        break;
    default:
        l->link = KT_LINK_RAW;
        type = SOCK_DGRAM;
    }
    /* Protocol 0: nothing is received before everything is set. */
    l->fd = socket(AF_PACKET, type | SOCK_CLOEXEC, 0);
    return l->fd < 0 ? refused(l, "cannot open a packet socket", err) : KT_OK;
}

static int make_ring(struct kt_live *l, unsigned streams, struct kt_error *err)
{
    int version = TPACKET_V3, reserve = 4; /* room to put a VLAN tag back */
    if (setsockopt(l->fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version) < 0 ||
        setsockopt(l->fd, SOL_PACKET, PACKET_RESERVE, &reserve, sizeof reserve) < 0)
        return refused(l, "cannot set up a ring", err);
    unsigned n = RING_BLOCKS / (streams ? streams : 1);
    for (n = n < 16 ? 16 : n;; n /= 2) {
        struct tpacket_req3 req = {.tp_block_size = KT_RING_BLOCK,
                                   .tp_block_nr = n,
                                   .tp_frame_size = 2048,
                                   .tp_frame_nr = (unsigned)(KT_RING_BLOCK / 2048) * n,
                                   .tp_retire_blk_tov = RETIRE_MS};
        if (setsockopt(l->fd, SOL_PACKET, PACKET_RX_RING, &req, sizeof req) == 0)
            break;
        if (errno != ENOMEM || n <= 4)
            return refused(l, "cannot set up a ring", err);
    }
    l->block = calloc(n, sizeof *l->block);
    if (!l->block)
        return kt_fail(err, KT_ENOMEM, 0, "%s: no memory for a ring", l->name);
    void *map = mmap(NULL, n * KT_RING_BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, l->fd, 0);
    if (map == MAP_FAILED)
        return refused(l, "cannot map its ring", err);
    l->map = map;
    l->blocks = n;
    return KT_OK;
}

static int attach(struct kt_live *l, unsigned len, struct sock_filter *code, struct kt_error *err)
{
    struct sock_fprog prog = {.len = (unsigned short)len, .filter = code};
    if (setsockopt(l->fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof prog) < 0)
        return refused(l, "cannot attach the filter", err);
    return KT_OK;
}

/* The filter of the user; a snap length alone is a filter too. */
static int attach_filter(struct kt_live *l, const struct kt_source_options *opt,
                         struct kt_error *err)
{
    pcap_t *dead = pcap_open_dead(l->link == KT_LINK_RAW ? DLT_RAW : l->link,
                                  opt->snaplen ? (int)opt->snaplen : 262144);
    struct bpf_program prog;
    if (!dead)
        return kt_fail(err, KT_ENOMEM, 0, "%s: no memory for the filter", l->name);
    int rc;
    if (pcap_compile(dead, &prog, opt->filter ? opt->filter : "", 1, PCAP_NETMASK_UNKNOWN) < 0) {
        rc = kt_fail(err, KT_EINVAL, 0, "the filter '%s' is wrong: %s", opt->filter,
                     pcap_geterr(dead));
    } else {
        rc = attach(l, prog.bf_len, (struct sock_filter *)(void *)prog.bf_insns, err);
        pcap_freecode(&prog);
    }
    pcap_close(dead);
    return rc;
}

static int join_as(struct kt_live *l, const struct kt_source_options *opt, uint32_t how)
{
    uint32_t fanout = ((uint32_t)opt->fanout & 0xffff) | how << 16;
    return setsockopt(l->fd, SOL_PACKET, PACKET_FANOUT, &fanout, sizeof fanout);
}

/* The program may be unknown to the kernel (before 4.3): then its own hash must do. */
static int join_group(struct kt_live *l, const struct kt_source_options *opt)
{
    struct sock_filter code[1024];
    unsigned n = kt_fanout_program(code, KT_ARRAY_LEN(code), opt->streams,
                                   l->link == KT_LINK_RAW ? 0 : ETH_HLEN);
    struct sock_fprog prog = {.len = (unsigned short)n, .filter = code};
    if (l->link != KT_LINK_ETHERNET && l->link != KT_LINK_RAW)
        return join_as(l, opt, PACKET_FANOUT_HASH);
    if (join_as(l, opt, PACKET_FANOUT_CBPF) < 0)
        return errno == EINVAL ? join_as(l, opt, PACKET_FANOUT_HASH) : -1;
    return setsockopt(l->fd, SOL_PACKET, PACKET_FANOUT_DATA, &prog, sizeof prog);
}

/* Until the ring stands in its group a filter lets nothing in, or packets would be seen by two. */
static int bind_socket(struct kt_live *l, const struct kt_source_options *opt, struct kt_error *err)
{
    struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
    int rc = attach(l, 1, &nothing, err);
    if (rc < 0)
        return rc;
    struct sockaddr_ll to = {.sll_family = AF_PACKET,
                             .sll_protocol = __builtin_bswap16(ETH_P_ALL),
                             .sll_ifindex = (int)l->index};
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    to.sll_protocol = ETH_P_ALL;
#endif
    struct packet_mreq mode = {.mr_ifindex = (int)l->index, .mr_type = PACKET_MR_PROMISC};
    if (bind(l->fd, (struct sockaddr *)&to, sizeof to) < 0 ||
        setsockopt(l->fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &mode, sizeof mode) < 0)
        return refused(l, "cannot listen on it", err);
    if (opt->streams > 1 && join_group(l, opt) < 0)
        return refused(l, "cannot share it among the workers", err);
    if (opt->filter || opt->snaplen)
        return attach_filter(l, opt, err);
    int unused = 0;
    if (setsockopt(l->fd, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof unused) < 0)
        return refused(l, "cannot listen on it", err);
    return KT_OK;
}

uint64_t kt_live_missed(const struct kt_live *l)
{
    char path[160], text[32] = "";
    snprintf(path, sizeof path, "/sys/class/net/%s/statistics/rx_missed_errors", l->name);
    FILE *f = fopen(path, "re");
    if (!f)
        return 0;
    bool told = fgets(text, sizeof text, f) != NULL;
    fclose(f);
    return told ? strtoull(text, NULL, 10) : 0;
}

int kt_live_open(struct kt_live *l, const char *name, const struct kt_source_options *opt,
                 struct kt_error *err)
{
    l->fd = -1;
    l->wake = opt->wake;
    snprintf(l->name, sizeof l->name, "%s", name);
    l->index = if_nametoindex(name);
    if (l->index == 0)
        return kt_fail(err, KT_ENOTFOUND, 0, "%s: there is no interface of this name", name);
    int rc = open_socket(l, err);
    if (rc == KT_OK)
        rc = make_ring(l, opt->streams, err);
    if (rc == KT_OK)
        rc = bind_socket(l, opt, err);
    l->nic_before = kt_live_missed(l);
    return rc;
}

void kt_live_free(struct kt_live *l)
{
    if (l->map)
        munmap(l->map, l->blocks * KT_RING_BLOCK);
    if (l->fd >= 0)
        close(l->fd);
    free(l->block);
    free(l);
}
