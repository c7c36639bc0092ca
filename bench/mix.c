/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Makes the capture that bench/run measures with: "mix OUT.pcap CAPTURE…". Flows are drawn from the
 * captures with a fixed seed and laid over each other, each repetition with addresses of its own,
 * until there are about 3 M packets; the draw keeps the means at 333 bytes a packet, 14 packets a
 * flow and 5 % IPv6. The same captures in the same order give the same bytes.
 */
#include "plugins.h"
#include <stdio.h>
#include <stdlib.h>

#define PACKETS 3080000u
#define MEAN_BYTES 333.0
#define MEAN_PACKETS 14.0
#define IPV6_SHARE 0.05
#define SPAN (300 * KT_SECOND)    /* flows begin within it */
#define LONGEST (120 * KT_SECOND) /* flows that last longer are quickened */
#define EPOCH (INT64_C(1767225600) * KT_SECOND)
#define CANDIDATES 8

struct frame {
    int64_t ts;
    uint64_t data; /* offset in the pool; Ethernet */
    uint32_t len, flow;
};

struct flow {
    struct kt_key key; /* canonical: the smaller side first */
    uint32_t file, first, packets, drawn;
    uint64_t bytes;
    int64_t begin, end;
};

struct draw {
    uint32_t flow, repetition;
    int64_t start;
};

struct due {
    int64_t ts;
    uint32_t draw, frame;
};

/* What the captures hold. */
static struct kt_buf pool;
static struct frame *frames;
static uint32_t frame_count, frame_cap;
static struct flow *flows;
static uint32_t flow_count, flow_cap;
static uint32_t *table;
static uint32_t table_size;
static uint64_t seed = 20261125;

static void *grown(void *p, uint32_t n, uint32_t *cap, size_t size)
{
    if (n < *cap)
        return p;
    *cap = *cap ? *cap * 2 : 1024;
    p = realloc(p, *cap * size);
    if (!p)
        exit(3);
    return p;
}

static uint64_t chance(void) /* splitmix64, public domain */
{
    uint64_t z = seed += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static void enter(uint32_t f)
{
    uint32_t at = (uint32_t)kt_hash(&flows[f].key, sizeof flows[f].key, flows[f].file);
    while (table[at % table_size] != UINT32_MAX)
        at++;
    table[at % table_size] = f;
}

static uint32_t flow_of(const struct kt_packet *p, uint32_t file)
{
    struct kt_key key = p->key;
    int order = memcmp(key.addr[0], key.addr[1], 16);
    if (order > 0 || (order == 0 && key.port[0] > key.port[1]))
        kt_key_reverse(&key);
    if (flow_count * 2 >= table_size) {
        table_size = table_size ? table_size * 2 : 4096;
        table = realloc(table, table_size * sizeof *table);
        if (!table)
            exit(3);
        memset(table, 0xff, table_size * sizeof *table);
        for (uint32_t f = 0; f < flow_count; f++)
            enter(f);
    }
    uint32_t at = (uint32_t)kt_hash(&key, sizeof key, file);
    for (; table[at % table_size] != UINT32_MAX; at++) {
        const struct flow *f = &flows[table[at % table_size]];
        if (f->file == file && kt_key_equal(&f->key, &key))
            return table[at % table_size];
    }
    flows = grown(flows, flow_count, &flow_cap, sizeof *flows);
    flows[flow_count] = (struct flow){.key = key, .file = file, .begin = p->ts};
    enter(flow_count);
    return flow_count++;
}

/* Frames that are not Ethernet get a header, if they are no tunnel. */
static void keep(const struct kt_packet *p, uint32_t file)
{
    static const uint8_t ether[12] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2};
    bool foreign = p->link != KT_LINK_ETHERNET;
    if (!(p->flags & KT_PKT_IP) || p->caplen != p->wirelen || p->caplen > 1514 ||
        (foreign && p->flags & KT_PKT_TUNNEL))
        return;
    struct frame fr = {.ts = p->ts, .data = pool.len, .flow = flow_of(p, file)};
    uint32_t skip = foreign ? p->l3 : 0;
    if (foreign) {
        kt_buf_add(&pool, ether, sizeof ether);
        kt_buf_add(&pool, p->key.ip == 4 ? "\x08\x00" : "\x86\xdd", 2);
    }
    kt_buf_add(&pool, p->data + skip, p->caplen - skip);
    fr.len = (uint32_t)(pool.len - fr.data);
    struct flow *f = &flows[fr.flow];
    f->packets++;
    f->bytes += fr.len;
    if (fr.ts > f->end)
        f->end = fr.ts;
    if (fr.ts < f->begin)
        f->begin = fr.ts;
    frames = grown(frames, frame_count, &frame_cap, sizeof *frames);
    frames[frame_count++] = fr;
}

static void load(const char *path, uint32_t file)
{
    static struct kt_packet packet[KT_BATCH];
    struct kt_batch batch = {.packet = packet};
    struct kt_source *src;
    if (kt_source_open(&src, kt_builtin_registry(), path, NULL, NULL) < 0)
        return; /* some captures are there to be refused */
    while (kt_source_read(src, &batch, NULL) == KT_OK)
        for (unsigned i = 0; i < batch.n; i++) {
            kt_decode(&packet[i]);
            keep(&packet[i], file);
        }
    kt_source_close(src);
}

static int by_flow(const void *a, const void *b)
{
    const struct frame *x = a, *y = b;
    if (x->flow != y->flow)
        return x->flow < y->flow ? -1 : 1;
    return x->data < y->data ? -1 : x->data > y->data;
}

static int by_time(const void *a, const void *b)
{
    const struct due *x = a, *y = b;
    if (x->ts != y->ts)
        return x->ts < y->ts ? -1 : 1;
    if (x->draw != y->draw)
        return x->draw < y->draw ? -1 : 1;
    return x->frame < y->frame ? -1 : x->frame > y->frame;
}

/* How far the means are from what they shall be, were this flow drawn too. */
static double distance(const struct flow *f, double packets, double bytes, double drawn, double six)
{
    double n = packets + f->packets;
    double size = (bytes + (double)f->bytes) / n / MEAN_BYTES - 1;
    double length = n / (drawn + 1) / MEAN_PACKETS - 1;
    double share = (six + (f->key.ip == 6 ? f->packets : 0)) / n / IPV6_SHARE - 1;
    return size * size + length * length + share * share;
}

static struct due *draw_all(struct draw **draws, uint32_t *total)
{
    struct due *due = calloc(PACKETS + 70000, sizeof *due);
    uint32_t n = 0, cap = 0;
    double packets = 0, bytes = 0, six = 0;
    if (!due)
        exit(3);
    while (packets < PACKETS) {
        uint32_t best = 0;
        double least = 1e300;
        for (int i = 0; i < CANDIDATES; i++) {
            uint32_t f = (uint32_t)(chance() % flow_count);
            double d = distance(&flows[f], packets, bytes, n, six);
            if (flows[f].packets < 65536 && d < least) {
                best = f;
                least = d;
            }
        }
        struct flow *f = &flows[best];
        *draws = grown(*draws, n, &cap, sizeof **draws);
        struct draw *d = &(*draws)[n];
        *d = (struct draw){best, f->drawn++, (int64_t)(chance() % SPAN)};
        int64_t length = f->end - f->begin;
        double quick = length > LONGEST ? (double)LONGEST / (double)length : 1;
        for (uint32_t i = 0; i < f->packets; i++) {
            int64_t at = (int64_t)((double)(frames[f->first + i].ts - f->begin) * quick);
            due[(uint32_t)packets + i] = (struct due){EPOCH + d->start + at, n, f->first + i};
        }
        packets += f->packets;
        bytes += (double)f->bytes;
        six += f->key.ip == 6 ? f->packets : 0;
        n++;
    }
    *total = (uint32_t)packets;
    fprintf(stderr, "%u packets, %.0f bytes mean, %u flows of %.1f packets, %.1f %% IPv6\n", *total,
            bytes / packets, n, packets / n, six / packets * 100);
    return due;
}

/* RFC 1624: the checksum after a word has changed. */
static void mend(uint8_t *sum, uint16_t old, uint16_t now)
{
    uint32_t s = (uint16_t)~kt_be16(sum) + (uint32_t)(uint16_t)~old + now;
    s = (s & 0xffff) + (s >> 16);
    s = (s & 0xffff) + (s >> 16);
    s = (uint16_t)~s;
    sum[0] = (uint8_t)(s >> 8);
    sum[1] = (uint8_t)s;
}

static void shift(uint8_t *addr, uint16_t mask, uint8_t *const *sums)
{
    uint16_t old = kt_be16(addr), now = old ^ mask;
    addr[0] = (uint8_t)(now >> 8);
    addr[1] = (uint8_t)now;
    for (; *sums; sums++)
        mend(*sums, old, now);
}

/* Other addresses for another repetition: the middle bits are turned, within unicast. */
static void readdress(uint8_t *p, uint32_t len, uint32_t repetition)
{
    uint32_t at = 12;
    while (at + 4 < len && (kt_be16(p + at) == 0x8100 || kt_be16(p + at) == 0x88a8))
        at += 4;
    uint16_t type = kt_be16(p + at);
    uint8_t *ip = p + at + 2, *sums[3] = {0};
    uint32_t left = len - at - 2, head = type == 0x0800 && left >= 20 ? (ip[0] & 15) * 4u : 40;
    uint16_t mask = (uint16_t)(kt_mix64(repetition + UINT64_C(0x9e3779b97f4a7c15),
                                        UINT64_C(0xe7037ed1a0b428db)) |
                               1);
    int n = 0;
    if (repetition == 0 || (type != 0x0800 && type != 0x86dd) || left < head)
        return;
    bool four = type == 0x0800, first = !four || (kt_be16(ip + 6) & 0x1fff) == 0;
    uint8_t proto = four ? ip[9] : ip[6];
    if (four)
        sums[n++] = ip + 10;
    if (first && proto == KT_PROTO_TCP && left >= head + 18)
        sums[n++] = ip + head + 16;
    if (first && proto == KT_PROTO_UDP && left >= head + 8 && kt_be16(ip + head + 6))
        sums[n++] = ip + head + 6;
    if (first && proto == KT_PROTO_ICMPV6 && left >= head + 4)
        sums[n++] = ip + head + 2;
    for (uint8_t *a = ip + (four ? 12 : 8); a < ip + (four ? 20 : 40); a += four ? 4 : 16)
        if (four ? a[0] < 224 : a[0] != 0xff)
            shift(a + (four ? 0 : 10), four ? mask & 0x00ff : mask, sums),
                shift(a + (four ? 2 : 12), four ? mask & 0xff00 : mask, sums);
}

static void put32(uint8_t *p, uint32_t v)
{
    memcpy(p, &v, 4); /* in the order of this machine: the magic tells */
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "mix OUT.pcap CAPTURE…\n");
        return 1;
    }
    for (int i = 2; i < argc; i++)
        load(argv[i], (uint32_t)i);
    if (frame_count == 0) {
        fprintf(stderr, "mix: no packets in the captures given\n");
        return 2;
    }
    qsort(frames, frame_count, sizeof *frames, by_flow);
    for (uint32_t i = frame_count; i-- > 0;)
        flows[frames[i].flow].first = i;
    struct draw *draws = NULL;
    uint32_t total;
    struct due *due = draw_all(&draws, &total);
    qsort(due, total, sizeof *due, by_time);
    FILE *out = fopen(argv[1], "wb");
    if (!out) {
        perror(argv[1]);
        return 3;
    }
    static uint8_t head[24], record[16 + 65536];
    put32(head, 0xa1b2c3d4);
    put32(head + 4, 2 | 4 << 16);
    put32(head + 16, 65535);
    put32(head + 20, KT_LINK_ETHERNET);
    fwrite(head, sizeof head, 1, out);
    for (uint32_t i = 0; i < total; i++) {
        const struct frame *f = &frames[due[i].frame];
        put32(record, (uint32_t)(due[i].ts / KT_SECOND));
        put32(record + 4, (uint32_t)(due[i].ts % KT_SECOND / 1000));
        put32(record + 8, f->len);
        put32(record + 12, f->len);
        memcpy(record + 16, pool.data + f->data, f->len);
        readdress(record + 16, f->len, draws[due[i].draw].repetition);
        fwrite(record, 16 + f->len, 1, out);
    }
    if (fclose(out) != 0) {
        perror(argv[1]);
        return 3;
    }
    return 0;
}
