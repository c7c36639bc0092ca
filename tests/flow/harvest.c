/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * What a table hands over: slices that add up to the records, and what is moved when an application
 * becomes known. */
#include "helper.h"

/* Packets, bytes and flows by application of slices, with what was moved. */
struct sums {
    int64_t packets, bytes, flows;
};
enum { APPS = 16 };

static void add_slices(const struct world *w, struct sums by_app[APPS])
{
    memset(by_app, 0, APPS * sizeof *by_app);
    assert_true(kt_rules_apps(w->rules) <= APPS);
    for (size_t i = 0; i < w->slices; i++) {
        const struct kt_slice *s = &w->slice[i];
        by_app[s->app].packets += (int64_t)s->packets[0] + s->packets[1];
        by_app[s->app].bytes += (int64_t)(s->bytes[0] + s->bytes[1]);
        by_app[s->app].flows += s->flags & KT_SLICE_NEW;
    }
    for (size_t i = 0; i < w->relabels; i++) {
        const struct kt_relabel *r = &w->relabel[i];
        assert_int_not_equal(r->from, r->to);
        by_app[r->from].packets -= r->packets;
        by_app[r->from].bytes -= (int64_t)r->bytes;
        by_app[r->from].flows -= r->flows;
        by_app[r->to].packets += r->packets;
        by_app[r->to].bytes += (int64_t)r->bytes;
        by_app[r->to].flows += r->flows;
    }
}

static void add_records(const struct world *w, struct sums by_app[APPS])
{
    memset(by_app, 0, APPS * sizeof *by_app);
    for (size_t i = 0; i < w->records; i++) {
        const struct kt_flow_record *r = &w->record[i];
        if (r->flags & KT_FLOW_INTERIM)
            continue;
        struct sums *s = &by_app[kt_rules_label(w->rules, r->verdict.label)->app];
        s->packets += (int64_t)(r->packets[0] + r->packets[1]);
        s->bytes += (int64_t)(r->bytes[0] + r->bytes[1]);
        s->flows++;
    }
}

static void assert_sums_agree(const struct world *w)
{
    struct sums slices[APPS], records[APPS];
    add_slices(w, slices);
    add_records(w, records);
    assert_memory_equal(slices, records, sizeof slices);
}

/* One flow over seven intervals: a slice for each in which it did something. */
static void test_slices_of_a_flow(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 0);
    handshake(&w, T0 + 900 * MS);
    uint64_t up = SEND(&w, .ts = T0 + SEC, .proto = KT_PROTO_TCP, A_TO_B,
                       .flags = KT_TCP_ACK | KT_TCP_PSH, .seq = 101, .payload = "CHRP");
    up += SEND(&w, .ts = T0 + SEC + MS, .proto = KT_PROTO_TCP, A_TO_B, .flags = KT_TCP_ACK,
               .seq = 101, .payload = "CHRP");
    uint64_t down = SEND(&w, .ts = T0 + 6 * SEC, .proto = KT_PROTO_TCP, B_TO_A, .flags = KT_TCP_ACK,
                         .seq = 501, .payload = "CHOK");
    the_end(&w);
    assert_int_equal(w.slices, 3);
    const struct kt_slice *s = w.slice;
    assert_int_equal(w.slice_start[0], T0);
    assert_int_equal(s[0].flags, KT_SLICE_NEW);
    assert_int_equal(s[0].packets[0], 2);
    assert_int_equal(s[0].packets[1], 1);
    assert_int_equal(s[0].rtt_us, 20000);
    assert_int_equal(s[0].tcp_flags, KT_TCP_SYN | KT_TCP_ACK);
    assert_int_equal(w.slice_start[1], T0 + SEC);
    assert_int_equal(s[1].flags, 0);
    assert_int_equal(s[1].bytes[0], up);
    assert_int_equal(s[1].bytes[1], 0);
    assert_int_equal(s[1].rtt_us, 0); /* told once */
    assert_int_equal(s[1].retransmits, 1);
    assert_int_equal(s[1].tcp_flags, KT_TCP_ACK | KT_TCP_PSH);
    assert_int_equal(w.slice_start[2], T0 + 6 * SEC);
    assert_int_equal(s[2].bytes[1], down);
    assert_int_equal(s[2].retransmits, 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(s[i].port[0], 40000);
        assert_int_equal(s[i].port[1], 80);
        assert_int_equal(s[i].addr[0][3], 1);
        assert_int_equal(s[i].proto, KT_PROTO_TCP);
        assert_int_equal(s[i].ip, 4);
    }
    world_fini(&w);
}

/* TCP without payload, then one side's, then both: three names for one flow, and what was told
 * under an earlier one is moved, interval by interval. */
static void test_relabel(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 0);
    uint64_t bytes[3] = {0};
    handshake(&w, T0);
    bytes[1] = SEND(&w, .ts = T0 + 2 * SEC, .proto = KT_PROTO_TCP, A_TO_B, .flags = KT_TCP_ACK,
                    .seq = 101, .payload = "CHRP");
    bytes[2] = SEND(&w, .ts = T0 + 5 * SEC, .proto = KT_PROTO_TCP, B_TO_A, .flags = KT_TCP_ACK,
                    .seq = 501, .payload = "CHOK");
    the_end(&w);
    bytes[0] = w.slice[0].bytes[0] + w.slice[0].bytes[1];
    uint16_t none = kt_rules_label(w.rules, KT_LABEL_NO_PAYLOAD)->app;
    uint16_t half = (uint16_t)app(&w, "Half"), chirp = (uint16_t)app(&w, "Chirp");
    assert_int_equal(w.slice[0].app, none);
    assert_int_equal(w.slice[1].app, half);
    assert_int_equal(w.slice[2].app, chirp);
    const struct kt_relabel want[] = {
        {.interval = T0, .from = none, .to = half, .packets = 3, .flows = 1, .bytes = bytes[0]},
        {.interval = T0, .from = half, .to = chirp, .packets = 3, .flows = 1, .bytes = bytes[0]},
        {.interval = T0 + 2 * SEC,
         .from = half,
         .to = chirp,
         .packets = 1,
         .flows = 0,
         .bytes = bytes[1]},
    };
    assert_int_equal(w.relabels, KT_ARRAY_LEN(want));
    for (size_t i = 0; i < KT_ARRAY_LEN(want); i++) {
        assert_int_equal(w.relabel[i].interval, want[i].interval);
        assert_int_equal(w.relabel[i].from, want[i].from);
        assert_int_equal(w.relabel[i].to, want[i].to);
        assert_int_equal(w.relabel[i].packets, want[i].packets);
        assert_int_equal(w.relabel[i].flows, want[i].flows);
        assert_int_equal(w.relabel[i].bytes, want[i].bytes);
    }
    assert_sums_agree(&w);
    world_fini(&w);
}

/* More intervals than the table remembers one by one: none is forgotten. */
static void test_relabel_after_many_intervals(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 0);
    handshake(&w, T0);
    for (int i = 1; i < 40; i++)
        SEND(&w, .ts = T0 + i * SEC, .proto = KT_PROTO_TCP, A_TO_B, .flags = KT_TCP_ACK,
             .seq = 101 + 4 * (uint32_t)i, .payload = "CHRP");
    SEND(&w, .ts = T0 + 40 * SEC, .proto = KT_PROTO_TCP, B_TO_A, .flags = KT_TCP_ACK, .seq = 501,
         .payload = "CHOK");
    the_end(&w);
    assert_int_equal(w.slices, 41);
    struct sums by_app[APPS];
    add_slices(&w, by_app);
    assert_int_equal(by_app[app(&w, "Chirp")].packets, 43);
    for (size_t i = 0; i < w.relabels; i++) /* nothing moves in an interval that had nothing */
        assert_true(w.relabel[i].interval >= T0 && w.relabel[i].interval < T0 + 40 * SEC);
    assert_sums_agree(&w);
    world_fini(&w);
}

static void test_unanswered(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 0);
    SEND(&w, .ts = T0, .proto = KT_PROTO_UDP, A_TO_B);
    SEND(&w, .ts = T0 + SEC, .proto = KT_PROTO_UDP, A_TO_B);
    SEND(&w, .ts = T0 + 2 * SEC, .proto = KT_PROTO_UDP, B_TO_A);
    SEND(&w, .ts = T0 + 2 * SEC, .proto = KT_PROTO_UDP, A_TO_B, .vlan = 3);
    SEND(&w, .ts = T0 + 2 * SEC, .proto = KT_PROTO_UDP, B_TO_A, .vlan = 3);
    the_end(&w);
    assert_int_equal(w.slices, 4);
    assert_int_equal(w.slice[0].flags, KT_SLICE_NEW | KT_SLICE_UNANSWERED);
    assert_int_equal(w.slice[1].flags, 0);
    assert_int_equal(w.slice[2].flags, 0);
    assert_int_equal(w.slice[3].flags, KT_SLICE_NEW);
    world_fini(&w);
}

/* A tick that closes nothing hands over records; slices wait for the interval's end. */
static void test_tick_within_an_interval(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 0);
    handshake(&w, T0);
    tick(&w, false, false);
    assert_int_equal(w.records, 0);
    SEND(&w, .ts = T0 + 100 * MS, .proto = KT_PROTO_TCP, A_TO_B, .flags = KT_TCP_SYN, .seq = 7777);
    tick(&w, false, false);
    assert_int_equal(w.records, 1);
    assert_int_equal(w.record[0].end, KT_FLOW_REUSED);
    assert_int_equal(w.slices, 0);
    SEND(&w, .ts = T0 + 200 * MS, .proto = KT_PROTO_TCP, B_TO_A, .flags = KT_TCP_SYN | KT_TCP_ACK,
         .seq = 9);
    the_end(&w);
    assert_int_equal(w.slices, 2);
    assert_int_equal(w.slice_seq[0], 0);
    assert_int_equal(w.slice_seq[1], 3);
    assert_int_equal(w.records, 2);
    assert_sums_agree(&w);
    world_fini(&w);
}

/* An interval may be long and a flow fat. */
static void test_more_than_four_gigabytes(void **state)
{
    (void)state;
    struct world w;
    uint8_t frame[256];
    world_init(&w, 0);
    for (int i = 0; i < 5; i++) {
        struct kt_packet p = make(&(struct pkt){.ts = T0, .proto = KT_PROTO_UDP, A_TO_B}, frame);
        p.wirelen = 1000000000;
        give(&w, &p);
    }
    the_end(&w);
    assert_int_equal(w.slice[0].bytes[0], UINT64_C(5000000000));
    assert_sums_agree(&w);
    world_fini(&w);
}

/* The rest at the end: all that has not ended, by id, and none of what has. */
static void test_the_rest(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 0);
    for (int i = 0; i < 300; i++)
        SEND(&w, .ts = T0 + i * SEC, .proto = i % 3 ? KT_PROTO_UDP : KT_PROTO_ICMP,
             .from = {10, 0, 0, 1}, .to = {10, 0, 0, 2}, .sport = (uint16_t)(1000 + i),
             .dport = 2000);
    size_t ended = w.records;
    the_end(&w);
    assert_true(ended > 0 && w.rests > 0);
    assert_int_equal(w.records, 300);
    assert_int_equal(w.records - ended, w.rests);
    for (size_t i = ended; i < w.records; i++) {
        assert_int_equal(w.record[i].end, KT_FLOW_ACTIVE);
        for (size_t k = 0; k < ended; k++)
            assert_int_not_equal(w.record[k].id, w.record[i].id);
    }
    world_fini(&w);
}

/* A table that saw nothing still answers every tick. */
static void test_nothing(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 0);
    tick(&w, true, false);
    tick(&w, false, false);
    tick(&w, true, true);
    assert_int_equal(w.records + w.slices + w.relabels, 0);
    world_fini(&w);
}

/* Random traffic of all kinds, ticks of both kinds, tuples that come again, a small table or a
 * large one: sums over slices are sums over records, application by application, flow by flow. */
static void test_random_traffic(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 6; round++) {
        bool small = round & 1, interim = round > 3;
        enum { TUPLES = 200 };
        struct world w;
        uint8_t frame[256];
        world_init_active(&w, small ? 50 : 0, interim ? 2 * SEC : 0);
        uint64_t x = 88172645463325252u + round;
        uint64_t sent[TUPLES] = {0}, sliced[TUPLES] = {0}, recorded[TUPLES] = {0};
        int64_t ts = T0;
        for (int i = 0; i < 15000; i++) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            unsigned k = (unsigned)(x % TUPLES) & (unsigned)(x >> 50 | 7), side = x >> 20 & 1;
            ts += (x >> 21 & 511 ? (int64_t)(x >> 44 & 0x7f) : (int64_t)(x >> 8 & 0x7fff)) * MS;
            static const uint8_t protos[] = {KT_PROTO_TCP, KT_PROTO_TCP, KT_PROTO_TCP,
                                             KT_PROTO_UDP, KT_PROTO_UDP, KT_PROTO_ICMP,
                                             253};
            static const uint8_t flags[] = {KT_TCP_ACK,
                                            KT_TCP_ACK,
                                            KT_TCP_SYN,
                                            KT_TCP_SYN | KT_TCP_ACK,
                                            KT_TCP_FIN | KT_TCP_ACK,
                                            KT_TCP_RST,
                                            KT_TCP_ACK,
                                            KT_TCP_ACK};
            static const char *const payloads[] = {NULL, "CHRP", "CHOK",
                                                   "x",  NULL,   "something else"};
            struct pkt p = {
                .ts = ts, .proto = protos[k % 7], .sport = 5000, .dport = (uint16_t)(6000 + k)};
            p.from[3] = 1, p.to[3] = 2;
            p.flags = flags[x >> 24 & 7];
            p.seq = (uint32_t)(x >> 27 & 15) * 100;
            p.payload = p.flags & KT_TCP_SYN ? NULL : payloads[(x >> 31) % 6];
            if (p.proto == KT_PROTO_ICMP)
                p.sport = p.dport = (uint16_t)(6000 + k);
            ticks_until(&w, ts);
            struct kt_packet q;
            if ((x >> 35) % 50 == 0 && p.proto != 253) {
                q = make_icmp_error(&p, ts, 3, 3, frame);
            } else {
                if (side && p.proto != KT_PROTO_ICMP)
                    p.sport = p.dport, p.dport = 5000;
                if (side)
                    p.from[3] = 2, p.to[3] = 1;
                q = make(&p, frame);
            }
            give(&w, &q);
            sent[k] += q.wirelen;
            if ((x >> 40) % 100 == 0)
                tick(&w, false, false);
        }
        the_end(&w);
        assert_true(w.records > 500 && w.slices > 3000 && w.relabels > 50);
        assert_int_equal(w.evicted > 0, small);
        assert_sums_agree(&w);
        for (size_t i = 0; i < w.slices; i++) {
            const struct kt_slice *s = &w.slice[i];
            unsigned port = s->port[0] >= 6000 ? s->port[0] : s->port[1];
            if (s->proto != 253) /* that has no ports */
                sliced[port - 6000] += s->bytes[0] + s->bytes[1];
        }
        size_t ended = 0;
        for (size_t i = 0; i < w.records; i++) {
            const struct kt_flow_record *r = &w.record[i];
            unsigned port = r->key.port[0] >= 6000 ? r->key.port[0] : r->key.port[1];
            if (r->key.proto != 253)
                recorded[port - 6000] +=
                    r->bytes[0] + r->bytes[1] - r->told_bytes[0] - r->told_bytes[1];
            ended += !(r->flags & KT_FLOW_INTERIM);
            assert_true(r->payload[0] + r->payload[1] <= r->bytes[0] + r->bytes[1]);
        }
        assert_int_equal(ended, w.flows);
        assert_int_equal(w.records > ended, interim);
        for (unsigned k = 0; k < TUPLES; k++)
            if (k % 7 != 6) {
                assert_int_equal(sliced[k], sent[k]);
                assert_int_equal(recorded[k], sent[k]);
            }
        world_fini(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slices_of_a_flow),
        cmocka_unit_test(test_relabel),
        cmocka_unit_test(test_relabel_after_many_intervals),
        cmocka_unit_test(test_unanswered),
        cmocka_unit_test(test_tick_within_an_interval),
        cmocka_unit_test(test_more_than_four_gigabytes),
        cmocka_unit_test(test_the_rest),
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_random_traffic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
