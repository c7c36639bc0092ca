/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * What the tests of flows share: packets made from what they mean, a table, and all that it hands
 * over put together. */
#ifndef TESTS_FLOW_HELPER_H
#define TESTS_FLOW_HELPER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <kotare/flow.h>

/* Applications that depend on nothing but these words. */
static const char helper_rules[] = "protocol: chirp\nname: Chirp\ntransport: tcp udp\n"
                                   "category: messaging\npriority: 10\nsource: made up\n"
                                   "shape ask: text \"CHRP\"\nshape tell: text \"CHOK\"\n"
                                   "accept: ask <-> tell\n"
                                   "\n"
                                   "protocol: half\nname: Half\ntransport: tcp udp\n"
                                   "category: other\npriority: 20\nsource: made up\n"
                                   "shape ask: text \"CHRP\"\naccept: ask <-> silent\n";

#define SEC KT_SECOND
#define MS (KT_SECOND / 1000)
/* Where a test's time begins: the beginning of an interval of any sane length. */
#define T0 (INT64_C(1700006400) * KT_SECOND)

struct world {
    struct kt_rules *rules;
    struct kt_flow_table *table;
    uint64_t seq;
    int64_t tick; /* the beginning of the open interval */
    int64_t interval;
    struct kt_flow_record *record;
    size_t records, record_cap;
    struct kt_slice *slice;
    int64_t *slice_start;
    uint64_t *slice_seq;
    size_t slices, slice_cap;
    struct kt_relabel *relabel;
    size_t relabels, relabel_cap;
    uint32_t rests; /* of the last harvest */
    uint64_t flows, evicted;
};

static inline void world_init_active(struct world *w, uint32_t max_flows, int64_t active)
{
    struct kt_error err = {0};
    *w = (struct world){.tick = T0, .interval = SEC};
    if (kt_rules_load_text(&w->rules, "test", helper_rules, strlen(helper_rules), &err) < 0)
        fail_msg("%s", err.text);
    struct kt_flow_options opt = {
        .rules = w->rules, .max_flows = max_flows, .interval = SEC, .active = active};
    assert_int_equal(kt_flow_table_new(&w->table, &opt, &err), KT_OK);
}

static inline void world_init(struct world *w, uint32_t max_flows)
{
    world_init_active(w, max_flows, 0);
}

static inline void world_fini(struct world *w)
{
    kt_flow_table_free(w->table);
    kt_rules_free(w->rules);
    free(w->record);
    free(w->slice);
    free(w->slice_start);
    free(w->slice_seq);
    free(w->relabel);
}

static inline unsigned app(const struct world *w, const char *name)
{
    for (unsigned a = 0; a < kt_rules_apps(w->rules); a++)
        if (strcmp(kt_rules_app_name(w->rules, a), name) == 0)
            return a;
    fail_msg("no application is called %s", name);
    return 0;
}

static inline const char *label(const struct world *w, const struct kt_flow_record *r)
{
    return kt_rules_label(w->rules, r->verdict.label)->name;
}

#define HELPER_GROW(array, n, cap)                                                                 \
    do {                                                                                           \
        if ((n) > (cap)) {                                                                         \
            (array) = realloc((array), (n)*2 * sizeof *(array));                                   \
            assert_non_null(array);                                                                \
        }                                                                                          \
    } while (0)

/* One tick; what it gives is added to the world. */
static inline void tick(struct world *w, bool closes, bool last)
{
    struct kt_harvest *h;
    assert_int_equal(kt_flow_table_tick(w->table, w->tick, closes, last, &h), KT_OK);
    size_t n = w->records + h->records + h->rests;
    HELPER_GROW(w->record, n, w->record_cap);
    w->record_cap = n > w->record_cap ? n * 2 : w->record_cap;
    for (size_t i = 0; i < h->records; i++)
        w->record[w->records++] = h->record[i];
    for (uint32_t i = 0; i < h->rests; i++) {
        kt_flow_rest(h, i, &w->record[w->records]);
        if (i)
            assert_true(w->record[w->records].id > w->record[w->records - 1].id);
        w->records++;
    }
    if (closes) {
        n = w->slices + h->slices;
        HELPER_GROW(w->slice, n, w->slice_cap);
        HELPER_GROW(w->slice_start, n, w->slice_cap);
        HELPER_GROW(w->slice_seq, n, w->slice_cap);
        w->slice_cap = n > w->slice_cap ? n * 2 : w->slice_cap;
        for (uint32_t i = 0; i < h->slices; i++) {
            if (i)
                assert_true(h->slice_seq[i] > h->slice_seq[i - 1]);
            w->slice[w->slices] = h->slice[i];
            w->slice_start[w->slices] = w->tick;
            w->slice_seq[w->slices++] = h->slice_seq[i];
        }
        w->tick += w->interval;
    } else {
        assert_int_equal(h->slices, 0);
    }
    n = w->relabels + h->relabels;
    HELPER_GROW(w->relabel, n, w->relabel_cap);
    w->relabel_cap = n > w->relabel_cap ? n * 2 : w->relabel_cap;
    for (size_t i = 0; i < h->relabels; i++)
        w->relabel[w->relabels++] = h->relabel[i];
    w->rests = h->rests;
    w->flows = h->flows;
    w->evicted = h->evicted;
    kt_harvest_done(h);
}

/* Closes intervals until the one that holds `ts` is open. */
static inline void ticks_until(struct world *w, int64_t ts)
{
    while (ts - w->tick >= w->interval)
        tick(w, true, false);
}

static inline void give(struct world *w, struct kt_packet *p)
{
    p->seq = w->seq++;
    assert_int_equal(kt_flow_table_packets(w->table, p, 1), KT_OK);
}

/* ---- packets ---- */

struct pkt {
    int64_t ts;
    uint8_t proto;
    uint8_t from[4], to[4];
    uint16_t sport, dport; /* ICMP: the identifier */
    uint8_t flags;
    uint32_t seq;
    const char *payload; /* text, or NULL */
    uint32_t len;        /* of the payload on the wire, when longer than the text */
    uint16_t vlan;
};

/* Writes the frame and decodes it. `frame` must hold 256 bytes. */
static inline struct kt_packet make(const struct pkt *p, uint8_t *frame)
{
    memset(frame, 0, 256);
    uint8_t *at = frame + 12;
    if (p->vlan) {
        memcpy(at, (uint8_t[]){0x81, 0, (uint8_t)(p->vlan >> 8), (uint8_t)p->vlan}, 4);
        at += 4;
    }
    memcpy(at, (uint8_t[]){8, 0}, 2);
    uint8_t *ip = at + 2, *l4 = ip + 20;
    size_t text = p->payload ? strlen(p->payload) : 0;
    uint32_t payload = p->len > text ? p->len : (uint32_t)text;
    uint32_t header = p->proto == KT_PROTO_TCP ? 20 : 8;
    uint32_t total = 20 + header + payload;
    ip[0] = 0x45;
    ip[2] = (uint8_t)(total >> 8), ip[3] = (uint8_t)total;
    ip[9] = p->proto;
    memcpy(ip + 12, p->from, 4);
    memcpy(ip + 16, p->to, 4);
    uint8_t ports[4] = {(uint8_t)(p->sport >> 8), (uint8_t)p->sport, (uint8_t)(p->dport >> 8),
                        (uint8_t)p->dport};
    if (p->proto == KT_PROTO_ICMP) {
        l4[0] = 8;
        memcpy(l4 + 4, ports, 2);
    } else {
        memcpy(l4, ports, 4);
    }
    if (p->proto == KT_PROTO_TCP) {
        for (int i = 0; i < 4; i++)
            l4[4 + i] = (uint8_t)(p->seq >> (24 - 8 * i));
        l4[12] = 0x50;
        l4[13] = p->flags;
    } else if (p->proto == KT_PROTO_UDP) {
        l4[4] = (uint8_t)((8 + payload) >> 8), l4[5] = (uint8_t)(8 + payload);
    }
    assert_true(text < 150);
    if (text)
        memcpy(l4 + header, p->payload, text);
    struct kt_packet q = {.data = frame,
                          .ts = p->ts,
                          .caplen = (uint32_t)(l4 - frame) + header + (uint32_t)text,
                          .wirelen = (uint32_t)(l4 - frame) + header + payload,
                          .link = KT_LINK_ETHERNET};
    kt_decode(&q);
    assert_true(q.flags & KT_PKT_TRANSPORT || p->proto == 253);
    return q;
}

/* An ICMP error of `router` about a packet. */
static inline struct kt_packet make_icmp_error(const struct pkt *about, int64_t ts, uint8_t type,
                                               uint8_t code, uint8_t *frame)
{
    uint8_t inner[256];
    struct kt_packet quoted = make(about, inner);
    size_t len = quoted.caplen - quoted.l3;
    memset(frame, 0, 256);
    uint8_t *ip = frame + 14;
    memcpy(frame + 12, (uint8_t[]){8, 0, 0x45}, 3);
    uint32_t total = 28 + (uint32_t)len;
    ip[2] = (uint8_t)(total >> 8), ip[3] = (uint8_t)total;
    ip[9] = KT_PROTO_ICMP;
    memcpy(ip + 12, (uint8_t[]){10, 9, 9, 9}, 4);
    memcpy(ip + 16, about->from, 4);
    ip[20] = type;
    ip[21] = code;
    assert_true(len < 200);
    memcpy(ip + 28, inner + quoted.l3, len);
    struct kt_packet q = {
        .data = frame, .ts = ts, .caplen = 14 + total, .wirelen = 14 + total, .link = 1};
    kt_decode(&q);
    assert_true(q.flags & KT_PKT_ICMP_ERROR);
    return q;
}

/* Sends one packet at its time, closing intervals before. Returns its bytes on the wire. */
static inline uint32_t send_pkt(struct world *w, struct pkt p)
{
    uint8_t frame[256];
    ticks_until(w, p.ts);
    struct kt_packet q = make(&p, frame);
    give(w, &q);
    return q.wirelen;
}

/* What A (10.0.0.1:40000) sends to B (10.0.0.2:80), and back. */
#define A_TO_B .from = {10, 0, 0, 1}, .to = {10, 0, 0, 2}, .sport = 40000, .dport = 80
#define B_TO_A .from = {10, 0, 0, 2}, .to = {10, 0, 0, 1}, .sport = 80, .dport = 40000
#define SEND(w, ...) send_pkt((w), (struct pkt){__VA_ARGS__})

/* SYN, SYN+ACK, ACK at ts, ts + 10 ms, ts + 20 ms. */
static inline void handshake(struct world *w, int64_t ts)
{
    SEND(w, .ts = ts, .proto = KT_PROTO_TCP, A_TO_B, .flags = KT_TCP_SYN, .seq = 100);
    SEND(w, .ts = ts + 10 * MS, .proto = KT_PROTO_TCP, B_TO_A, .flags = KT_TCP_SYN | KT_TCP_ACK,
         .seq = 500);
    SEND(w, .ts = ts + 20 * MS, .proto = KT_PROTO_TCP, A_TO_B, .flags = KT_TCP_ACK, .seq = 101);
}

/* Ends the run: the record of the only flow, or of the one with this id. */
static inline const struct kt_flow_record *the_end(struct world *w)
{
    tick(w, true, true);
    return w->record;
}

#endif
