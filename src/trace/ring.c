/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Live capture: AF_PACKET with TPACKET_V3. A block of the kernel's ring is handed on as it is, and
 * goes back to the kernel when the last packet in it is no longer needed. */
#include "ring.h"
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#define SILENCE_MS 100

static void drop_user(struct kt_live *l)
{
    if (__atomic_fetch_sub(&l->users, 1, __ATOMIC_ACQ_REL) == 1)
        kt_live_free(l);
}

static struct tpacket_block_desc *desc_of(const struct kt_block *b)
{
    return (struct tpacket_block_desc *)(void *)b->data;
}

/* Back to the kernel. */
static void recycle(struct kt_block *b)
{
    struct kt_live *l = b->owner;
    struct kt_live_block *lb = (struct kt_live_block *)(void *)b;
    __atomic_store_n(&desc_of(b)->hdr.bh1.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
    __atomic_store_n(&lb->taken, 0, __ATOMIC_RELEASE);
    drop_user(l);
}

static void count_lost(struct kt_live *l)
{
    struct tpacket_stats_v3 st; /* reading sets it back to zero */
    socklen_t len = sizeof st;
    if (getsockopt(l->fd, SOL_PACKET, PACKET_STATISTICS, &st, &len) == 0)
        kt_count_set(&l->lost_ring, l->lost_ring + st.tp_drops);
}

static void leave_block(struct kt_live *l)
{
    if (!l->open)
        return;
    kt_block_release(&l->open->block);
    l->open = NULL;
    l->left = 0;
    count_lost(l);
}

/* The next block, if the kernel has filled it. */
static bool enter_block(struct kt_live *l)
{
    struct kt_live_block *lb = &l->block[l->at];
    if (__atomic_load_n(&lb->taken, __ATOMIC_ACQUIRE))
        return false;
    uint8_t *data = l->map + l->at * KT_RING_BLOCK;
    lb->block =
        (struct kt_block){.data = data, .size = KT_RING_BLOCK, .recycle = recycle, .owner = l};
    struct tpacket_block_desc *desc = desc_of(&lb->block);
    if (!(__atomic_load_n(&desc->hdr.bh1.block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER))
        return false;
    lb->block.refs = 1;
    lb->taken = 1;
    __atomic_fetch_add(&l->users, 1, __ATOMIC_RELAXED);
    l->open = lb;
    l->left = desc->hdr.bh1.num_pkts;
    l->next = data + desc->hdr.bh1.offset_to_first_pkt;
    l->at = l->at + 1 == l->blocks ? 0 : l->at + 1;
    return true;
}

/* The kernel took the tag out of the frame: puts it back, in the room kept in front. */
static uint8_t *restore_vlan(uint8_t *data, const struct tpacket3_hdr *h)
{
    uint16_t type = h->tp_status & TP_STATUS_VLAN_TPID_VALID ? h->hv1.tp_vlan_tpid : ETH_P_8021Q;
    uint16_t tci = (uint16_t)h->hv1.tp_vlan_tci;
    uint8_t *at = data - 4;
    memmove(at, data, 12);
    at[12] = (uint8_t)(type >> 8);
    at[13] = (uint8_t)type;
    at[14] = (uint8_t)(tci >> 8);
    at[15] = (uint8_t)tci;
    return at;
}

static bool take_packet(const struct kt_live *l, const uint8_t *at, struct kt_packet *p)
{
    const struct tpacket3_hdr *h = (const void *)at;
    const struct sockaddr_ll *ll = (const void *)(at + TPACKET_ALIGN(sizeof *h));
    bool sent = ll->sll_pkttype == PACKET_OUTGOING;
    if (sent && l->loopback)
        return false; /* comes in a moment later as well */
    uint8_t *data = (uint8_t *)(uintptr_t)at + h->tp_mac;
    uint32_t caplen = h->tp_snaplen, wirelen = h->tp_len;
    bool tagged = h->tp_status & TP_STATUS_VLAN_VALID || h->hv1.tp_vlan_tci;
    if (tagged && l->link == KT_LINK_ETHERNET && caplen >= 12) {
        data = restore_vlan(data, h);
        caplen += 4;
        wirelen += 4;
    }
    p->data = data;
    p->ts = (int64_t)h->tp_sec * KT_SECOND + h->tp_nsec;
    p->caplen = caplen;
    p->wirelen = wirelen;
    p->link = l->link;
    p->iface = 0;
    p->flags = sent ? KT_PKT_TX : 0;
    p->hash = 0;
    return true;
}

static int gone(struct kt_live *l, struct kt_error *err)
{
    int e = 0;
    socklen_t len = sizeof e;
    getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &e, &len);
    char name[IF_NAMESIZE];
    if (!if_indextoname(l->index, name))
        return kt_fail(err, KT_EIO, 0, "%s: the interface is gone", l->name);
    if (e == ENETDOWN || e == 0) /* it may come up again */
        return KT_OK;
    return kt_fail_errno(err, e, "%s: capturing failed", l->name);
}

/* About 100 ms at most. */
static int wait(struct kt_live *l, struct kt_error *err)
{
    if (__atomic_load_n(&l->block[l->at].taken, __ATOMIC_ACQUIRE)) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL); /* all blocks are under way */
        return KT_OK;
    }
    struct pollfd p[2] = {{.fd = l->fd, .events = POLLIN | POLLERR},
                          {.fd = l->wake, .events = POLLIN}};
    int n = poll(p, l->wake ? 2 : 1, SILENCE_MS);
    if (n < 0 && errno != EINTR)
        return kt_fail_errno(err, errno, "%s: cannot wait for packets", l->name);
    if (n > 0 && p[0].revents & (POLLERR | POLLHUP | POLLNVAL)) {
        nanosleep(&(struct timespec){.tv_nsec = SILENCE_MS * 1000000}, NULL);
        return gone(l, err);
    }
    return KT_OK;
}

static int read_ring(struct kt_source *s, struct kt_batch *batch, struct kt_error *err)
{
    struct kt_live *l = s->own;
    if (l->left == 0)
        leave_block(l);
    if (!l->open && !enter_block(l)) {
        int rc = wait(l, err);
        if (rc < 0)
            return rc;
        if (!enter_block(l)) {
            count_lost(l);
            kt_count_set(&l->lost_nic, kt_live_missed(l) - l->nic_before);
            return KT_OK;
        }
    }
    for (; l->left > 0 && batch->n < KT_BATCH; l->left--) {
        const uint8_t *at = l->next;
        l->next = at + ((const struct tpacket3_hdr *)(const void *)at)->tp_next_offset;
        batch->n += take_packet(l, at, &batch->packet[batch->n]);
    }
    batch->block = &l->open->block;
    return KT_OK;
}

static int open_ring(struct kt_source *s, const char *what, const struct kt_source_options *opt,
                     struct kt_error *err)
{
    struct kt_live *l = calloc(1, sizeof *l);
    if (!l)
        return kt_fail(err, KT_ENOMEM, 0, "%s: no memory", what);
    int rc = kt_live_open(l, what, opt, err);
    if (rc < 0) {
        kt_live_free(l);
        return rc;
    }
    l->users = 1;
    s->own = l;
    return KT_OK;
}

static void stats(const struct kt_source *s, struct kt_trace_stats *st)
{
    const struct kt_live *l = s->own;
    st->lost_ring = kt_count_get(&l->lost_ring);
    st->lost_nic = kt_count_get(&l->lost_nic);
}

static void close_ring(struct kt_source *s)
{
    struct kt_live *l = s->own;
    if (!l)
        return;
    if (l->open)
        kt_block_release(&l->open->block);
    drop_user(l);
}

const struct kt_source_ops kt_source_ring = {
    .name = "ring",
    .summary = "a network interface, live (AF_PACKET)",
    .flags = KT_SOURCE_LIVE,
    .open = open_ring,
    .read = read_ring,
    .stats = stats,
    .close = close_ring,
};
