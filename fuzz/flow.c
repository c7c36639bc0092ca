/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * The flow table, ticked as the pipeline does, with the collector behind it. The bytes are a
 * programme of packets: TCP and UDP between few addresses, so that they meet again, and frames of
 * any bytes. Whatever comes, no packet, byte or flow is lost or counted twice, in the records, in
 * the intervals and by application.
 */
#include "fuzz.h"
#include "pipeline/internal.h"
#include <kotare/collect.h>

#define BEGIN (INT64_C(1700000000) * KT_SECOND)

enum { FRAMES = 24, FRAME = 320, FLOWS = 4096 };

struct state {
    struct kt_cursor in;
    struct kt_flow_table *table;
    struct kt_collect *collect;
    struct kt_expect *expect;
    struct kt_intervals iv;
    struct kt_packet packet[FRAMES];
    uint8_t frame[FRAMES][FRAME];
    unsigned n;
    int64_t now;
    uint64_t packets, bytes;                    /* fed */
    uint64_t rec_packets, rec_bytes, rec_flows; /* of the records */
    uint64_t sum_packets, sum_bytes, sum_flows; /* of the intervals' total */
    uint64_t begun;
    struct kt_app_total app[512]; /* of the records */
    uint8_t seen[FLOWS];
};

static struct kt_rules *rules;

/* ---- what comes out ---- */

static int on_flows(void *ctx, const struct kt_flow_record *r, size_t n)
{
    struct state *s = ctx;
    for (; n; n--, r++) {
        unsigned app = kt_rules_label(rules, r->verdict.label)->app;
        fuzz_must(app < KT_ARRAY_LEN(s->app) && r->id < FLOWS && !s->seen[r->id]);
        fuzz_must(r->first <= r->last && r->name_len <= KT_NAME_MAX);
        fuzz_must(r->packets[0] + r->packets[1] > 0);
        fuzz_must(r->seen.dir[0].captured <= KT_IDENT_HEAD &&
                  r->seen.dir[1].captured <= KT_IDENT_HEAD);
        for (int side = 0; side < 2; side++) { /* interim records too: what is new in each */
            fuzz_must(r->packets[side] >= r->told_packets[side]);
            s->rec_packets += r->packets[side] - r->told_packets[side];
            s->rec_bytes += r->bytes[side] - r->told_bytes[side];
        }
        if (r->flags & KT_FLOW_INTERIM)
            continue;
        s->seen[r->id] = 1;
        s->rec_flows++;
        for (int side = 0; side < 2; side++) {
            fuzz_must(r->payload[side] <= r->bytes[side] || !r->packets[side]);
            s->app[app].packets += r->packets[side];
            s->app[app].bytes += r->bytes[side];
        }
        s->app[app].flows++;
    }
    return KT_OK;
}

static int on_interval(void *ctx, const struct kt_interval *iv)
{
    struct state *s = ctx;
    for (size_t i = 0; i < iv->sample_count; i++) {
        const struct kt_sample *v = &iv->samples[i];
        fuzz_must(v->stream < iv->stream_count);
        if (iv->streams[v->stream].kind != KT_STREAM_TOTAL)
            continue;
        s->sum_bytes += (uint64_t)v->value[KT_VALUE_BYTES];
        s->sum_packets += (uint64_t)v->value[KT_VALUE_PACKETS];
        s->sum_flows += (uint64_t)v->value[KT_VALUE_FLOWS];
    }
    return KT_OK;
}

/* ---- what goes in ---- */

static void tick(struct state *s, const struct kt_tick *t)
{
    struct kt_harvest *h;
    struct kt_error err = {0};
    fuzz_must(kt_flow_table_tick(s->table, t->start, t->closes, t->last, &h) == KT_OK);
    s->begun = h->flows;
    fuzz_must(kt_collect_take(s->collect, t->start, t->length, t->closes, &h, 1, &err) == KT_OK);
    kt_harvest_done(h);
}

static void flush(struct state *s)
{
    if (s->n)
        fuzz_must(kt_flow_table_packets(s->table, s->packet, s->n) == KT_OK);
    s->n = 0;
}

static void feed(struct state *s, uint16_t link, uint32_t caplen, uint32_t more)
{
    struct kt_packet *p = &s->packet[s->n];
    struct kt_tick t;
    *p = (struct kt_packet){.data = s->frame[s->n],
                            .ts = s->now,
                            .seq = s->packets++,
                            .caplen = caplen,
                            .wirelen = caplen + more,
                            .link = link};
    s->bytes += p->wirelen;
    kt_decode(p);
    kt_expect_packets(s->expect, p, 1);
    while (kt_intervals_due(&s->iv, p->ts, &t)) {
        struct kt_packet keep = *p;
        unsigned at = s->n;
        flush(s);
        tick(s, &t);
        if (at) { /* the frame moves to the front with its packet */
            memcpy(s->frame[0], s->frame[at], FRAME);
            keep.data = s->frame[0];
            p = &s->packet[0];
            *p = keep;
        }
    }
    s->iv.since++;
    if (++s->n == FRAMES)
        flush(s);
}

/* TCP or UDP over IPv4 between few ends, with the payload that follows in the programme. */
static void talk(struct state *s, bool tcp)
{
    static const uint16_t port[4] = {80, 53, 40000, 443};
    uint8_t *f = s->frame[s->n], ends = kt_cursor_u8(&s->in), flags = kt_cursor_u8(&s->in);
    uint16_t seq = kt_cursor_be16(&s->in), sport = port[ends >> 4 & 3], dport = port[ends >> 6];
    uint8_t more = kt_cursor_u8(&s->in);
    size_t payload = more & 63, left = kt_cursor_left(&s->in);
    if (payload > left)
        payload = left;
    unsigned header = tcp ? 20 : 8, total = 20 + header + (unsigned)payload + (more & 64 ? 200 : 0);
    memset(f, 0, 40);
    f[0] = 0x45;
    f[2] = (uint8_t)(total >> 8);
    f[3] = (uint8_t)total;
    f[9] = tcp ? KT_PROTO_TCP : KT_PROTO_UDP;
    f[12] = f[16] = 10;
    f[15] = ends & 3;
    f[19] = ends >> 2 & 3;
    f[20] = (uint8_t)(sport >> 8);
    f[21] = (uint8_t)sport;
    f[22] = (uint8_t)(dport >> 8);
    f[23] = (uint8_t)dport;
    if (tcp) {
        f[26] = (uint8_t)(seq >> 8);
        f[27] = (uint8_t)seq;
        f[32] = 0x50;
        f[33] = flags;
    } else {
        f[24] = (uint8_t)((total - 20) >> 8);
        f[25] = (uint8_t)(total - 20);
    }
    const uint8_t *bytes = kt_cursor_take(&s->in, payload);
    if (payload)
        memcpy(f + 20 + header, bytes, payload);
    feed(s, KT_LINK_RAW, 20 + header + (uint32_t)payload, total - 20 - header - (uint32_t)payload);
}

static void anything(struct state *s)
{
    static const uint16_t link[4] = {KT_LINK_ETHERNET, KT_LINK_RAW, KT_LINK_LINUX_SLL, KT_LINK_PPP};
    uint8_t which = kt_cursor_u8(&s->in), len = kt_cursor_u8(&s->in);
    size_t left = kt_cursor_left(&s->in), n = len < left ? len : left;
    const uint8_t *bytes = kt_cursor_take(&s->in, n);
    if (n)
        memcpy(s->frame[s->n], bytes, n);
    feed(s, link[which & 3], (uint32_t)n, which & 4 ? 1000 : 0);
}

/* Forward mostly, from microseconds to beyond every time-out; sometimes back. */
static void wait(struct state *s, uint8_t how)
{
    static const int64_t unit[4] = {1000, 50 * 1000 * 1000, KT_SECOND, 4 * KT_SECOND};
    int64_t by = kt_cursor_u8(&s->in) * unit[how >> 2 & 3];
    if (how & 16)
        by = -by;
    if (s->now + by > BEGIN && s->now + by < BEGIN + 20000 * KT_SECOND)
        s->now += by;
}

static void check(const struct state *s)
{
    const struct kt_app_total *total = kt_collect_totals(s->collect);
    fuzz_must(s->rec_packets == s->packets && s->rec_bytes == s->bytes);
    fuzz_must(s->rec_flows == s->begun);
    fuzz_must(s->sum_packets == s->packets && s->sum_bytes == s->bytes);
    fuzz_must(s->sum_flows == s->begun);
    for (unsigned a = 0; a < kt_rules_apps(rules); a++)
        fuzz_must(total[a].bytes == s->app[a].bytes && total[a].packets == s->app[a].packets &&
                  total[a].flows == s->app[a].flows);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kt_error err = {0};
    static struct state s;
    if (!rules)
        fuzz_must(kt_rules_load_builtin(&rules, &err) == KT_OK);
    memset(&s, 0, sizeof s);
    s.in = kt_cursor(data, size);
    s.now = BEGIN;
    uint8_t most = kt_cursor_u8(&s.in), seconds = kt_cursor_u8(&s.in);
    s.iv = (struct kt_intervals){.length = (1 + seconds % 4) * KT_SECOND, .start = -1};
    fuzz_must(kt_expect_new(&s.expect, rules, &err) == KT_OK);
    struct kt_flow_options opt = {.rules = rules,
                                  .max_flows = most & 128 ? 1 + most % 16u : 0,
                                  .interval = s.iv.length,
                                  .active = (seconds >> 2 & 15) * 7 * KT_SECOND,
                                  .expect = seconds & 128 ? s.expect : NULL};
    struct kt_collect_options copt = {
        .rules = rules, .interval = on_interval, .flows = on_flows, .ctx = &s};
    fuzz_must(kt_flow_table_new(&s.table, &opt, &err) == KT_OK);
    fuzz_must(kt_collect_new(&s.collect, &copt, &err) == KT_OK);
    while (kt_cursor_left(&s.in) && s.packets < FLOWS) {
        uint8_t op = kt_cursor_u8(&s.in);
        if ((op & 3) == 3)
            wait(&s, op);
        else if ((op & 3) == 2)
            anything(&s);
        else
            talk(&s, op & 1);
    }
    flush(&s);
    struct kt_tick last = kt_intervals_last(&s.iv);
    tick(&s, &last);
    check(&s);
    kt_collect_free(s.collect);
    kt_flow_table_free(s.table);
    kt_expect_free(s.expect);
    return 0;
}
