/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * pcapng files (draft-ietf-opsawg-pcapng): sections in either byte order, an interface's own link
 * type and clock, enhanced, simple and old packet blocks; unknown blocks are passed over. */
#include "pcapng.h"
#include <stdlib.h>

#define BLOCK_MIN 12u

static bool probe(const uint8_t *head, size_t len)
{
    return len >= 4 && kt_be32(head) == KT_NG_SECTION;
}

static bool holds_packet(uint32_t type)
{
    return type == KT_NG_ENHANCED || type == KT_NG_PACKET_OLD || type == KT_NG_SIMPLE;
}

/* A block that must lie whole in the window; others may be longer than any memory. */
static bool is_read(uint32_t type)
{
    return holds_packet(type) || type == KT_NG_INTERFACE || type == KT_NG_STATISTICS ||
           type == KT_NG_SECTION;
}

static int bad(const struct kt_source *s, const char *why, struct kt_error *err)
{
    return kt_window_fail(&s->window, KT_EFORMAT, err, "%s", why);
}

/* What a packet block says, before it is believed. */
struct record {
    uint32_t interface;
    uint32_t caplen, wirelen;
    uint64_t ticks;
    bool timed;
    const uint8_t *data;
    size_t room; /* bytes of the block from `data` on */
};

static const char *parse(const struct kt_ng *g, uint32_t type, const uint8_t *body, size_t len,
                         struct record *r)
{
    *r = (struct record){.timed = type != KT_NG_SIMPLE};
    if (type == KT_NG_SIMPLE) {
        if (len < 4)
            return "a simple packet block is too short";
        r->wirelen = r->caplen = kt_ng_u32(g, body);
        if (g->n > 0 && g->interface[0].snaplen && r->caplen > g->interface[0].snaplen)
            r->caplen = g->interface[0].snaplen;
        r->data = body + 4;
        r->room = len - 4;
    } else {
        if (len < 20)
            return "a packet block is too short";
        r->interface = type == KT_NG_ENHANCED ? kt_ng_u32(g, body) : kt_ng_u16(g, body);
        r->ticks = (uint64_t)kt_ng_u32(g, body + 4) << 32 | kt_ng_u32(g, body + 8);
        r->caplen = kt_ng_u32(g, body + 12);
        r->wirelen = kt_ng_u32(g, body + 16);
        r->data = body + 20;
        r->room = len - 20;
    }
    if (r->caplen > r->room)
        return "a packet is longer than its block";
    if (r->interface >= g->n)
        return "a packet names an interface that was not described";
    return NULL;
}

/* Direction and check sequence, which the options behind the data may tell. */
static void apply_options(const struct kt_ng *g, uint32_t type, const struct record *r,
                          struct kt_packet *p)
{
    unsigned fcs = g->interface[r->interface].fcs;
    size_t padded = ((size_t)r->caplen + 3) & ~(size_t)3;
    if (type != KT_NG_SIMPLE && padded < r->room) {
        const uint8_t *o = kt_ng_option(g, r->data + padded, r->room - padded, 2, 4);
        uint32_t flags = o ? kt_ng_u32(g, o) : 0; /* epb_flags, pack_flags */
        if ((flags & 3) == 2)
            p->flags = KT_PKT_TX;
        if (flags >> 5 & 15)
            fcs = flags >> 5 & 15;
    }
    if (fcs) {
        p->wirelen -= fcs < p->wirelen ? fcs : p->wirelen;
        p->caplen = p->caplen < p->wirelen ? p->caplen : p->wirelen;
    }
}

static int add_packet(struct kt_source *s, uint32_t type, const uint8_t *body, size_t len,
                      struct kt_batch *batch, struct kt_error *err)
{
    struct kt_ng *g = s->own;
    struct record r;
    const char *why = parse(g, type, body, len, &r);
    if (why)
        return bad(s, why, err);
    const struct kt_ng_interface *i = &g->interface[r.interface];
    if (!kt_link_known(i->link))
        return kt_link_fail(&s->window, i->link, err);
    if (r.timed) /* a simple packet has no time of its own: that of the one before */
        g->last_ts = kt_ng_time(i, r.ticks);
    struct kt_packet *p = &batch->packet[batch->n++];
    kt_packet_set(p, r.data, g->last_ts, r.caplen, r.wirelen > r.caplen ? r.wirelen : r.caplen,
                  (uint16_t)i->link);
    uint64_t number = (uint64_t)g->first + r.interface;
    p->iface = number < UINT16_MAX ? (uint16_t)number : UINT16_MAX;
    apply_options(g, type, &r, p);
    return KT_OK;
}

/* The block that stands whole in the window. */
static int take_block(struct kt_source *s, uint32_t type, uint32_t total, struct kt_batch *batch,
                      struct kt_error *err)
{
    struct kt_ng *g = s->own;
    const uint8_t *h = kt_window_here(&s->window);
    const uint8_t *body = h + 8;
    size_t len = total - BLOCK_MIN;
    const char *why = NULL;
    if (kt_ng_u32(g, h + total - 4) != total)
        return bad(s, "the two lengths of a block differ", err);
    if (holds_packet(type))
        return add_packet(s, type, body, len, batch, err);
    if (type == KT_NG_SECTION)
        why = kt_ng_section(g, h);
    else if (type == KT_NG_INTERFACE)
        why = kt_ng_describe(g, body, len);
    else if (type == KT_NG_STATISTICS)
        kt_ng_statistics(g, body, len);
    return why ? bad(s, why, err) : KT_OK;
}

/* Type and length of the block at the window, of which `left` bytes are there. A section header
 * sets the byte order that its own length is in. */
static const char *head_of(struct kt_ng *g, const uint8_t *h, uint32_t *type, uint32_t *total)
{
    bool section = kt_be32(h) == KT_NG_SECTION;
    bool big = g->big;
    if (section) {
        uint32_t order = kt_be32(h + 8);
        if (order != 0x1a2b3c4d && order != 0x4d3c2b1a)
            return "a section header without its byte-order mark";
        big = order == 0x1a2b3c4d;
    }
    *type = big ? kt_be32(h) : kt_le32(h);
    *total = big ? kt_be32(h + 4) : kt_le32(h + 4);
    if (*total < (section ? 28 : BLOCK_MIN) || *total & 3)
        return "a block has an impossible length";
    if (is_read(*type) && *total > KT_PACKET_MAX)
        return "a block is longer than any packet's";
    if (section)
        g->big = big;
    return NULL;
}

/* Steps over a block that nobody reads. */
static int pass_over(struct kt_source *s, uint32_t total, struct kt_error *err)
{
    struct kt_window *w = &s->window;
    uint64_t at = kt_window_offset(w);
    int rc = kt_window_skip(w, total, err);
    if (rc != KT_END)
        return rc;
    return kt_fail(err, KT_ETRUNCATED, at,
                   "%s: at byte %llu: the file ends inside a block of %u bytes", s->name,
                   (unsigned long long)at, total);
}

/* One block. With packets in the batch the window may not slide, nor may a fault be told: then
 * KT_EBUSY, and the next read comes here again. */
static int step(struct kt_source *s, struct kt_batch *batch, struct kt_error *err)
{
    struct kt_window *w = &s->window;
    uint32_t type, total;
    if (kt_window_left(w) < BLOCK_MIN) {
        if (batch->n)
            return KT_EBUSY;
        int rc = kt_window_need(w, BLOCK_MIN, err);
        if (rc != KT_OK)
            return rc;
    }
    const char *why = head_of(s->own, kt_window_here(w), &type, &total);
    if (why)
        return bad(s, why, err);
    if (kt_window_left(w) < total) {
        if (batch->n)
            return KT_EBUSY;
        if (!is_read(type))
            return pass_over(s, total, err);
        int rc = kt_window_need(w, total, err);
        if (rc != KT_OK)
            return rc;
    }
    int rc = take_block(s, type, total, batch, err);
    if (rc == KT_OK)
        w->at += total;
    return rc;
}

static int read_pcapng(struct kt_source *s, struct kt_batch *batch, struct kt_error *err)
{
    while (batch->n < KT_BATCH) {
        int rc = step(s, batch, batch->n ? NULL : err);
        if (rc != KT_OK && batch->n == 0)
            return rc;
        if (rc != KT_OK)
            break; /* what is here goes first */
    }
    batch->block = s->window.block;
    return KT_OK;
}

static int open_pcapng(struct kt_source *s, const char *what, const struct kt_source_options *opt,
                       struct kt_error *err)
{
    (void)opt;
    s->own = calloc(1, sizeof(struct kt_ng));
    if (!s->own)
        return kt_fail(err, KT_ENOMEM, 0, "%s: no memory", what);
    int rc = kt_window_need(&s->window, BLOCK_MIN, err);
    if (rc == KT_OK && !probe(kt_window_here(&s->window), 4))
        return bad(s, "this is no pcapng file", err);
    return rc;
}

static void stats(const struct kt_source *s, struct kt_trace_stats *st)
{
    const struct kt_ng *g = s->own;
    st->lost_nic = kt_count_get(&g->lost_nic);
    st->lost_ring = kt_count_get(&g->lost_ring);
}

static void close_pcapng(struct kt_source *s)
{
    struct kt_ng *g = s->own;
    if (g)
        free(g->interface);
    free(g);
}

const struct kt_source_ops kt_source_pcapng = {
    .name = "pcapng",
    .summary = "pcapng files, also packed",
    .probe = probe,
    .open = open_pcapng,
    .read = read_pcapng,
    .stats = stats,
    .close = close_pcapng,
};
