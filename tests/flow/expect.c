/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Flows that others announce: who is marked, for how long, and what a flood does. And what the
 * table of flows makes of a mark.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <kotare/flow.h>
#include <stdio.h>
#include <stdlib.h>

static struct kt_rules *rules;
static struct kt_expect *expect;
static uint64_t seq;

static int setup(void **state)
{
    (void)state;
    seq = 0;
    return kt_expect_new(&expect, rules, NULL);
}

static int teardown(void **state)
{
    (void)state;
    kt_expect_free(expect);
    return 0;
}

/* Hosts are numbers; time is in seconds. */
static struct kt_packet packet(uint8_t proto, double at, uint32_t from, uint16_t port, uint32_t to,
                               uint16_t to_port, const char *payload)
{
    struct kt_packet p = {.data = (const uint8_t *)payload,
                          .seq = seq++,
                          .ts = (int64_t)(at * 1e9) + KT_SECOND,
                          .caplen = (uint32_t)strlen(payload),
                          .wirelen = (uint32_t)strlen(payload),
                          .payload_len = (uint32_t)strlen(payload),
                          .flags = KT_PKT_DECODED | KT_PKT_IP | KT_PKT_TRANSPORT,
                          .proto = proto};
    p.key = (struct kt_key){.ip = 4, .proto = proto, .port = {port, to_port}};
    for (int i = 0; i < 4; i++) {
        p.key.addr[0][i] = (uint8_t)(from >> (24 - 8 * i));
        p.key.addr[1][i] = (uint8_t)(to >> (24 - 8 * i));
    }
    p.hash = kt_key_hash(&p.key);
    return p;
}

static uint16_t mark(struct kt_packet *p)
{
    kt_expect_packets(expect, p, 1);
    return p->flags & KT_PKT_ANNOUNCED ? kt_clue_label(p->clue) : 0;
}

/* Host 2 tells host 1 that its port `port` waits for it. */
static uint64_t passive(double at, uint16_t port)
{
    char text[80];
    snprintf(text, sizeof text, "227 Passive (0,0,0,2,%u,%u)\r\n", port >> 8, port & 255);
    struct kt_packet p = packet(KT_PROTO_TCP, at, 2, 21, 1, 1000, text);
    assert_int_equal(mark(&p), 0);
    assert_true(p.flags & KT_PKT_ANNOUNCES);
    return p.seq;
}

static uint16_t opens(double at, uint32_t from, uint32_t to, uint16_t port, uint8_t flags)
{
    struct kt_packet p = packet(KT_PROTO_TCP, at, from, 4000, to, port, "");
    p.tcp_flags = flags;
    if (flags == (KT_TCP_SYN | KT_TCP_ACK))
        kt_key_reverse(&p.key);
    return mark(&p);
}

static uint16_t label(const char *id)
{
    for (unsigned i = 0; i < kt_rules_labels(rules); i++)
        if (!strcmp(kt_rules_label(rules, i)->id, id))
            return (uint16_t)i;
    fail_msg("no label %s", id);
    return 0;
}

static void who_is_meant(void **state)
{
    (void)state;
    uint16_t data = label("ftp-data");
    assert_int_equal(opens(0, 1, 2, 5000, KT_TCP_SYN), 0);
    passive(0, 5000);
    assert_int_equal(opens(1, 3, 2, 5000, KT_TCP_SYN), 0); /* another client */
    assert_int_equal(opens(1, 1, 3, 5000, KT_TCP_SYN), 0);
    assert_int_equal(opens(1, 1, 2, 5001, KT_TCP_SYN), 0);
    assert_int_equal(opens(1, 2, 1, 5000, KT_TCP_SYN), 0); /* the wrong way round */
    assert_int_equal(opens(1, 1, 2, 5000, KT_TCP_ACK), 0); /* no beginning */
    assert_int_equal(opens(1, 1, 2, 5000, KT_TCP_SYN), data);
    assert_int_equal(opens(1, 1, 2, 5000, KT_TCP_SYN | KT_TCP_ACK), data);
    struct kt_packet udp = packet(KT_PROTO_UDP, 1, 1, 4000, 2, 5000, "");
    assert_int_equal(mark(&udp), 0);
    struct kt_packet inside = packet(KT_PROTO_TCP, 1, 1, 4000, 2, 5000, "");
    inside.tcp_flags = KT_TCP_SYN;
    inside.key.tunnel = 7; /* another network, with the same addresses perhaps */
    assert_int_equal(mark(&inside), 0);
    struct kt_packet tagged = packet(KT_PROTO_TCP, 1, 1, 4000, 2, 5000, "");
    tagged.tcp_flags = KT_TCP_SYN;
    tagged.key.vlan[0] = 7; /* the other direction may be tagged otherwise */
    assert_int_equal(mark(&tagged), data);
    struct kt_packet error = packet(KT_PROTO_TCP, 1, 1, 4000, 2, 5000, "");
    error.tcp_flags = KT_TCP_SYN;
    error.flags |= KT_PKT_ICMP_ERROR;
    assert_int_equal(mark(&error), 0);
}

static void for_how_long(void **state)
{
    (void)state;
    passive(0, 5000);
    assert_int_not_equal(opens(299.9, 1, 2, 5000, KT_TCP_SYN), 0);
    assert_int_equal(opens(300, 1, 2, 5000, KT_TCP_SYN), 0);
    passive(400, 5000);
    passive(600, 5000); /* said again */
    assert_int_not_equal(opens(800, 1, 2, 5000, KT_TCP_SYN), 0);
    /* and not for ever more packets: a stray one may come first, a flow of millions may follow */
    unsigned n = 1;
    while (n < 1000 && opens(801, 1, 2, 5000, KT_TCP_SYN))
        n++;
    assert_in_range(n, 2, 100);
    struct kt_expect_stats s = kt_expect_stats(expect);
    assert_int_equal(s.announced, 3);
    assert_int_equal(s.met, 2);
    assert_int_equal(s.forgotten, 0);
}

static void the_newest_announcer_counts(void **state)
{
    (void)state;
    passive(0, 5000);
    uint64_t second = passive(1, 5000);
    struct kt_packet p = packet(KT_PROTO_TCP, 2, 1, 4000, 2, 5000, "");
    p.tcp_flags = KT_TCP_SYN;
    assert_int_not_equal(mark(&p), 0);
    assert_int_equal(kt_clue_packet(p.clue), second);
}

/* A million endpoints: memory stays where it is (one block, made at first), the newest are there,
 * and what was forgotten is counted. Twice the same. */
static void flood(void **state)
{
    (void)state;
    uint64_t forgotten[2], met[2];
    for (int round = 0; round < 2; round++) {
        unsigned good = 0;
        kt_expect_free(expect);
        assert_int_equal(kt_expect_new(&expect, rules, NULL), KT_OK);
        for (unsigned i = 0; i < 1000000; i++) {
            char text[80];
            snprintf(text, sizeof text, "PORT %u,%u,%u,%u,200,%u\r\n", i >> 24, i >> 16 & 255,
                     i >> 8 & 255, i & 255, i % 256);
            struct kt_packet p = packet(KT_PROTO_TCP, i * 1e-6, i, 1000, 2, 21, text);
            kt_expect_packets(expect, &p, 1);
        }
        for (unsigned i = 999000; i < 1000000; i++)
            good += opens(1, 2, i, (uint16_t)(200 * 256 + i % 256), KT_TCP_SYN) != 0;
        struct kt_expect_stats s = kt_expect_stats(expect);
        assert_true(good > 990);
        assert_int_equal(s.announced, 1000000);
        assert_true(s.forgotten > 980000 && s.forgotten < 1000000);
        forgotten[round] = s.forgotten;
        met[round] = s.met;
    }
    assert_int_equal(forgotten[0], forgotten[1]);
    assert_int_equal(met[0], met[1]);
}

/* ---- the table of flows ---- */

static void tick(struct kt_flow_table *t, int64_t start, bool last, struct kt_harvest **h)
{
    assert_int_equal(kt_flow_table_tick(t, start, true, last, h), KT_OK);
}

static void a_marked_flow(void **state)
{
    (void)state;
    struct kt_flow_table *t;
    struct kt_harvest *h;
    struct kt_flow_record r;
    uint16_t data = label("ftp-data");
    assert_int_equal(kt_flow_table_new(&t, &(struct kt_flow_options){.rules = rules}, NULL), KT_OK);
    const char *text = "227 Passive (0,0,0,2,19,136)\r\n";
    struct kt_packet p[3] = {packet(KT_PROTO_TCP, 0, 2, 21, 1, 1000, text),
                             packet(KT_PROTO_TCP, 0.1, 1, 4000, 2, 5000, ""),
                             packet(KT_PROTO_TCP, 1.1, 2, 5000, 1, 4000, "whatever")};
    p[1].tcp_flags = KT_TCP_SYN;
    p[2].tcp_flags = KT_TCP_ACK;
    uint8_t header[20] = {0};
    p[1].data = header; /* the table reads the sequence number */
    kt_expect_packets(expect, p, 3);
    for (int i = 0; i < 3; i++)
        p[i].flags &= (uint16_t)~KT_PKT_TRANSPORT; /* there is no header here to look into */
    assert_int_equal(kt_flow_table_packets(t, p, 2), KT_OK);
    tick(t, KT_SECOND, false, &h);
    /* known at once, before the first byte: nothing to be moved later */
    assert_int_equal(h->slices, 2);
    assert_int_equal(h->slice[1].app, kt_rules_label(rules, data)->app);
    assert_int_equal(h->announcers, 1);
    assert_int_equal(h->announcer[0].packet, p[0].seq);
    assert_int_equal(h->announcer[0].flow, p[0].seq);
    kt_harvest_done(h);
    assert_int_equal(kt_flow_table_packets(t, p + 2, 1), KT_OK);
    tick(t, 2 * KT_SECOND, true, &h);
    assert_int_equal(h->relabels, 0);
    assert_int_equal(h->announcers, 0);
    kt_flow_rest(h, 1, &r);
    assert_int_equal(r.verdict.label, data);
    assert_int_equal(r.seen.announced, data);
    assert_int_equal(r.announcer.packet, p[0].seq);
    kt_harvest_done(h);
    kt_flow_table_free(t);
}

/* RTP that began before anybody spoke of it: what was counted as unknown moves. Once it is decided
 * nothing does. */
static void a_late_mark(void **state)
{
    (void)state;
    static const char sip[] =
        "SIP/2.0 200 OK\r\n\r\nv=0\r\nc=IN IP4 0.0.0.2\r\nm=audio 5000 RTP/AVP 96\r\n";
    static const char rtp[] = "\200`..........................";
    for (int decided = 0; decided < 2; decided++) {
        struct kt_flow_table *t;
        struct kt_harvest *h;
        struct kt_flow_record r;
        teardown(NULL);
        setup(NULL);
        assert_int_equal(kt_flow_table_new(&t, &(struct kt_flow_options){.rules = rules}, NULL),
                         KT_OK);
        struct kt_packet p[4] = {packet(KT_PROTO_UDP, 0, 1, 4001, 2, 5000, rtp),
                                 packet(KT_PROTO_UDP, 0, 2, 5000, 1, 4001, "neither of both"),
                                 packet(KT_PROTO_UDP, 1, 2, 5060, 1, 5060, sip),
                                 packet(KT_PROTO_UDP, 1, 1, 4001, 2, 5000, rtp)};
        kt_expect_packets(expect, p, 4);
        assert_int_equal(kt_flow_table_packets(t, p, 1), KT_OK);
        if (decided)
            assert_int_equal(kt_flow_table_packets(t, p + 1, 1), KT_OK);
        tick(t, KT_SECOND, false, &h);
        assert_int_equal(h->slice[0].app, kt_rules_label(rules, KT_LABEL_UNKNOWN_UDP)->app);
        kt_harvest_done(h);
        assert_int_equal(kt_flow_table_packets(t, p + 2, 2), KT_OK);
        tick(t, 2 * KT_SECOND, true, &h);
        kt_flow_rest(h, 0, &r);
        uint16_t want = decided ? KT_LABEL_UNKNOWN_UDP : label("rtp");
        assert_int_equal(r.verdict.label, want);
        assert_int_equal(h->relabels, decided ? 0 : 1);
        if (!decided) {
            assert_int_equal(h->relabel[0].interval, KT_SECOND);
            assert_int_equal(h->relabel[0].bytes, p[0].wirelen);
            assert_int_equal(h->relabel[0].to, kt_rules_label(rules, want)->app);
        }
        kt_harvest_done(h);
        kt_flow_table_free(t);
    }
}

int main(void)
{
    if (kt_rules_load_builtin(&rules, NULL) < 0)
        return 1;
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(who_is_meant), TEST(for_how_long),  TEST(the_newest_announcer_counts),
        TEST(flood),        TEST(a_marked_flow), TEST(a_late_mark),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    kt_rules_free(rules);
    return rc;
}
