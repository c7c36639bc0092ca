/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Slices, records and relabels, made here, and what becomes of them: samples, points and totals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <kotare/collect.h>
#include <stdio.h>
#include <stdlib.h>

#define T0 (INT64_C(1700006400) * KT_SECOND)
#define SEC KT_SECOND

static const char rules_text[] = "protocol: chirp\nname: Chirp\ntransport: tcp udp\n"
                                 "category: messaging\npriority: 10\nsource: made up\n"
                                 "shape ask: text \"CHRP\"\naccept: either ask\n"
                                 "\n"
                                 "protocol: squawk\nname: Squawk\ntransport: tcp udp\n"
                                 "category: messaging\npriority: 20\nsource: made up\n"
                                 "shape ask: text \"SQWK\"\naccept: either ask\n";

/* ---- what the collector is given ---- */

struct given {
    struct kt_slice slice[64];
    uint64_t seq[64];
    struct kt_flow_record record[64];
    struct kt_relabel relabel[64];
    struct kt_harvest h;
};

/* ---- and what it makes of it ---- */

struct made {
    struct kt_rules *rules;
    struct kt_collect *collect;
    struct kt_store *store;
    struct kt_stream stream[256];
    int64_t value[256][KT_VALUES]; /* of the last interval */
    bool has[256];
    size_t streams;
    unsigned intervals;
    int64_t start, first;
    struct kt_slice slice[256];
    size_t slices;
    uint64_t flow[256];
    size_t flows;
    int fail_interval, fail_flows;
};

static int on_interval(void *ctx, const struct kt_interval *iv)
{
    struct made *m = ctx;
    assert_true(iv->stream_count <= 256 && iv->stream_count >= m->streams);
    for (size_t i = 0; i < m->streams; i++) /* never renumbered */
        assert_memory_equal(&m->stream[i], &iv->streams[i], sizeof m->stream[i]);
    memset(m->has, 0, sizeof m->has);
    memset(m->value, 0, sizeof m->value);
    m->streams = iv->stream_count;
    memcpy(m->stream, iv->streams, iv->stream_count * sizeof *iv->streams);
    for (size_t i = 0; i < iv->sample_count; i++) {
        const struct kt_sample *s = &iv->samples[i];
        assert_true(s->stream < iv->stream_count && !m->has[s->stream]);
        m->has[s->stream] = true;
        memcpy(m->value[s->stream], s->value, sizeof s->value);
    }
    m->start = iv->start;
    m->first = iv->first_interval;
    assert_int_equal(iv->length, SEC);
    m->intervals++;
    assert_true(iv->slice_count <= 256);
    m->slices = iv->slice_count;
    if (iv->slice_count)
        memcpy(m->slice, iv->slices, iv->slice_count * sizeof *iv->slices);
    return m->fail_interval;
}

static int on_flows(void *ctx, const struct kt_flow_record *r, size_t n)
{
    struct made *m = ctx;
    for (size_t i = 0; i < n; i++)
        m->flow[m->flows++] = r[i].id;
    return m->fail_flows;
}

static void made_init(struct made *m)
{
    struct kt_error err = {0};
    memset(m, 0, sizeof *m);
    if (kt_rules_load_text(&m->rules, "test", rules_text, strlen(rules_text), &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(kt_store_open(&m->store, NULL, KT_STORE_WRITE, &err), KT_OK);
    struct kt_collect_options o = {
        .rules = m->rules, .store = m->store, .interval = on_interval, .flows = on_flows, .ctx = m};
    assert_int_equal(kt_collect_new(&m->collect, &o, &err), KT_OK);
}

static void made_fini(struct made *m)
{
    kt_collect_free(m->collect);
    kt_store_close(m->store);
    kt_rules_free(m->rules);
}

static uint16_t app(const struct made *m, const char *name)
{
    for (unsigned a = 0; a < kt_rules_apps(m->rules); a++)
        if (strcmp(kt_rules_app_name(m->rules, a), name) == 0)
            return (uint16_t)a;
    fail_msg("no application %s", name);
    return 0;
}

/* Hands over what `g` holds, dealt out to `workers` harvests by position. */
static int take(struct made *m, const struct given *g, unsigned workers, int64_t start, bool closes)
{
    static struct given part[8];
    struct kt_harvest *h[8];
    struct kt_error err = {0};
    for (unsigned w = 0; w < workers; w++) {
        struct given *p = &part[w];
        p->h = (struct kt_harvest){
            .slice = p->slice, .slice_seq = p->seq, .record = p->record, .relabel = p->relabel};
        h[w] = &p->h;
    }
    for (uint32_t i = 0; i < g->h.slices; i++) {
        struct given *p = &part[g->seq[i] * 7 % workers];
        p->slice[p->h.slices] = g->slice[i];
        p->seq[p->h.slices++] = g->seq[i];
    }
    for (size_t i = 0; i < g->h.records; i++) {
        struct given *p = &part[g->record[i].id * 5 % workers];
        p->record[p->h.records++] = g->record[i];
    }
    for (size_t i = 0; i < g->h.relabels; i++) {
        struct given *p = &part[i * 3 % workers];
        p->relabel[p->h.relabels++] = g->relabel[i];
    }
    return kt_collect_take(m->collect, start, SEC, closes, h, workers, &err);
}

static struct kt_slice *add(struct given *g, uint16_t app_number, uint8_t proto, uint8_t from,
                            uint8_t to, uint16_t port, uint64_t up, uint64_t down, uint8_t flags)
{
    struct kt_slice *s = &g->slice[g->h.slices];
    g->seq[g->h.slices] = g->h.slices * 3u;
    g->h.slices++;
    *s = (struct kt_slice){.ip = 4,
                           .proto = proto,
                           .app = app_number,
                           .flags = flags,
                           .port = {40000, port},
                           .bytes = {up, down},
                           .packets = {(uint32_t)(up / 100), (uint32_t)(down / 100)}};
    s->addr[0][0] = from;
    s->addr[1][0] = to;
    return s;
}

/* The sample of the last interval; NULL: there is none. */
static const int64_t *sample(const struct made *m, enum kt_stream_kind kind, const char *name)
{
    for (size_t i = 0; i < m->streams; i++)
        if (m->stream[i].kind == kind && strcmp(m->stream[i].name, name) == 0)
            return m->has[i] ? m->value[i] : NULL;
    return NULL;
}

#define SAMPLE(m, kind, name, a, b, c)                                                             \
    do {                                                                                           \
        const int64_t *v_ = sample((m), KT_STREAM_##kind, (name));                                 \
        assert_non_null(v_);                                                                       \
        assert_int_equal(v_[0], (a));                                                              \
        assert_int_equal(v_[1], (b));                                                              \
        assert_int_equal(v_[2], (c));                                                              \
    } while (0)

/* Whatever the number of workers: each slice counts once in each kind of stream. */
static void test_an_interval(void **state)
{
    (void)state;
    for (unsigned workers = 1; workers <= 8; workers++) {
        struct made m;
        struct given g = {0};
        made_init(&m);
        uint16_t chirp = app(&m, "Chirp"), squawk = app(&m, "Squawk");
        add(&g, chirp, KT_PROTO_TCP, 1, 2, 80, 1000, 5000, KT_SLICE_NEW);
        add(&g, chirp, KT_PROTO_TCP, 3, 2, 80, 200, 300, 0);
        add(&g, squawk, KT_PROTO_UDP, 1, 2, 53, 100, 0, KT_SLICE_NEW | KT_SLICE_UNANSWERED);
        add(&g, squawk, KT_PROTO_TCP, 1, 2, 60000, 100, 100, KT_SLICE_NEW | KT_SLICE_REFUSED);
        assert_int_equal(take(&m, &g, workers, T0, true), KT_OK);
        assert_int_equal(m.intervals, 1);
        assert_int_equal(m.start, T0);
        assert_int_equal(m.first, T0);
        SAMPLE(&m, TOTAL, "", 6800, 68, 3);
        SAMPLE(&m, DIRECTION, "up", 1400, 14, 3);
        SAMPLE(&m, DIRECTION, "down", 5400, 54, 0);
        SAMPLE(&m, APP, "Chirp", 6500, 65, 1);
        SAMPLE(&m, APP, "Squawk", 300, 3, 2);
        SAMPLE(&m, CATEGORY, "messaging", 6800, 68, 3);
        SAMPLE(&m, PORT, "tcp/80", 6500, 65, 1);
        SAMPLE(&m, PORT, "udp/53", 100, 1, 1);
        SAMPLE(&m, PORT, "tcp/dynamic", 200, 2, 1);
        SAMPLE(&m, HEALTH, "refused", 1, 3, 0);
        SAMPLE(&m, HEALTH, "unanswered", 1, 3, 0);
        SAMPLE(&m, HEALTH, "fanout", 3, 3, 0); /* host 1 opened three flows to three places */
        assert_null(sample(&m, KT_STREAM_HEALTH, "rtt"));
        assert_int_equal(m.slices, 4);
        for (size_t i = 0; i < 4; i++) /* in the order of the trace */
            assert_memory_equal(&m.slice[i], &g.slice[i], sizeof g.slice[i]);
        const struct kt_app_total *t = kt_collect_totals(m.collect);
        assert_int_equal(t[chirp].bytes, 6500);
        assert_int_equal(t[squawk].flows, 2);
        made_fini(&m);
    }
}

/* A silent interval has every stream with a zero, and a point of the total in the store. */
static void test_silence(void **state)
{
    (void)state;
    struct made m;
    struct given g = {0}, none = {0};
    struct kt_error err = {0};
    struct kt_store_result r;
    made_init(&m);
    assert_int_equal(take(&m, &none, 1, T0, true), KT_OK);
    SAMPLE(&m, TOTAL, "", 0, 0, 0);
    add(&g, app(&m, "Chirp"), KT_PROTO_TCP, 1, 2, 80, 1000, 0, KT_SLICE_NEW);
    assert_int_equal(take(&m, &g, 1, T0 + SEC, true), KT_OK);
    assert_int_equal(take(&m, &none, 1, T0 + 2 * SEC, true), KT_OK);
    SAMPLE(&m, TOTAL, "", 0, 0, 0);
    SAMPLE(&m, APP, "Chirp", 0, 0, 0);
    SAMPLE(&m, PORT, "tcp/80", 0, 0, 0);
    SAMPLE(&m, HEALTH, "fanout", 0, 0, 0);
    assert_int_equal(m.intervals, 3);
    assert_int_equal(m.first, T0);
    /* after a gap */
    assert_int_equal(take(&m, &none, 1, T0 + 5 * SEC, true), KT_OK);
    assert_int_equal(kt_store_commit(m.store, &err), KT_OK);
    assert_int_equal(kt_store_query(m.store, KT_STREAM_TOTAL, NULL, T0, T0 + 6 * SEC, 6, &r, &err),
                     KT_OK);
    assert_int_equal(r.bins, 6);
    const bool seen[] = {true, true, true, false, false, true};
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(r.seen[i], seen[i]);
        assert_int_equal(r.series[0].value[i * KT_VALUES], i == 1 ? 1000 : 0);
    }
    kt_store_result_fini(&r);
    made_fini(&m);
}

/* What is moved from one application to another is moved in its own interval, in the store and in
 * the totals; the sum stays. */
static void test_relabel(void **state)
{
    (void)state;
    struct made m;
    struct given g = {0}, later = {0};
    struct kt_error err = {0};
    struct kt_store_result r;
    made_init(&m);
    uint16_t none = kt_rules_label(m.rules, KT_LABEL_NO_PAYLOAD)->app;
    uint16_t chirp = app(&m, "Chirp"), squawk = app(&m, "Squawk");
    add(&g, none, KT_PROTO_TCP, 1, 2, 80, 1000, 500, KT_SLICE_NEW);
    add(&g, chirp, KT_PROTO_TCP, 3, 2, 80, 700, 0, KT_SLICE_NEW);
    assert_int_equal(take(&m, &g, 2, T0, true), KT_OK);
    later.h.relabels = 2;
    later.relabel[0] = (struct kt_relabel){
        .interval = T0, .from = none, .to = chirp, .packets = 15, .flows = 1, .bytes = 1500};
    later.relabel[1] = (struct kt_relabel){/* within a category */
                                           .interval = T0, .from = chirp, .to = squawk,
                                           .packets = 7,   .flows = 1,    .bytes = 700};
    assert_int_equal(take(&m, &later, 2, T0 + SEC, true), KT_OK);
    SAMPLE(&m, APP, "Chirp", 0, 0, 0); /* what is past is not this interval's */
    const struct kt_app_total *t = kt_collect_totals(m.collect);
    assert_int_equal(t[none].bytes + t[none].packets + t[none].flows, 0);
    assert_int_equal(t[chirp].bytes, 1500);
    assert_int_equal(t[chirp].packets, 15);
    assert_int_equal(t[chirp].flows, 1);
    assert_int_equal(t[squawk].bytes, 700);
    assert_int_equal(kt_store_commit(m.store, &err), KT_OK);
    static const struct {
        enum kt_stream_kind kind;
        const char *name;
        int64_t bytes, packets, flows;
    } want[] = {
        {KT_STREAM_APP, "Chirp", 1500, 15, 1},       {KT_STREAM_APP, "Squawk", 700, 7, 1},
        {KT_STREAM_APP, "No payload", 0, 0, 0},      {KT_STREAM_CATEGORY, "messaging", 2200, 22, 2},
        {KT_STREAM_CATEGORY, "no payload", 0, 0, 0}, {KT_STREAM_TOTAL, "", 2200, 22, 2}};
    for (size_t i = 0; i < KT_ARRAY_LEN(want); i++) {
        assert_int_equal(
            kt_store_query(m.store, want[i].kind, want[i].name, T0, T0 + 2 * SEC, 2, &r, &err),
            KT_OK);
        assert_int_equal(r.n, 1);
        assert_int_equal(r.series[0].value[KT_VALUE_BYTES], want[i].bytes);
        assert_int_equal(r.series[0].value[KT_VALUE_PACKETS], want[i].packets);
        assert_int_equal(r.series[0].value[KT_VALUE_FLOWS], want[i].flows);
        assert_int_equal(r.series[0].value[KT_VALUES], 0); /* the second interval */
        kt_store_result_fini(&r);
    }
    made_fini(&m);
}

static void test_ports(void **state)
{
    (void)state;
    static const struct {
        uint8_t proto;
        uint16_t port;
        const char *name;
    } cases[] = {{KT_PROTO_TCP, 443, "tcp/443"},         {KT_PROTO_UDP, 443, "udp/443"},
                 {KT_PROTO_TCP, 1, "tcp/system"},        {KT_PROTO_TCP, 1023, "tcp/system"},
                 {KT_PROTO_TCP, 1024, "tcp/registered"}, {KT_PROTO_UDP, 49151, "udp/registered"},
                 {KT_PROTO_UDP, 49152, "udp/dynamic"},   {KT_PROTO_UDP, 65535, "udp/dynamic"},
                 {KT_PROTO_UDP, 0, "udp/system"},        {KT_PROTO_ICMP, 7, "icmp"},
                 {KT_PROTO_SCTP, 443, "sctp"},           {253, 0, "proto-253"}};
    struct made m;
    struct given g = {0};
    made_init(&m);
    for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++)
        add(&g, 0, cases[i].proto, 1, 2, cases[i].port, 100 * (i + 1), 0, 0);
    struct kt_slice *s = add(&g, 0, 0, 0, 0, 0, 5000, 0, 0);
    s->ip = 0;
    assert_int_equal(take(&m, &g, 3, T0, true), KT_OK);
    for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
        int64_t want = 0;
        for (size_t k = 0; k < KT_ARRAY_LEN(cases); k++)
            want += strcmp(cases[k].name, cases[i].name) == 0 ? 100 * ((int64_t)k + 1) : 0;
        SAMPLE(&m, PORT, cases[i].name, want, want / 100, 0);
    }
    SAMPLE(&m, PORT, "not-ip", 5000, 50, 0);
    made_fini(&m);
}

/* The median of the handshakes; retransmissions of TCP only; the widest initiator. */
static void test_health(void **state)
{
    (void)state;
    struct made m;
    struct given g = {0};
    made_init(&m);
    static const uint32_t rtt[] = {900, 100, 500, 100000, 300};
    for (size_t i = 0; i < KT_ARRAY_LEN(rtt); i++) {
        struct kt_slice *s =
            add(&g, 0, KT_PROTO_TCP, 1, 2, (uint16_t)(80 + i % 3), 1000, 0, KT_SLICE_NEW);
        s->rtt_us = rtt[i];
        s->retransmits = (uint16_t)i;
    }
    for (unsigned i = 0; i < 15; i++) /* many flows to one place are one */
        add(&g, 0, KT_PROTO_TCP, 1, 2, 80, 0, 0, KT_SLICE_NEW);
    /* one port of twenty hosts; those known of old do not count */
    for (unsigned i = 0; i < 20; i++)
        add(&g, 0, KT_PROTO_UDP, 7, (uint8_t)(100 + i % 10), 53, 100, 0, i < 10 ? KT_SLICE_NEW : 0)
            ->retransmits = 9;
    assert_int_equal(take(&m, &g, 4, T0, true), KT_OK);
    SAMPLE(&m, HEALTH, "rtt", 500, 5, 1);
    SAMPLE(&m, HEALTH, "retransmits", 0 + 1 + 2 + 3 + 4, 50, 0);
    SAMPLE(&m, HEALTH, "fanout", 10, 30, 0);
    made_fini(&m);
}

/* Records come by id, whoever had them; slices wait when nothing closes. */
static void test_flows_by_id(void **state)
{
    (void)state;
    struct made m;
    struct given g = {0};
    made_init(&m);
    static const uint64_t ids[] = {900, 3, 77, 12, 500, 4, 8, 1};
    for (size_t i = 0; i < KT_ARRAY_LEN(ids); i++)
        g.record[g.h.records++].id = ids[i];
    assert_int_equal(take(&m, &g, 3, T0, false), KT_OK);
    assert_int_equal(m.intervals, 0);
    assert_int_equal(m.flows, KT_ARRAY_LEN(ids));
    for (size_t i = 1; i < m.flows; i++)
        assert_true(m.flow[i] > m.flow[i - 1]);
    made_fini(&m);
}

static void test_callbacks_end_the_run(void **state)
{
    (void)state;
    struct made m;
    struct given g = {0};
    made_init(&m);
    g.record[g.h.records++].id = 1;
    m.fail_interval = KT_EFORMAT;
    assert_int_equal(take(&m, &g, 1, T0, true), KT_EFORMAT);
    assert_int_equal(m.flows, 0);
    m.fail_interval = 0;
    m.fail_flows = KT_EFULL;
    assert_int_equal(take(&m, &g, 1, T0 + SEC, true), KT_EFULL);
    made_fini(&m);
}

/* Without a store and without callbacks the totals are still there. */
static void test_alone(void **state)
{
    (void)state;
    struct made m;
    struct given g = {0};
    struct kt_error err = {0};
    made_init(&m);
    struct kt_collect *both = m.collect;
    struct kt_collect_options o = {.rules = m.rules};
    assert_int_equal(kt_collect_new(&m.collect, &o, &err), KT_OK);
    add(&g, app(&m, "Chirp"), KT_PROTO_TCP, 1, 2, 80, 1000, 0, KT_SLICE_NEW);
    g.record[g.h.records++].id = 1;
    assert_int_equal(take(&m, &g, 1, T0, true), KT_OK);
    assert_int_equal(kt_collect_totals(m.collect)[app(&m, "Chirp")].bytes, 1000);
    kt_collect_free(m.collect);
    m.collect = both;
    made_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_interval), cmocka_unit_test(test_silence),
        cmocka_unit_test(test_relabel),     cmocka_unit_test(test_ports),
        cmocka_unit_test(test_health),      cmocka_unit_test(test_flows_by_id),
        cmocka_unit_test(test_alone),       cmocka_unit_test(test_callbacks_end_the_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
