/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * pcapng files (draft-ietf-opsawg-pcapng): sections in either byte order, an interface's own link
 * type and clock, enhanced, simple and old packet blocks; unknown blocks are passed over. */
#include "internal.h"
#include <stdlib.h>

enum {
    BLOCK_SECTION = 0x0a0d0d0a,
    BLOCK_INTERFACE = 1,
    BLOCK_PACKET_OLD = 2,
    BLOCK_SIMPLE = 3,
    BLOCK_STATISTICS = 5,
    BLOCK_ENHANCED = 6,
    INTERFACES_MAX = 65536,
};

struct interface {
    uint16_t link;
    uint32_t snaplen;
    uint8_t resolution; /* as in the option: a power of ten, or of two with the top bit */
    int64_t offset;     /* seconds */
    uint64_t dropped;
};

struct pcapng {
    bool big;
    struct interface *interface; /* of the section */
    uint32_t n, cap;
    uint32_t first; /* interfaces of the sections before */
    uint64_t dropped_before, dropped;
};

static uint32_t u32(const struct pcapng *p, const uint8_t *at)
{
    return p->big ? kt_be32(at) : kt_le32(at);
}

static uint16_t u16(const struct pcapng *p, const uint8_t *at)
{
    return p->big ? kt_be16(at) : kt_le16(at);
}

static bool probe(const uint8_t *head, size_t len)
{
    return len >= 4 && kt_be32(head) == BLOCK_SECTION;
}

static int bad(const struct kt_source *s, const char *why, struct kt_error *err)
{
    uint64_t at = kt_window_offset(&s->window);
    return kt_fail(err, KT_EFORMAT, at, "%s: at byte %llu: %s", s->name, (unsigned long long)at,
                   why);
}

/* Finds an option in body[from, len). */
static const uint8_t *option(const struct pcapng *p, const uint8_t *body, uint32_t from,
                             uint32_t len, unsigned code, unsigned size)
{
    while (from + 4 <= len) {
        unsigned c = u16(p, body + from), n = u16(p, body + from + 2);
        if (c == 0 || n > len - from - 4)
            return NULL;
        if (c == code && n >= size)
            return body + from + 4;
        from += 4 + ((n + 3) & ~3u);
    }
    return NULL;
}

static int64_t time_of(const struct interface *i, uint64_t ts)
{
    static const uint64_t ten[] = {1,      10,      100,      1000,      10000,
                                   100000, 1000000, 10000000, 100000000, 1000000000};
    unsigned r = i->resolution & 0x7f;
    uint64_t second, rest;
    if (i->resolution & 0x80) {
        if (r > 63)
            return 0;
        second = ts >> r;
        rest = ts & ((UINT64_C(1) << r) - 1);
        if (r > 32) /* 2^-32 s is fine enough, and the product fits */
            rest >>= r - 32, r = 32;
        rest = rest * 1000000000u >> r;
    } else if (r <= 9) {
        second = ts / ten[r];
        rest = ts % ten[r] * ten[9 - r];
    } else {
        for (; r > 9; r--)
            ts /= 10;
        second = ts / 1000000000u;
        rest = ts % 1000000000u;
    }
    uint64_t whole = second + (uint64_t)i->offset;
    return whole > 9000000000u ? INT64_MAX : (int64_t)(whole * 1000000000u + rest);
}

static int add_interface(struct kt_source *s, const uint8_t *body, uint32_t len,
                         struct kt_error *err)
{
    struct pcapng *p = s->own;
    if (len < 8)
        return bad(s, "an interface block is too short", err);
    if (p->n == p->cap) {
        uint32_t cap = p->cap ? p->cap * 2 : 8;
        struct interface *bigger =
            cap > INTERFACES_MAX ? NULL : realloc(p->interface, cap * sizeof *bigger);
        if (!bigger)
            return bad(s, "too many interfaces in one section", err);
        p->interface = bigger;
        p->cap = cap;
    }
    struct interface *i = &p->interface[p->n++];
    *i = (struct interface){
        .link = u16(p, body), .snaplen = u32(p, body + 4), .resolution = 6};
    const uint8_t *o = option(p, body, 8, len, 9, 1);
    if (o)
        i->resolution = *o;
    o = option(p, body, 8, len, 14, 8);
    if (o)
        i->offset = p->big ? (int64_t)kt_be64(o)
                           : (int64_t)((uint64_t)kt_le32(o + 4) << 32 | kt_le32(o));
    return KT_OK;
}

static void statistics(struct pcapng *p, const uint8_t *body, uint32_t len)
{
    if (len < 12 || u32(p, body) >= p->n)
        return;
    const uint8_t *o = option(p, body, 12, len, 5, 8);
    if (!o)
        return;
    struct interface *i = &p->interface[u32(p, body)];
    i->dropped = p->big ? kt_be64(o) : (uint64_t)kt_le32(o + 4) << 32 | kt_le32(o);
    uint64_t sum = p->dropped_before;
    for (uint32_t k = 0; k < p->n; k++)
        sum += p->interface[k].dropped;
    kt_count_set(&p->dropped, sum);
}

static int add_packet(struct kt_source *s, struct kt_batch *batch, uint32_t number, uint64_t ts,
                      bool timed, const uint8_t *data, uint32_t caplen, uint32_t wire,
                      struct kt_error *err)
{
    struct pcapng *p = s->own;
    if (number >= p->n)
        return bad(s, "a packet names an interface that was not described", err);
    const struct interface *i = &p->interface[number];
    if (!kt_link_known(i->link)) {
        uint64_t at = kt_window_offset(&s->window);
        return kt_fail(err, KT_EUNSUPPORTED, at,
                       "%s: at byte %llu: packets of link type %u can't be decoded here", s->name,
                       (unsigned long long)at, i->link);
    }
    batch->packet[batch->n++] =
        (struct kt_packet){.data = data,
                           .ts = timed ? time_of(i, ts) : 0,
                           .caplen = caplen,
                           .wirelen = wire > caplen ? wire : caplen,
                           .link = i->link,
                           .iface = (uint16_t)(p->first + number)};
    return KT_OK;
}

static int packet_block(struct kt_source *s, struct kt_batch *batch, uint32_t type,
                        const uint8_t *body, uint32_t len, struct kt_error *err)
{
    struct pcapng *p = s->own;
    if (type == BLOCK_SIMPLE) {
        if (len < 4 || p->n == 0)
            return bad(s, "a simple packet block without an interface or a length", err);
        uint32_t wire = u32(p, body), caplen = wire, snap = p->interface[0].snaplen;
        if (snap && caplen > snap)
            caplen = snap;
        if (caplen > len - 4)
            return bad(s, "a packet is longer than its block", err);
        return add_packet(s, batch, 0, 0, false, body + 4, caplen, wire, err);
    }
    if (len < 20)
        return bad(s, "a packet block is too short", err);
    uint32_t number = type == BLOCK_ENHANCED ? u32(p, body) : u16(p, body);
    uint64_t ts = (uint64_t)u32(p, body + 4) << 32 | u32(p, body + 8);
    uint32_t caplen = u32(p, body + 12);
    if (caplen > len - 20)
        return bad(s, "a packet is longer than its block", err);
    return add_packet(s, batch, number, ts, true, body + 20, caplen, u32(p, body + 16), err);
}

static int section(struct kt_source *s, struct kt_error *err)
{
    struct pcapng *p = s->own;
    int rc = kt_window_need(&s->window, 12, err);
    if (rc != KT_OK)
        return rc;
    uint32_t order = kt_be32(kt_window_here(&s->window) + 8);
    if (order != 0x1a2b3c4d && order != 0x4d3c2b1a)
        return bad(s, "a section header without its byte-order mark", err);
    p->big = order == 0x1a2b3c4d;
    p->first += p->n;
    p->dropped_before = p->dropped;
    p->n = 0;
    return KT_OK;
}

static int read_pcapng(struct kt_source *s, struct kt_batch *batch, struct kt_error *err)
{
    struct pcapng *p = s->own;
    struct kt_window *w = &s->window;
    for (;;) {
        size_t left = w->end - w->at;
        uint32_t total = 0;
        if (left >= 12) {
            const uint8_t *h = kt_window_here(w);
            bool is_section = kt_be32(h) == BLOCK_SECTION;
            if (is_section && batch->n)
                return KT_OK;
            int rc = is_section ? section(s, err) : KT_OK;
            if (rc != KT_OK)
                return rc;
            h = kt_window_here(w);
            total = u32(p, h + 4);
            if (total < 12 || total & 3 || total > KT_PACKET_MAX)
                return batch->n ? KT_OK : bad(s, "a block has an impossible length", err);
        }
        if (left < 12 || left < total) {
            if (batch->n)
                return KT_OK;
            int rc = kt_window_need(w, total ? total : 12, err);
            if (rc != KT_OK)
                return rc;
            continue;
        }
        batch->block = w->block;
        const uint8_t *h = kt_window_here(w);
        uint32_t type = u32(p, h), len = total - 12;
        unsigned before = batch->n;
        struct kt_error fault = {0};
        int rc = KT_OK;
        if (type == BLOCK_INTERFACE)
            rc = add_interface(s, h + 8, len, &fault);
        else if (type == BLOCK_STATISTICS)
            statistics(p, h + 8, len);
        else if (type == BLOCK_ENHANCED || type == BLOCK_PACKET_OLD || type == BLOCK_SIMPLE)
            rc = packet_block(s, batch, type, h + 8, len, &fault);
        if (rc < 0) {
            if (before)
                return KT_OK; /* the fault is met again by the next read */
            if (err)
                *err = fault;
            return rc;
        }
        w->at += total;
        if (batch->n == KT_BATCH)
            return KT_OK;
    }
}

static int open_pcapng(struct kt_source *s, const char *what, const struct kt_source_options *opt,
                       struct kt_error *err)
{
    (void)opt;
    s->own = calloc(1, sizeof(struct pcapng));
    if (!s->own)
        return kt_fail(err, KT_ENOMEM, 0, "no memory to open %s", what);
    int rc = kt_window_need(&s->window, 12, err);
    if (rc == KT_OK && !probe(kt_window_here(&s->window), 4))
        return kt_fail(err, KT_EFORMAT, 0, "%s: at byte 0: this is no pcapng file", what);
    return rc;
}

static void stats(const struct kt_source *s, struct kt_trace_stats *st)
{
    const struct pcapng *p = s->own;
    st->lost_nic = kt_count_get(&p->dropped);
}

static void close_pcapng(struct kt_source *s)
{
    struct pcapng *p = s->own;
    if (p)
        free(p->interface);
    free(p);
}

const struct kt_source_ops kt_source_pcapng = {.name = "pcapng",
                                               .summary = "pcapng files",
                                               .probe = probe,
                                               .open = open_pcapng,
                                               .read = read_pcapng,
                                               .stats = stats,
                                               .close = close_pcapng};
