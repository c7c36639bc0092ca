/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Records of flows that go on: when they come, that their differences sum up to the whole, and that
 * the table's places may be used again while they wait. */
#include "helper.h"

static void init(struct world *w, int64_t active, uint32_t max_flows)
{
    world_init_active(w, max_flows, active);
}

/* Closes intervals until `ts`, and calls back for each record with the end of the interval. */
static void until(struct world *w, int64_t ts,
                  void (*seen)(const struct kt_flow_record *r, int64_t at))
{
    while (ts - w->tick >= w->interval) {
        size_t before = w->records;
        tick(w, true, false);
        for (; seen && before < w->records; before++)
            seen(&w->record[before], w->tick);
    }
}

static void udp(struct world *w, int64_t ts, unsigned client, unsigned server)
{
    SEND(w, .ts = ts, .proto = KT_PROTO_UDP,
         .from = {10, 0, (uint8_t)(client >> 8), (uint8_t)client},
         .to = {10, 1, 0, (uint8_t)server}, .sport = 40000, .dport = 9, .payload = "CHRP");
}

/* The differences of a flow's records: all of them, one behind the other. */
static void assert_sum(const struct world *w, uint64_t id, uint64_t packets, unsigned records)
{
    uint64_t sum = 0, bytes = 0, before[2] = {0}, before_bytes[2] = {0};
    unsigned n = 0;
    const struct kt_flow_record *r = NULL;
    for (size_t i = 0; i < w->records; i++) {
        if (w->record[i].id != id)
            continue;
        r = &w->record[i];
        n++;
        for (int side = 0; side < 2; side++) {
            assert_int_equal(r->told_packets[side], before[side]);
            assert_int_equal(r->told_bytes[side], before_bytes[side]);
            sum += r->packets[side] - r->told_packets[side];
            bytes += r->bytes[side] - r->told_bytes[side];
        }
        bool goes_on = r->flags & KT_FLOW_INTERIM;
        if (goes_on)
            assert_int_equal(r->end, KT_FLOW_ACTIVE);
        memcpy(before, goes_on ? r->packets : before, sizeof before);
        memcpy(before_bytes, goes_on ? r->bytes : before_bytes, sizeof before_bytes);
    }
    assert_non_null(r);
    assert_false(r->flags & KT_FLOW_INTERIM); /* the last one says how it ended */
    assert_int_equal(r->packets[0] + r->packets[1], packets);
    assert_int_equal(sum, packets);
    assert_int_equal(bytes, r->bytes[0] + r->bytes[1]);
    if (records)
        assert_int_equal(n, records);
}

static int64_t due = T0;
static void every_ten(const struct kt_flow_record *r, int64_t at)
{
    due += 10 * SEC;
    /* due 10 s after the first packet, at 0.3 s: with the end of that interval */
    assert_int_equal(at, due + SEC);
    assert_true(r->flags & KT_FLOW_INTERIM && r->last < at);
}

static void test_a_day_of_one_flow(void **state)
{
    (void)state;
    struct world w;
    unsigned n = 0;
    init(&w, 10 * SEC, 0);
    for (int64_t at = T0 + 300 * MS; at < T0 + 86400 * SEC; at += 5 * SEC, n++) {
        until(&w, at, every_ten);
        udp(&w, at, 1, 1);
    }
    tick(&w, true, true);
    assert_sum(&w, 0, n, 0);
    assert_in_range(w.records, 8639, 8641);
    world_fini(&w);
}

/* What is silent says nothing, until it ends. */
static void test_silence(void **state)
{
    (void)state;
    struct world w;
    init(&w, 10 * SEC, 0);
    udp(&w, T0, 1, 1);
    udp(&w, T0 + 2 * SEC, 1, 1);
    until(&w, T0 + 60 * SEC, NULL);
    assert_int_equal(w.records, 1);
    assert_int_equal(w.record[0].packets[0], 2);
    udp(&w, T0 + 60 * SEC, 1, 1);
    until(&w, T0 + 72 * SEC, NULL);
    assert_int_equal(w.records, 2);
    until(&w, T0 + 200 * SEC, NULL);
    assert_int_equal(w.record[2].end, KT_FLOW_IDLE);
    assert_sum(&w, 0, 3, 3);
    world_fini(&w);
}

/* Whoever is over before its time never has one. */
static void test_short_flows(void **state)
{
    (void)state;
    struct world w;
    init(&w, 300 * SEC, 0);
    for (unsigned i = 0; i < 200; i++)
        udp(&w, T0 + i * SEC, i, 1);
    until(&w, T0 + 1000 * SEC, NULL);
    assert_int_equal(w.records, 200);
    for (size_t i = 0; i < w.records; i++)
        assert_int_equal(w.record[i].end, KT_FLOW_IDLE);
    world_fini(&w);
}

/* Few places, and flows that end by the cap, by time and by the end of the run. */
static void test_places_used_again(void **state)
{
    (void)state;
    enum { PACKETS = 4000 };
    struct world w;
    uint64_t x = 7;
    int64_t at = T0;
    init(&w, 3 * SEC, 64);
    for (unsigned i = 0; i < PACKETS; i++) {
        x = kt_mix64(x + i, UINT64_C(0x9e3779b97f4a7c15)) | 1;
        at += i % 500 ? SEC / 8 : (int64_t)(x >> 52) * SEC; /* now and then it jumps */
        until(&w, at, NULL);
        udp(&w, at, (unsigned)(x >> 8) % 40, (unsigned)(x >> 30) % 3);
    }
    tick(&w, true, true);
    assert_true(w.evicted > 10);
    uint64_t all = 0, interims = 0;
    for (size_t i = 0; i < w.records; i++) {
        const struct kt_flow_record *r = &w.record[i];
        all += r->packets[0] + r->packets[1] - r->told_packets[0] - r->told_packets[1];
        interims += !!(r->flags & KT_FLOW_INTERIM);
        if (!(r->flags & KT_FLOW_INTERIM))
            assert_sum(&w, r->id, r->packets[0] + r->packets[1], 0);
    }
    assert_true(interims > 50);
    assert_int_equal(all, PACKETS);
    world_fini(&w);
}

/* A late packet, time that jumps a day ahead, an active time-out longer than the wheel. */
static void test_odd_times(void **state)
{
    (void)state;
    struct world w;
    init(&w, 2000 * SEC, 0);
    unsigned n = 0;
    for (int64_t at = 0; at < 5000; at += 50, n++)
        udp(&w, T0 + at * SEC, 1, 1);
    struct pkt late = {.ts = T0,
                       .proto = KT_PROTO_UDP,
                       .from = {10, 9, 9, 9},
                       .to = {10, 1, 0, 1},
                       .sport = 1,
                       .dport = 9,
                       .payload = "CHRP"};
    uint8_t frame[256];
    struct kt_packet p = make(&late, frame);
    give(&w, &p);
    uint64_t late_id = p.seq;
    until(&w, T0 + 5050 * SEC, NULL);
    w.tick += 86400 * SEC;
    tick(&w, true, true);
    assert_sum(&w, 0, n, 3);
    assert_sum(&w, late_id, 1, 0);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_day_of_one_flow), cmocka_unit_test(test_silence),
        cmocka_unit_test(test_short_flows),       cmocka_unit_test(test_places_used_again),
        cmocka_unit_test(test_odd_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
