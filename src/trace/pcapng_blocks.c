/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * The blocks of a pcapng file that describe packets: sections, interfaces, statistics. */
#include "pcapng.h"
#include <stdlib.h>

#define INTERFACES_MAX 65536u

static uint64_t u64(const struct kt_ng *g, const uint8_t *at)
{
    return g->big ? kt_be64(at) : (uint64_t)kt_le32(at + 4) << 32 | kt_le32(at);
}

const uint8_t *kt_ng_option(const struct kt_ng *g, const uint8_t *from, size_t len, unsigned code,
                            unsigned size)
{
    while (len >= 4) {
        unsigned c = kt_ng_u16(g, from), n = kt_ng_u16(g, from + 2);
        size_t padded = 4 + ((n + 3u) & ~3u);
        if (c == 0 || n > len - 4)
            return NULL;
        if (c == code && n >= size)
            return from + 4;
        if (padded > len)
            return NULL;
        from += padded;
        len -= padded;
    }
    return NULL;
}

int64_t kt_ng_time(const struct kt_ng_interface *i, uint64_t ticks)
{
    static const uint32_t ten[] = {1,      10,      100,      1000,      10000,
                                   100000, 1000000, 10000000, 100000000, 1000000000};
    unsigned r = i->resolution & 0x7f;
    uint64_t second, rest;
    if (i->resolution & 0x80) {
        if (r > 32) { /* 2^-32 s is fine enough, and the product fits */
            ticks = r - 32 < 64 ? ticks >> (r - 32) : 0;
            r = 32;
        }
        second = ticks >> r;
        rest = (ticks & ((UINT64_C(1) << r) - 1)) * 1000000000u >> r;
    } else {
        for (; r > 9 && ticks; r--)
            ticks /= 10;
        r = r > 9 ? 9 : r;
        second = ticks / ten[r];
        rest = ticks % ten[r] * ten[9 - r];
    }
    uint64_t whole = second + (uint64_t)i->offset; /* wraps as two's complement */
    return whole > 9000000000u ? INT64_MAX : (int64_t)(whole * 1000000000u + rest);
}

const char *kt_ng_section(struct kt_ng *g, const uint8_t *block)
{
    uint32_t order = kt_be32(block + 8);
    if (order != 0x1a2b3c4d && order != 0x4d3c2b1a)
        return "a section header without its byte-order mark";
    g->big = order == 0x1a2b3c4d;
    if (kt_ng_u16(g, block + 12) != 1)
        return "a section of a pcapng version that is not known";
    g->first += g->n;
    g->n = 0;
    return NULL;
}

const char *kt_ng_describe(struct kt_ng *g, const uint8_t *body, size_t len)
{
    if (len < 8)
        return "an interface block is too short";
    if (g->n == g->cap) {
        uint32_t cap = g->cap ? g->cap * 2 : 8;
        if (cap > INTERFACES_MAX)
            return "too many interfaces in one section";
        struct kt_ng_interface *more = realloc(g->interface, cap * sizeof *more);
        if (!more)
            return "no memory for another interface";
        g->interface = more;
        g->cap = cap;
    }
    struct kt_ng_interface *i = &g->interface[g->n++];
    *i = (struct kt_ng_interface){
        .link = kt_ng_u16(g, body), .snaplen = kt_ng_u32(g, body + 4), .resolution = 6};
    const uint8_t *o = kt_ng_option(g, body + 8, len - 8, 9, 1); /* if_tsresol */
    if (o)
        i->resolution = *o;
    o = kt_ng_option(g, body + 8, len - 8, 13, 1); /* if_fcslen */
    if (o)
        i->fcs = *o;
    o = kt_ng_option(g, body + 8, len - 8, 14, 8); /* if_tsoffset */
    if (o)
        i->offset = (int64_t)u64(g, o);
    return NULL;
}

/* The counters only grow; the last block of an interface holds. */
void kt_ng_statistics(struct kt_ng *g, const uint8_t *body, size_t len)
{
    if (len < 12 || kt_ng_u32(g, body) >= g->n)
        return;
    struct kt_ng_interface *i = &g->interface[kt_ng_u32(g, body)];
    const uint8_t *o = kt_ng_option(g, body + 12, len - 12, 5, 8); /* isb_ifdrop */
    uint64_t nic = o ? u64(g, o) : i->lost_nic;
    o = kt_ng_option(g, body + 12, len - 12, 7, 8); /* isb_osdrop */
    uint64_t ring = o ? u64(g, o) : i->lost_ring;
    kt_count_set(&g->lost_nic, g->lost_nic + nic - i->lost_nic);
    kt_count_set(&g->lost_ring, g->lost_ring + ring - i->lost_ring);
    i->lost_nic = nic;
    i->lost_ring = ring;
}
