/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Which packets are one flow, who began it, and when it is over. */
#include "helper.h"

static void test_both_directions(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 0);
    w.seq = 1000;
    uint64_t up = SEND(&w, .ts = T0 + 5, .proto = KT_PROTO_UDP, A_TO_B, .payload = "CHRP");
    uint64_t down = SEND(&w, .ts = T0 + 9, .proto = KT_PROTO_UDP, B_TO_A, .payload = "CHOK!");
    up += SEND(&w, .ts = T0 + 3 * SEC, .proto = KT_PROTO_UDP, A_TO_B, .payload = "x", .len = 1200);
    const struct kt_flow_record *r = the_end(&w);
    assert_int_equal(w.records, 1);
    assert_int_equal(w.flows, 1);
    assert_int_equal(r->id, 1000);
    assert_int_equal(r->first, T0 + 5);
    assert_int_equal(r->last, T0 + 3 * SEC);
    assert_int_equal(r->packets[0], 2);
    assert_int_equal(r->packets[1], 1);
    assert_int_equal(r->bytes[0], up);
    assert_int_equal(r->bytes[1], down);
    assert_int_equal(r->payload[0], 4 + 1200); /* on the wire, not as captured */
    assert_int_equal(r->payload[1], 5);
    assert_int_equal(r->key.port[0], 40000);
    assert_memory_equal(r->key.addr[1], ((uint8_t[]){10, 0, 0, 2}), 4);
    assert_int_equal(r->flags, KT_FLOW_ANSWERED);
    assert_int_equal(r->end, KT_FLOW_ACTIVE);
    assert_string_equal(label(&w, r), "Chirp");
    world_fini(&w);
}

/* Address, port, protocol, VLAN: whatever differs makes another flow. */
static void test_what_makes_a_flow(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 0);
    for (int round = 0; round < 3; round++) {
        SEND(&w, .ts = T0 + round, .proto = KT_PROTO_UDP, A_TO_B);
        SEND(&w, .ts = T0 + round, .proto = KT_PROTO_TCP, A_TO_B, .flags = KT_TCP_ACK);
        SEND(&w, .ts = T0 + round, .proto = KT_PROTO_UDP, A_TO_B, .vlan = 7);
        SEND(&w, .ts = T0 + round, .proto = KT_PROTO_UDP, A_TO_B, .vlan = 8);
        SEND(&w, .ts = T0 + round, .proto = KT_PROTO_UDP, .from = {10, 0, 0, 1},
             .to = {10, 0, 0, 2}, .sport = 40000, .dport = 81);
        SEND(&w, .ts = T0 + round, .proto = KT_PROTO_UDP, .from = {10, 0, 0, 1},
             .to = {10, 0, 0, 2}, .sport = 40001, .dport = 80);
        SEND(&w, .ts = T0 + round, .proto = KT_PROTO_UDP, .from = {10, 0, 0, 3},
             .to = {10, 0, 0, 2}, .sport = 40000, .dport = 80);
        SEND(&w, .ts = T0 + round, .proto = KT_PROTO_ICMP, A_TO_B);
        SEND(&w, .ts = T0 + round, .proto = 253, A_TO_B);
        /* ports changed over: not the way back, but the addresses' other service */
        SEND(&w, .ts = T0 + round, .proto = KT_PROTO_UDP, .from = {10, 0, 0, 1},
             .to = {10, 0, 0, 2}, .sport = 80, .dport = 40000);
    }
    the_end(&w);
    assert_int_equal(w.records, 10);
    for (size_t i = 0; i < w.records; i++)
        assert_int_equal(w.record[i].packets[0] + w.record[i].packets[1], 3);
    world_fini(&w);
}

/* A flow between a host and itself has two equal sides only when the ports are equal too. */
static void test_a_host_with_itself(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 0);
    const uint8_t lo[4] = {127, 0, 0, 1};
    for (int i = 0; i < 3; i++) {
        struct pkt p = {.ts = T0 + i, .proto = KT_PROTO_UDP, .sport = 5000, .dport = 6000};
        if (i == 1)
            p.sport = 6000, p.dport = 5000;
        if (i == 2)
            p.sport = p.dport = 7000;
        memcpy(p.from, lo, 4);
        memcpy(p.to, lo, 4);
        send_pkt(&w, p);
    }
    the_end(&w);
    assert_int_equal(w.records, 2);
    assert_int_equal(w.record[0].packets[1], 1);
    assert_int_equal(w.record[1].packets[0], 1);
    world_fini(&w);
}

/* Who began it, when the first packet that is seen is not the first that was sent. */
static void test_direction(void **state)
{
    (void)state;
    static const struct {
        uint8_t proto, flags;
        uint16_t sport, dport;
        bool from_responder;
    } cases[] = {
        {KT_PROTO_TCP, KT_TCP_SYN, 40000, 80, false},
        {KT_PROTO_TCP, KT_TCP_SYN, 80, 40000, false}, /* a SYN is asked, whatever the ports */
        {KT_PROTO_TCP, KT_TCP_SYN | KT_TCP_ACK, 80, 40000, true},
        {KT_PROTO_TCP, KT_TCP_SYN | KT_TCP_ACK, 40000, 80, true},
        {KT_PROTO_TCP, KT_TCP_ACK, 443, 50000, true},
        {KT_PROTO_TCP, KT_TCP_ACK, 50000, 443, false},
        {KT_PROTO_TCP, KT_TCP_ACK, 50000, 8443, false},
        {KT_PROTO_TCP, KT_TCP_ACK, 8443, 50000, false}, /* nothing to go by: the first one seen */
        {KT_PROTO_TCP, KT_TCP_ACK, 22, 443, false},
        {KT_PROTO_UDP, 0, 53, 33333, true},
        {KT_PROTO_UDP, 0, 33333, 53, false},
        {KT_PROTO_UDP, 0, 0, 33333, false},
        {KT_PROTO_ICMP, 0, 5, 0, false},
    };
    for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
        struct world w;
        world_init(&w, 0);
        SEND(&w, .ts = T0, .proto = cases[i].proto, .from = {10, 0, 0, 1}, .to = {10, 0, 0, 2},
             .sport = cases[i].sport, .dport = cases[i].dport, .flags = cases[i].flags);
        const struct kt_flow_record *r = the_end(&w);
        assert_int_equal(r->packets[cases[i].from_responder], 1);
        assert_int_equal(r->packets[!cases[i].from_responder], 0);
        assert_int_equal(r->key.addr[0][3], cases[i].from_responder ? 2 : 1);
        world_fini(&w);
    }
}

/* ---- when it is over ---- */

struct pkts {
    const struct pkt *p;
    size_t n;
};

/* Silence of `timeout` ends a flow: at the tick that comes then and not one before, or by a packet
 * that comes then, which begins another. */
static void check_timeout(struct pkts first, int64_t timeout, enum kt_flow_end why)
{
    struct world w;
    world_init(&w, 0);
    w.tick -= 5 * SEC; /* a table that is at work already */
    for (size_t i = 0; i < first.n; i++)
        send_pkt(&w, first.p[i]);
    int64_t last = first.p[first.n - 1].ts;
    int64_t over = (last + timeout + SEC - 1) / SEC * SEC; /* the first tick that can know it */
    ticks_until(&w, over - 1);
    assert_int_equal(w.records, 0);
    ticks_until(&w, over);
    assert_int_equal(w.records, 1);
    assert_int_equal(w.record[0].end, why);
    assert_int_equal(w.record[0].last, last);
    assert_int_equal(w.record[0].packets[0] + w.record[0].packets[1], first.n);
    tick(&w, true, true);
    assert_int_equal(w.records, 1);
    world_fini(&w);
    for (int late = 0; late < 2; late++) { /* just in time, and just too late; no tick between */
        world_init(&w, 0);
        w.interval = 10000 * SEC;
        for (size_t i = 0; i < first.n; i++)
            send_pkt(&w, first.p[i]);
        struct pkt p = first.p[0];
        p.ts = last + timeout - !late;
        p.flags = p.flags ? KT_TCP_ACK : 0;
        send_pkt(&w, p);
        the_end(&w);
        assert_int_equal(w.records, late ? 2 : 1);
        assert_int_equal(w.record[0].end, late || why != KT_FLOW_IDLE ? why : KT_FLOW_ACTIVE);
        assert_int_equal(w.record[0].packets[0] + w.record[0].packets[1],
                         late ? first.n : first.n + 1);
        world_fini(&w);
    }
}

/* Found by fuzzing: a packet that came so late that its flow was over before it began is over at
 * the next tick, whatever else the table holds; several workers' tables hold different things. */
static void test_a_packet_from_the_past(void **state)
{
    (void)state;
    for (int company = 0; company < 2; company++) {
        struct world w;
        world_init(&w, 0);
        if (company)
            SEND(&w, .ts = T0, .proto = KT_PROTO_TCP, B_TO_A, .flags = KT_TCP_SYN);
        SEND(&w, .ts = T0 - 5000 * SEC, .proto = KT_PROTO_UDP, A_TO_B);
        assert_int_equal(w.records, 0);
        tick(&w, true, false);
        assert_int_equal(w.records, 1);
        assert_int_equal(w.record[0].key.proto, KT_PROTO_UDP);
        assert_int_equal(w.record[0].end, KT_FLOW_IDLE);
        world_fini(&w);
    }
}

static void test_timeouts(void **state)
{
    (void)state;
#define TCP(ms, dir, f, number)                                                                    \
    {                                                                                              \
        .ts = T0 + (ms)*MS, .proto = KT_PROTO_TCP, dir, .flags = f, .seq = number                  \
    }
    static const struct pkt syn[] = {TCP(0, A_TO_B, KT_TCP_SYN, 100),
                                     TCP(900, A_TO_B, KT_TCP_SYN, 100)};
    static const struct pkt open[] = {TCP(0, A_TO_B, KT_TCP_SYN, 100),
                                      TCP(9, B_TO_A, KT_TCP_SYN | KT_TCP_ACK, 500),
                                      TCP(20, A_TO_B, KT_TCP_ACK, 101)};
    static const struct pkt midway[] = {TCP(0, A_TO_B, KT_TCP_ACK, 101)};
    static const struct pkt half[] = {TCP(0, A_TO_B, KT_TCP_SYN, 100),
                                      TCP(9, B_TO_A, KT_TCP_SYN | KT_TCP_ACK, 500),
                                      TCP(20, A_TO_B, KT_TCP_ACK | KT_TCP_FIN, 101)};
    static const struct pkt closed[] = {
        TCP(0, A_TO_B, KT_TCP_SYN, 100), TCP(9, B_TO_A, KT_TCP_SYN | KT_TCP_ACK, 500),
        TCP(20, A_TO_B, KT_TCP_ACK | KT_TCP_FIN, 101),
        TCP(29, B_TO_A, KT_TCP_ACK | KT_TCP_FIN, 501), TCP(40, A_TO_B, KT_TCP_ACK, 102)};
    static const struct pkt reset[] = {TCP(0, A_TO_B, KT_TCP_SYN, 100),
                                       TCP(9, B_TO_A, KT_TCP_RST | KT_TCP_ACK, 0)};
    static const struct pkt reset_late[] = {TCP(0, A_TO_B, KT_TCP_SYN, 100),
                                            TCP(9, B_TO_A, KT_TCP_SYN | KT_TCP_ACK, 500),
                                            TCP(20, A_TO_B, KT_TCP_RST, 101)};
    static const struct pkt udp[] = {{.ts = T0, .proto = KT_PROTO_UDP, A_TO_B},
                                     {.ts = T0 + 5 * SEC, .proto = KT_PROTO_UDP, B_TO_A}};
    static const struct pkt ping[] = {{.ts = T0, .proto = KT_PROTO_ICMP, A_TO_B}};
    static const struct pkt other[] = {{.ts = T0, .proto = 253, A_TO_B}};
#define PKTS(a) ((struct pkts){a, KT_ARRAY_LEN(a)})
    check_timeout(PKTS(syn), 30 * SEC, KT_FLOW_IDLE);
    check_timeout(PKTS(open), 600 * SEC, KT_FLOW_IDLE);
    check_timeout(PKTS(midway), 600 * SEC, KT_FLOW_IDLE);
    check_timeout(PKTS(half), 600 * SEC, KT_FLOW_IDLE);
    check_timeout(PKTS(closed), 10 * SEC, KT_FLOW_CLOSED);
    check_timeout(PKTS(reset), 5 * SEC, KT_FLOW_RESET);
    check_timeout(PKTS(reset_late), 5 * SEC, KT_FLOW_RESET);
    check_timeout(PKTS(udp), 120 * SEC, KT_FLOW_IDLE);
    check_timeout(PKTS(ping), 30 * SEC, KT_FLOW_IDLE);
    check_timeout(PKTS(other), 60 * SEC, KT_FLOW_IDLE);
}

/* A flow that never rests never ends, whatever the table puts off. */
static void test_active_for_hours(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 0);
    for (int i = 0; i < 200; i++)
        SEND(&w, .ts = T0 + i * 100 * SEC, .proto = KT_PROTO_UDP, A_TO_B);
    assert_int_equal(w.records, 0);
    const struct kt_flow_record *r = the_end(&w);
    assert_int_equal(w.records, 1);
    assert_int_equal(r->packets[0], 200);
    world_fini(&w);
}

/* ---- the same tuple again ---- */

static void test_reused_tuple(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 0);
    handshake(&w, T0);
    /* another connection, though the old one was never seen to close */
    SEND(&w, .ts = T0 + 100 * MS, .proto = KT_PROTO_TCP, A_TO_B, .flags = KT_TCP_SYN, .seq = 9999);
    the_end(&w);
    assert_int_equal(w.records, 2);
    assert_int_equal(w.record[0].end, KT_FLOW_REUSED);
    assert_int_equal(w.record[0].packets[0], 2);
    assert_int_equal(w.record[1].id, 3);
    assert_int_equal(w.record[1].packets[0], 1);
    world_fini(&w);
}

static void test_reused_after_close(void **state)
{
    (void)state;
    for (int reset = 0; reset < 2; reset++) {
        struct world w;
        world_init(&w, 0);
        handshake(&w, T0);
        if (reset) {
            SEND(&w, .ts = T0 + 30 * MS, .proto = KT_PROTO_TCP, B_TO_A, .flags = KT_TCP_RST);
        } else {
            SEND(&w, .ts = T0 + 30 * MS, .proto = KT_PROTO_TCP, A_TO_B,
                 .flags = KT_TCP_FIN | KT_TCP_ACK, .seq = 101);
            SEND(&w, .ts = T0 + 40 * MS, .proto = KT_PROTO_TCP, B_TO_A,
                 .flags = KT_TCP_FIN | KT_TCP_ACK, .seq = 501);
            SEND(&w, .ts = T0 + 50 * MS, .proto = KT_PROTO_TCP, A_TO_B, .flags = KT_TCP_ACK,
                 .seq = 102);
        }
        /* also with the same first number, as a cookie or a fixed seed may give */
        SEND(&w, .ts = T0 + 60 * MS, .proto = KT_PROTO_TCP, A_TO_B, .flags = KT_TCP_SYN,
             .seq = 100);
        the_end(&w);
        assert_int_equal(w.records, 2);
        assert_int_equal(w.record[0].end, reset ? KT_FLOW_RESET : KT_FLOW_CLOSED);
        assert_int_equal(w.record[1].packets[0], 1);
        world_fini(&w);
    }
}

/* Nobody answered, and the client tries with another number: that is one attempt. */
static void test_another_syn_before_an_answer(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 0);
    SEND(&w, .ts = T0, .proto = KT_PROTO_TCP, A_TO_B, .flags = KT_TCP_SYN, .seq = 100);
    SEND(&w, .ts = T0 + SEC, .proto = KT_PROTO_TCP, A_TO_B, .flags = KT_TCP_SYN, .seq = 7000);
    const struct kt_flow_record *r = the_end(&w);
    assert_int_equal(w.records, 1);
    assert_int_equal(r->packets[0], 2);
    assert_int_equal(r->retransmits[0], 0);
    world_fini(&w);
}

/* A SYN that is sent again, or answered by another SYN (both sides open at once), is no new one. */
static void test_repeated_syn(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 0);
    SEND(&w, .ts = T0, .proto = KT_PROTO_TCP, A_TO_B, .flags = KT_TCP_SYN, .seq = 100);
    SEND(&w, .ts = T0 + SEC, .proto = KT_PROTO_TCP, A_TO_B, .flags = KT_TCP_SYN, .seq = 100);
    SEND(&w, .ts = T0 + 2 * SEC, .proto = KT_PROTO_TCP, B_TO_A, .flags = KT_TCP_SYN, .seq = 500);
    SEND(&w, .ts = T0 + 2 * SEC + MS, .proto = KT_PROTO_TCP, A_TO_B, .flags = KT_TCP_SYN,
         .seq = 100);
    const struct kt_flow_record *r = the_end(&w);
    assert_int_equal(w.records, 1);
    assert_int_equal(r->packets[0], 3);
    assert_int_equal(r->packets[1], 1);
    assert_int_equal(r->retransmits[0], 2);
    assert_int_equal(r->retransmits[1], 0);
    world_fini(&w);
}

/* ---- TCP ---- */

static void test_handshake_rtt(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 0);
    handshake(&w, T0);
    SEND(&w, .ts = T0 + 30 * MS, .proto = KT_PROTO_TCP, B_TO_A,
         .flags = KT_TCP_PSH | KT_TCP_ACK | 32, .seq = 501);
    const struct kt_flow_record *r = the_end(&w);
    assert_int_equal(r->rtt_us, 20000);
    assert_int_equal(r->flags, KT_FLOW_SYN | KT_FLOW_ANSWERED);
    assert_int_equal(r->tcp_flags[0], KT_TCP_SYN | KT_TCP_ACK);
    assert_int_equal(r->tcp_flags[1], KT_TCP_SYN | KT_TCP_ACK | KT_TCP_PSH | 32);
    assert_int_equal(w.slice[0].rtt_us, 20000);
    assert_string_equal(label(&w, r), kt_rules_label(w.rules, KT_LABEL_NO_PAYLOAD)->name);
    world_fini(&w);
}

/* Met in its middle, or answered by nobody: there is no round trip to tell. */
static void test_no_rtt(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 0);
    SEND(&w, .ts = T0, .proto = KT_PROTO_TCP, B_TO_A, .flags = KT_TCP_SYN | KT_TCP_ACK, .seq = 500);
    SEND(&w, .ts = T0 + MS, .proto = KT_PROTO_TCP, A_TO_B, .flags = KT_TCP_ACK, .seq = 101);
    assert_int_equal(the_end(&w)->rtt_us, 0);
    assert_int_equal(w.record[0].flags, KT_FLOW_SYN | KT_FLOW_ANSWERED);
    world_fini(&w);
    world_init(&w, 0);
    SEND(&w, .ts = T0, .proto = KT_PROTO_TCP, A_TO_B, .flags = KT_TCP_ACK, .seq = 100);
    SEND(&w, .ts = T0 + MS, .proto = KT_PROTO_TCP, B_TO_A, .flags = KT_TCP_ACK, .seq = 100);
    assert_int_equal(the_end(&w)->rtt_us, 0);
    assert_int_equal(w.record[0].flags, KT_FLOW_ANSWERED);
    world_fini(&w);
}

static void test_refused(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 0);
    SEND(&w, .ts = T0, .proto = KT_PROTO_TCP, A_TO_B, .flags = KT_TCP_SYN, .seq = 100);
    SEND(&w, .ts = T0 + MS, .proto = KT_PROTO_TCP, B_TO_A, .flags = KT_TCP_RST | KT_TCP_ACK);
    const struct kt_flow_record *r = the_end(&w);
    assert_true(r->flags & KT_FLOW_REFUSED);
    assert_int_equal(r->end, KT_FLOW_RESET);
    assert_true(w.slice[0].flags & KT_SLICE_REFUSED);
    world_fini(&w);
    world_init(&w, 0);
    handshake(&w, T0);
    SEND(&w, .ts = T0 + 30 * MS, .proto = KT_PROTO_TCP, B_TO_A, .flags = KT_TCP_RST, .seq = 501);
    r = the_end(&w); /* reset when it was open: not refused */
    assert_false(r->flags & KT_FLOW_REFUSED);
    assert_false(w.slice[0].flags & KT_SLICE_REFUSED);
    world_fini(&w);
}

/* The same bytes again are a retransmission: also across the wrap of the numbers; a keep-alive of
 * one byte, bytes that came out of order beforehand and pure acknowledgements are none. */
static void test_retransmits(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 0);
#define DATA(ms, dir, number, bytes)                                                               \
    SEND(&w, .ts = T0 + (ms)*MS, .proto = KT_PROTO_TCP, dir, .flags = KT_TCP_ACK, .seq = (number), \
         .len = (bytes))
    DATA(0, A_TO_B, 0xffffff00u, 256);
    DATA(1, A_TO_B, 0, 100);           /* follows across the wrap */
    DATA(2, A_TO_B, 0xffffff00u, 256); /* again */
    DATA(3, A_TO_B, 100, 100);
    DATA(4, A_TO_B, 199, 1); /* keep-alive */
    DATA(5, A_TO_B, 200, 0);
    DATA(6, B_TO_A, 5000, 10);
    DATA(7, B_TO_A, 5000, 10); /* again */
    DATA(8, B_TO_A, 5005, 10); /* half of it is new */
    DATA(9, B_TO_A, 9000, 10); /* a gap is no retransmission */
    const struct kt_flow_record *r = the_end(&w);
    assert_int_equal(r->retransmits[0], 1);
    assert_int_equal(r->retransmits[1], 1);
    assert_int_equal(w.slice[0].retransmits, 2);
    world_fini(&w);
}

/* ---- ICMP errors ---- */

static const struct pkt ask = {.ts = T0, .proto = KT_PROTO_UDP, A_TO_B, .payload = "CHRP"};

static void test_icmp_error_counts_for_the_other_side(void **state)
{
    (void)state;
    struct world w;
    uint8_t frame[256];
    world_init(&w, 0);
    uint64_t up = send_pkt(&w, ask);
    struct kt_packet e = make_icmp_error(&ask, T0 + MS, 3, 3, frame);
    give(&w, &e);
    const struct kt_flow_record *r = the_end(&w);
    assert_int_equal(w.records, 1);
    assert_int_equal(r->packets[0], 1);
    assert_int_equal(r->packets[1], 1);
    assert_int_equal(r->bytes[0], up);
    assert_int_equal(r->bytes[1], e.wirelen);
    assert_int_equal(r->payload[1], 0);
    assert_true(r->flags & KT_FLOW_ICMP_ERROR);
    assert_int_equal(r->key.proto, KT_PROTO_UDP);
    assert_true(w.slice[0].flags & KT_SLICE_REFUSED);
    assert_string_equal(label(&w, r), "Half"); /* what the error quotes is nobody's payload */
    world_fini(&w);
}

/* About what was never seen: the flow is that of the quoted packet. */
static void test_icmp_error_first(void **state)
{
    (void)state;
    struct world w;
    uint8_t frame[256];
    world_init(&w, 0);
    struct kt_packet e = make_icmp_error(&ask, T0, 11, 0, frame);
    give(&w, &e);
    struct pkt later = ask;
    later.ts = T0 + MS;
    send_pkt(&w, later);
    const struct kt_flow_record *r = the_end(&w);
    assert_int_equal(w.records, 1);
    assert_int_equal(r->key.port[0], 40000);
    assert_int_equal(r->packets[0], 1);
    assert_int_equal(r->packets[1], 1);
    assert_false(w.slice[0].flags &
                 KT_SLICE_REFUSED); /* time exceeded on the way refuses nothing */
    world_fini(&w);
}

static void test_what_refuses(void **state)
{
    (void)state;
    static const struct {
        uint8_t type, code;
        bool refuses;
    } cases[] = {{3, 0, true},  {3, 1, true},  {3, 3, true},   {3, 13, true}, {3, 4, false},
                 {4, 0, false}, {5, 1, false}, {11, 0, false}, {12, 0, false}};
    for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
        struct world w;
        uint8_t frame[256];
        world_init(&w, 0);
        send_pkt(&w, ask);
        struct kt_packet e = make_icmp_error(&ask, T0 + MS, cases[i].type, cases[i].code, frame);
        give(&w, &e);
        the_end(&w);
        assert_int_equal(!!(w.slice[0].flags & KT_SLICE_REFUSED), cases[i].refuses);
        world_fini(&w);
    }
}

/* An error about the answer is told to the responder, so it counts for the initiator. */
static void test_icmp_error_about_the_answer(void **state)
{
    (void)state;
    struct world w;
    uint8_t frame[256];
    world_init(&w, 0);
    send_pkt(&w, ask);
    struct pkt answer = {.ts = T0 + MS, .proto = KT_PROTO_UDP, B_TO_A, .payload = "CHOK"};
    send_pkt(&w, answer);
    struct kt_packet e = make_icmp_error(&answer, T0 + 2 * MS, 3, 3, frame);
    give(&w, &e);
    const struct kt_flow_record *r = the_end(&w);
    assert_int_equal(r->packets[0], 2);
    assert_int_equal(r->packets[1], 1);
    world_fini(&w);
}

/* ---- the memory cap ---- */

static void test_eviction_is_counted(void **state)
{
    (void)state;
    enum { MAX = 64, FLOWS = 1000 };
    struct world w;
    world_init(&w, MAX);
    for (int i = 0; i < FLOWS; i++)
        SEND(&w, .ts = T0 + i * 10 * MS, .proto = KT_PROTO_UDP,
             .from = {10, 1, (uint8_t)(i >> 8), (uint8_t)i}, .to = {10, 0, 0, 2}, .sport = 1024,
             .dport = 53, .payload = "CHRP");
    the_end(&w);
    assert_int_equal(w.records, FLOWS);
    assert_int_equal(w.flows, FLOWS);
    assert_int_equal(w.evicted, FLOWS - MAX);
    size_t evicted = 0;
    bool seen[FLOWS] = {0};
    for (size_t i = 0; i < w.records; i++) {
        const struct kt_flow_record *r = &w.record[i];
        assert_false(seen[r->id]); /* each once, none lost */
        seen[r->id] = true;
        assert_int_equal(r->packets[0], 1);
        evicted += r->end == KT_FLOW_EVICTED;
        assert_string_equal(label(&w, r), "Half");
    }
    assert_int_equal(evicted, FLOWS - MAX);
    uint64_t packets = 0, begun = 0;
    for (size_t i = 0; i < w.slices; i++) {
        packets += w.slice[i].packets[0] + w.slice[i].packets[1];
        begun += w.slice[i].flags & KT_SLICE_NEW;
    }
    assert_int_equal(packets, FLOWS);
    assert_int_equal(begun, FLOWS);
    world_fini(&w);
}

/* The one that would time out first goes: not one that is in use all the time, however old. */
static void test_eviction_spares_the_busy(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 16);
    for (int i = 0; i < 500; i++) {
        SEND(&w, .ts = T0 + i * 200 * MS, .proto = KT_PROTO_UDP, A_TO_B, .payload = "busy");
        SEND(&w, .ts = T0 + i * 200 * MS + MS, .proto = KT_PROTO_UDP,
             .from = {10, 1, (uint8_t)(i >> 8), (uint8_t)i}, .to = {10, 0, 0, 9}, .sport = 1024,
             .dport = 53);
    }
    the_end(&w);
    for (size_t i = 0; i < w.records; i++)
        if (w.record[i].id == 0)
            assert_int_equal(w.record[i].packets[0], 500);
    world_fini(&w);
}

/* ---- against a simple list ---- */

enum { TUPLES = 40 };

struct model {
    bool on;
    int64_t last;
    uint64_t id, packets[2];
};

/* Random packets of few tuples whose hashes are made to collide, with pauses around the time-out:
 * the records must be those of a list that is searched from its beginning. */
static void test_against_a_list(void **state)
{
    (void)state;
    for (unsigned spread = 1; spread <= 64; spread *= 8) {
        struct world w;
        struct model flow[TUPLES] = {0};
        struct kt_flow_record *want = calloc(20000, sizeof *want);
        size_t wanted = 0;
        world_init(&w, 0);
        uint64_t x = 88172645463325252u + spread;
        int64_t ts = T0;
        for (int i = 0; i < 20000; i++) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            /* some tuples are busy for a minute, then others are; now and then all rest */
            unsigned k =
                x >> 40 & 63 ? (unsigned)(i / 500 % 4 * 10 + x % 10) : (unsigned)(x % TUPLES);
            unsigned side = x >> 20 & 1;
            ts += (x >> 30 & 1023 ? (int64_t)(x >> 50 & 0xff) : (int64_t)(x >> 8 & 0x3ffff)) * MS;
            struct pkt p = {
                .ts = ts, .proto = KT_PROTO_UDP, .sport = 5000, .dport = (uint16_t)(6000 + k)};
            p.from[3] = 1, p.to[3] = 2;
            if (side) {
                p.from[3] = 2, p.to[3] = 1;
                p.sport = p.dport, p.dport = 5000;
            }
            struct model *f = &flow[k];
            if (f->on && ts - f->last >= 120 * SEC) {
                want[wanted++] =
                    (struct kt_flow_record){.id = f->id, .packets = {f->packets[0], f->packets[1]}};
                f->on = false;
            }
            if (!f->on)
                *f = (struct model){.on = true, .id = w.seq};
            f->last = ts;
            f->packets[side]++;
            uint8_t frame[256];
            ticks_until(&w, ts);
            struct kt_packet q = make(&p, frame);
            q.hash = k % spread + 1;
            give(&w, &q);
        }
        for (int k = 0; k < TUPLES; k++)
            if (flow[k].on)
                want[wanted++] = (struct kt_flow_record){
                    .id = flow[k].id, .packets = {flow[k].packets[0], flow[k].packets[1]}};
        the_end(&w);
        assert_true(wanted > 400);
        assert_int_equal(w.records, wanted);
        assert_int_equal(w.flows, wanted);
        for (size_t i = 0; i < wanted; i++) {
            const struct kt_flow_record *r = NULL;
            for (size_t n = 0; n < w.records && !r; n++)
                if (w.record[n].id == want[i].id)
                    r = &w.record[n];
            assert_non_null(r);
            /* side 0 is who sent the first packet: the model counts by address */
            unsigned first = r->key.addr[0][3] == 2;
            assert_int_equal(r->packets[0], want[i].packets[first]);
            assert_int_equal(r->packets[1], want[i].packets[!first]);
        }
        free(want);
        world_fini(&w);
    }
}

/* Clocks that run backwards: nothing is lost, and no flow is older than its last packet. */
static void test_time_backwards(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 0);
    uint64_t bytes = 0;
    for (int i = 0; i < 400; i++) {
        int64_t ts = i % 3 == 2 ? T0 - i * 7 * SEC : T0 + i * SEC;
        struct pkt p = {.ts = ts,
                        .proto = KT_PROTO_UDP,
                        .from = {10, 0, 0, 1},
                        .to = {10, 0, 0, 2},
                        .sport = (uint16_t)(1000 + i % 20),
                        .dport = 53};
        uint8_t frame[256];
        ticks_until(&w, ts);
        struct kt_packet q = make(&p, frame);
        give(&w, &q);
        bytes += q.wirelen;
    }
    the_end(&w);
    for (size_t i = 0; i < w.records; i++) {
        bytes -= w.record[i].bytes[0] + w.record[i].bytes[1];
        assert_true(w.record[i].last >= w.record[i].first);
    }
    assert_int_equal(bytes, 0);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_directions),
        cmocka_unit_test(test_what_makes_a_flow),
        cmocka_unit_test(test_a_host_with_itself),
        cmocka_unit_test(test_direction),
        cmocka_unit_test(test_timeouts),
        cmocka_unit_test(test_a_packet_from_the_past),
        cmocka_unit_test(test_active_for_hours),
        cmocka_unit_test(test_reused_tuple),
        cmocka_unit_test(test_reused_after_close),
        cmocka_unit_test(test_another_syn_before_an_answer),
        cmocka_unit_test(test_repeated_syn),
        cmocka_unit_test(test_handshake_rtt),
        cmocka_unit_test(test_no_rtt),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_retransmits),
        cmocka_unit_test(test_icmp_error_counts_for_the_other_side),
        cmocka_unit_test(test_icmp_error_first),
        cmocka_unit_test(test_what_refuses),
        cmocka_unit_test(test_icmp_error_about_the_answer),
        cmocka_unit_test(test_eviction_is_counted),
        cmocka_unit_test(test_eviction_spares_the_busy),
        cmocka_unit_test(test_against_a_list),
        cmocka_unit_test(test_time_backwards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
