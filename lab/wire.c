/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * wire: a link between two interfaces, in user space, that can be slow, lossy, narrow or tagged.
 * It reads every frame of one interface and writes it to the other, both ways.
 *
 *     wire IF_A IF_B [--delay MS] [--jitter MS] [--loss PERCENT] [--rate KBIT] [--queue BYTES]
 *                    [--vlan ID] [--seed N] [--control FIFO]
 *
 * --vlan tags what goes from A to B and strips the tag of what comes back. The control FIFO takes
 * lines such as "delay 80 jitter 5 loss 3 rate 0"; what is named changes at once, both ways.
 * On SIGTERM or SIGINT it prints what it carried and ends.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { FRAME_MAX = 2048, TAG = 4, VLAN_TYPE = 0x8100 };

struct frame {
    struct frame *next;
    int64_t due;
    uint32_t len;
    uint8_t data[FRAME_MAX + TAG];
};

/* Frames under way in one direction, in the order in which they leave. */
struct lane {
    int in, out;
    int out_index;
    int push, pop; /* add or take away the VLAN tag */
    struct frame *first, *last;
    int64_t free_at; /* when the line has sent what it was given: the rate limit */
    uint64_t queued, carried, lost, full;
};

struct wire {
    double delay, jitter, loss, rate; /* ms, ms, percent, kbit/s (0: no limit) */
    uint64_t queue;                   /* bytes a lane may hold */
    unsigned vlan;
    uint64_t seed;
    struct lane lane[2];
};

static volatile sig_atomic_t stop;

static void on_signal(int signal_number)
{
    (void)signal_number;
    stop = 1;
}

static void die(const char *what)
{
    fprintf(stderr, "wire: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* splitmix64: a number in [0, 1). */
static double chance(struct wire *w)
{
    uint64_t z = (w->seed += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (double)((z ^ (z >> 31)) >> 11) / 9007199254740992.0;
}

static int open_interface(const char *name)
{
    int s = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_ALL));
    if (s < 0)
        die("socket");
    struct sockaddr_ll addr = {.sll_family = AF_PACKET,
                               .sll_protocol = htons(ETH_P_ALL),
                               .sll_ifindex = (int)if_nametoindex(name)};
    if (addr.sll_ifindex == 0 || bind(s, (struct sockaddr *)&addr, sizeof(addr)) < 0)
        die(name);
    struct packet_mreq promisc = {.mr_ifindex = addr.sll_ifindex, .mr_type = PACKET_MR_PROMISC};
    int on = 1, size = 8 << 20;
    if (setsockopt(s, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promisc, sizeof(promisc)) < 0 ||
        setsockopt(s, SOL_PACKET, PACKET_AUXDATA, &on, sizeof(on)) < 0)
        die(name);
    setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
    return s;
}

static void put_tag(struct frame *f, unsigned type, unsigned tci)
{
    memmove(f->data + 16, f->data + 12, f->len - 12);
    const uint8_t tag[TAG] = {(uint8_t)(type >> 8), (uint8_t)type, (uint8_t)(tci >> 8),
                              (uint8_t)tci};
    memcpy(f->data + 12, tag, TAG);
    f->len += TAG;
}

static void strip_tag(struct frame *f)
{
    if (f->len < 18 || f->data[12] != (VLAN_TYPE >> 8) || f->data[13] != (VLAN_TYPE & 0xff))
        return;
    memmove(f->data + 12, f->data + 16, f->len - 16);
    f->len -= TAG;
}

/* The next frame that came in, or 0. The kernel hands a tag beside the frame: put it back. */
static int receive(int s, struct frame *f)
{
    union {
        struct cmsghdr align;
        uint8_t space[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
    } control;
    struct sockaddr_ll from;
    struct iovec iov = {f->data, FRAME_MAX};
    for (;;) {
        struct msghdr m = {.msg_name = &from,
                           .msg_namelen = sizeof(from),
                           .msg_iov = &iov,
                           .msg_iovlen = 1,
                           .msg_control = &control,
                           .msg_controllen = sizeof(control)};
        ssize_t n = recvmsg(s, &m, MSG_TRUNC);
        if (n < 0)
            return 0;
        if (from.sll_pkttype == PACKET_OUTGOING || n < ETHER_HDR_LEN || n > FRAME_MAX)
            continue;
        f->len = (uint32_t)n;
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
            struct tpacket_auxdata aux;
            if (c->cmsg_level != SOL_PACKET || c->cmsg_type != PACKET_AUXDATA)
                continue;
            memcpy(&aux, CMSG_DATA(c), sizeof(aux));
            if (aux.tp_status & TP_STATUS_VLAN_VALID)
                put_tag(f, aux.tp_status & TP_STATUS_VLAN_TPID_VALID ? aux.tp_vlan_tpid : VLAN_TYPE,
                        aux.tp_vlan_tci);
        }
        return 1;
    }
}

/* When the frame leaves the lane; negative: never. */
static int64_t schedule(struct wire *w, struct lane *l, uint32_t len, int64_t now)
{
    if (w->loss > 0 && chance(w) * 100 < w->loss) {
        l->lost++;
        return -1;
    }
    if (l->queued + len > w->queue) {
        l->full++;
        return -1;
    }
    if (l->free_at < now)
        l->free_at = now;
    if (w->rate > 0)
        l->free_at += (int64_t)(len * 8e6 / w->rate);
    int64_t due = l->free_at + (int64_t)(w->delay * 1e6);
    if (w->jitter > 0)
        due += (int64_t)(chance(w) * w->jitter * 1e6);
    /* A line does not reorder. */
    return l->last && due < l->last->due ? l->last->due : due;
}

static void take_in(struct wire *w, struct lane *l)
{
    int64_t now = now_ns();
    for (;;) {
        struct frame *f = malloc(sizeof(*f));
        if (!f)
            die("memory");
        if (!receive(l->in, f)) {
            free(f);
            return;
        }
        f->next = NULL;
        f->due = schedule(w, l, f->len, now);
        if (f->due < 0) {
            free(f);
            continue;
        }
        if (l->last)
            l->last->next = f;
        else
            l->first = f;
        l->last = f;
        l->queued += f->len;
    }
}

static void let_out(struct wire *w, struct lane *l, int64_t now)
{
    while (l->first && l->first->due <= now) {
        struct frame *f = l->first;
        l->first = f->next;
        if (!l->first)
            l->last = NULL;
        l->queued -= f->len;
        if (l->push)
            put_tag(f, VLAN_TYPE, w->vlan);
        if (l->pop)
            strip_tag(f);
        struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = l->out_index};
        if (sendto(l->out, f->data, f->len, 0, (struct sockaddr *)&to, sizeof(to)) < 0)
            l->full++;
        else
            l->carried++;
        free(f);
    }
}

static int set_option(struct wire *w, const char *name, const char *value)
{
    char *end;
    double v = strtod(value, &end);
    if (*end || v < 0)
        return -1;
    if (strcmp(name, "delay") == 0)
        w->delay = v;
    else if (strcmp(name, "jitter") == 0)
        w->jitter = v;
    else if (strcmp(name, "loss") == 0)
        w->loss = v;
    else if (strcmp(name, "rate") == 0)
        w->rate = v;
    else if (strcmp(name, "queue") == 0)
        w->queue = (uint64_t)v;
    else if (strcmp(name, "vlan") == 0)
        w->vlan = (unsigned)v & 0xfff;
    else if (strcmp(name, "seed") == 0)
        w->seed = (uint64_t)v;
    else
        return -1;
    return 0;
}

static void obey(struct wire *w, int control)
{
    char line[512];
    ssize_t n = read(control, line, sizeof(line) - 1);
    if (n <= 0)
        return;
    line[n] = '\0';
    char *rest = line;
    for (;;) {
        const char *name = strtok_r(rest, " \n", &rest), *value = strtok_r(rest, " \n", &rest);
        if (!name || !value)
            return;
        if (set_option(w, name, value) < 0)
            fprintf(stderr, "wire: what is \"%s %s\"?\n", name, value);
    }
}

static void run(struct wire *w, int control)
{
    struct pollfd fds[3] = {{.fd = w->lane[0].in, .events = POLLIN},
                            {.fd = w->lane[1].in, .events = POLLIN},
                            {.fd = control, .events = POLLIN}};
    while (!stop) {
        int64_t now = now_ns(), next = -1;
        for (int i = 0; i < 2; i++) {
            let_out(w, &w->lane[i], now);
            if (w->lane[i].first && (next < 0 || w->lane[i].first->due < next))
                next = w->lane[i].first->due;
        }
        int64_t wait = next < 0 ? 1000000000 : next > now ? next - now : 0;
        struct timespec timeout = {wait / 1000000000, wait % 1000000000};
        if (ppoll(fds, 3, &timeout, NULL) < 0 && errno != EINTR)
            die("poll");
        for (int i = 0; i < 2; i++)
            take_in(w, &w->lane[i]);
        if (fds[2].revents & POLLIN)
            obey(w, control);
    }
}

int main(int argc, char **argv)
{
    struct wire w = {.queue = 1 << 20, .seed = 1};
    int control = -1;
    if (argc < 3 || argc % 2 == 0) {
        fprintf(stderr, "usage: wire IF_A IF_B [--delay MS] [--jitter MS] [--loss PERCENT] "
                        "[--rate KBIT] [--queue BYTES] [--vlan ID] [--seed N] [--control FIFO]\n");
        return 2;
    }
    for (int i = 3; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--control") == 0) {
            control = open(argv[i + 1], O_RDWR | O_NONBLOCK | O_CLOEXEC);
            if (control < 0)
                die(argv[i + 1]);
        } else if (strncmp(argv[i], "--", 2) != 0 || set_option(&w, argv[i] + 2, argv[i + 1]) < 0) {
            fprintf(stderr, "wire: what is \"%s %s\"?\n", argv[i], argv[i + 1]);
            return 2;
        }
    }
    int s[2] = {open_interface(argv[1]), open_interface(argv[2])};
    for (int i = 0; i < 2; i++) {
        w.lane[i].in = s[i];
        w.lane[i].out = s[!i];
        w.lane[i].out_index = (int)if_nametoindex(argv[2 - i]);
    }
    w.lane[0].push = w.lane[1].pop = w.vlan != 0;
    struct sigaction act = {.sa_handler = on_signal};
    sigaction(SIGTERM, &act, NULL);
    sigaction(SIGINT, &act, NULL);
    run(&w, control);
    for (int i = 0; i < 2; i++)
        printf("%s to %s: %llu carried, %llu lost, %llu too many\n", argv[1 + i], argv[2 - i],
               (unsigned long long)w.lane[i].carried, (unsigned long long)w.lane[i].lost,
               (unsigned long long)w.lane[i].full);
    return 0;
}
