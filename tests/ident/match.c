/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * What the lines of a rule mean, and that the index finds just what running every rule finds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ident/rules.h"
#include <stdio.h>
#include <stdlib.h>

#define HEAD(id, priority)                                                                         \
    "protocol: " id "\nname: " id "\ntransport: udp\ncategory: test\npriority: " #priority "\n"

static struct kt_rules *load(const char *text)
{
    struct kt_rules *r;
    struct kt_error err = {0};
    if (kt_rules_load_text(&r, "test.rule", text, strlen(text), &err) < 0)
        fail_msg("%s", err.text);
    return r;
}

/* A direction: NULL is silent. */
static struct kt_first first(const char *text)
{
    struct kt_first f = {0};
    if (text) {
        f.len = (uint32_t)strlen(text);
        f.captured = (uint8_t)f.len;
        memcpy(f.head, text, f.len);
    }
    return f;
}

static const char *told(const struct kt_rules *r, const char *up, const char *down, uint16_t server)
{
    struct kt_seen seen = {.proto = KT_PROTO_UDP,
                           .ip = 4,
                           .client = 40000,
                           .server = server,
                           .dir = {first(up), first(down)}};
    struct kt_verdict v, slow;
    kt_ident_match(r, &seen, &v);
    rule_match_slowly(r, &seen, &slow);
    assert_int_equal(v.label, slow.label);
    assert_int_equal(v.accept, slow.accept);
    return kt_rules_label(r, v.label)->id;
}

static void accept_lines(void **state)
{
    (void)state;
    struct kt_rules *r = load(HEAD("a", 10) "shape ask: text \"ask\"\nshape reply: text \"rep\"\n"
                                            "shape tell: text \"tell\"\nshape odd: len % 2 == 1\n"
                                            "accept: ask <-> reply\naccept: tell <-> silent\n"
                                            "accept: both odd when port == 7\n");
    assert_string_equal(told(r, "ask", "rep", 1), "a");
    assert_string_equal(told(r, "rep", "ask", 1), "a");
    assert_string_equal(told(r, "ask", NULL, 1), "unknown-udp");
    assert_string_equal(told(r, "tell", NULL, 1), "a");
    assert_string_equal(told(r, NULL, "tell", 1), "a");
    assert_string_equal(told(r, "tell", "x", 1), "unknown-udp");
    assert_string_equal(told(r, "x", "yyy", 7), "a");
    assert_string_equal(told(r, "x", "yyy", 8), "unknown-udp");
    assert_string_equal(told(r, "x", "yy", 7), "unknown-udp");
    assert_string_equal(told(r, "x", NULL, 7), "unknown-udp"); /* silence is no shape */
    assert_string_equal(told(r, NULL, NULL, 7), "no-payload");
    kt_rules_free(r);

    /* clang-format off */
    r = load(HEAD("a", 10) "shape up: b0 == 0x75\nshape down: b0 == 0x64\naccept: up -> down\n\n"
             HEAD("b", 20) "shape x or silent: text \"x\"\nshape y: text \"y\"\naccept: y <-> x\n\n"
             HEAD("c", 30) "shape any-c: text \"c\"\naccept: either any-c\nrefuse: any-c <-> silent\n");
    /* clang-format on */
    assert_string_equal(told(r, "u", "d", 1), "a");
    assert_string_equal(told(r, "d", "u", 1), "unknown-udp");
    assert_string_equal(told(r, "y", NULL, 1), "b");
    assert_string_equal(told(r, "x", "y", 1), "b");
    assert_string_equal(told(r, "y", "z", 1), "unknown-udp");
    assert_string_equal(told(r, "c", "zz", 1), "c");
    assert_string_equal(told(r, "c", NULL, 1), "unknown-udp");
    kt_rules_free(r);
}

static void shared_blocks(void **state)
{
    (void)state;
    /* clang-format off */
    struct kt_rules *r = load(
        HEAD("a", 10) "shape big: len > 5\naccept: pair duo with big <-> any when port == 9\n\n"
        HEAD("b", 20) "shape tiny: tiny-shared and not shared.ping\naccept: either tiny\n\n"
        HEAD("c", 30) "accept: pair duo\n\n"
        "shared: duo\nshape ping: text \"ping\"\nshape pong: text \"pong\"\naccept: ping <-> pong\n\n"
        "shared: s\nshape tiny-shared: len <= 2\n");
    /* clang-format on */
    assert_string_equal(told(r, "ping", "pong12", 9), "a");
    assert_string_equal(told(r, "ping12", "pong", 9), "a");
    assert_string_equal(told(r, "ping", "pong", 9), "c");
    assert_string_equal(told(r, "pong", "ping12", 8), "c");
    assert_string_equal(told(r, "zz", "ping12", 8), "b");
    kt_rules_free(r);
}

static void order(void **state)
{
    (void)state;
    /* clang-format off */
    struct kt_rules *r = load(HEAD("late", 20) "shape x: b0 == 0x78\naccept: either x\n\n"
                              HEAD("early", 10) "shape x: text \"xx\"\naccept: either x\n\n"
                              HEAD("off", 5) "enabled: no\nshape x: b0 == 0x78\naccept: either x\n\n"
                              HEAD("late", 30) "shape y: b0 == 0x79\naccept: either y\n");
    /* clang-format on */
    assert_string_equal(told(r, "xx", NULL, 1), "early");
    assert_string_equal(told(r, "xy", NULL, 1), "late");
    assert_string_equal(told(r, "yy", NULL, 1), "late");
    assert_int_equal(kt_rules_labels(r), KT_LABEL_FIXED_COUNT + 2);
    kt_rules_free(r);
}

static void peers(void **state)
{
    (void)state;
    struct kt_rules *r =
        load(HEAD("a", 10) "shape same: be16a == peer.be16a and len == peer.len + 1\n"
                           "shape it: len > 0\naccept: same <-> it\n");
    assert_string_equal(told(r, "abc", "ab", 1), "a");
    assert_string_equal(told(r, "ab", "abc", 1), "a");
    assert_string_equal(told(r, "ab", "abcd", 1), "unknown-udp");
    assert_string_equal(told(r, "xb", "abc", 1), "unknown-udp");
    kt_rules_free(r);
}

static void fixed(void **state)
{
    struct kt_rules *r = load(HEAD("a", 10) "shape x: len > 0\naccept: either x\n");
    struct kt_seen seen = {.proto = KT_PROTO_ICMPV6, .ip = 6};
    struct kt_verdict v;
    (void)state;
    kt_ident_match(r, &seen, &v);
    assert_int_equal(v.label, KT_LABEL_ICMP);
    seen.proto = KT_PROTO_GRE;
    kt_ident_match(r, &seen, &v);
    assert_int_equal(v.label, KT_LABEL_OTHER_IP);
    seen.proto = KT_PROTO_TCP;
    kt_ident_match(r, &seen, &v);
    assert_int_equal(v.label, KT_LABEL_NO_PAYLOAD);
    seen.dir[0].len = 5;
    kt_ident_match(r, &seen, &v);
    assert_int_equal(v.label, KT_LABEL_UNKNOWN_TCP);
    seen.ip = 0;
    kt_ident_match(r, &seen, &v);
    assert_int_equal(v.label, KT_LABEL_NOT_IP);
    kt_rules_free(r);
}

static void mistakes(void **state)
{
    static const struct {
        const char *text, *part[2];
    } table[] = {
        {"hello\n", {"test.rule:1: ", "'hello'"}},
        {"name: x\n", {"test.rule:1: ", "a block begins with 'protocol:'"}},
        {"protocol: A b\n", {"small letters", "A b"}},
        {"\n\n" HEAD("a", 1) "colour: red\n", {"test.rule:8: ", "there is no key 'colour'"}},
        {HEAD("a", 1) "shape x: len >\naccept: either x\n", {"test.rule:6:15: ", "found the end"}},
        {HEAD("a", 1) "shape x: len > 1\n  and b == 2\naccept: either x\n",
         {"test.rule:7:7: ", "'b'"}},
        {HEAD("a", 1) "shape x: y\nshape y: x\naccept: either x\n",
         {"refers to itself", "test.rule:6"}},
        {HEAD("a", 1) "shape len: len > 1\n", {"'len' can not be the name", ""}},
        {HEAD("a", 1) "shape: len > 1\n", {"a shape wants a name", ""}},
        {HEAD("a", 1) "accept: either x\n", {"test.rule:6: ", "there is no shape 'x'"}},
        {HEAD("a", 1) "accept: x y z\n", {"expected 'X <-> Y'", ""}},
        {HEAD("a", 1) "accept: any <-> any\n", {"accepts every flow", ""}},
        {HEAD("a", 1) "shape x: len > 1\naccept: either x when len > 1\n",
         {"may speak of ports only", "'len'"}},
        {HEAD("a", 1) "shape x: len > 1\naccept: either x when port = 1\n",
         {"test.rule:7:28: ", "'=='"}},
        {HEAD("a", 1) "shape x: len > 1\naccept: either x now\n", {"found 'now'", ""}},
        {HEAD("a", 1) "accept: pair nobody\n", {"no block 'shared: nobody'", ""}},
        {HEAD("a", 1) "shape x: len > 1\n", {"has no accept line", ""}},
        {HEAD("a", 1) "name: again\n",
         {"test.rule:6: ", "a second 'name:' (the first is in line 2)"}},
        {HEAD("a", 1001) "accept: either x\n", {"priority is a number from 0 to 1000", ""}},
        {HEAD("a", 1) "enabled: maybe\n", {"enabled is 'yes' or 'no'", ""}},
        {"protocol: a\ntransport: sctp\n", {"test.rule:2: ", "not 'sctp'"}},
        {"protocol: a\nname: A\n", {"'a' has no 'category:' line", ""}},
        {"protocol: icmp\nname: A\ntransport: udp\ncategory: c\npriority: 1\nshape x: len > 0\naccept: either x\n",
         {"'icmp' is taken", ""}},
        {HEAD("a", 1) "shape x: len > 1\naccept: either x\nprotocol: b\n",
         {"an empty line must stand before", ""}},
        {HEAD("a", 1) "usual-port: x\nshape x: len > 1\naccept: either x\n",
         {"test.rule:6:", "expected a number"}},
    };
    (void)state;
    for (size_t i = 0; i < KT_ARRAY_LEN(table); i++) {
        struct kt_rules *r;
        struct kt_error err = {0};
        int rc = kt_rules_load_text(&r, "test.rule", table[i].text, strlen(table[i].text), &err);
        if (rc != KT_EFORMAT)
            fail_msg("%zu was accepted or not called malformed", i);
        if (!strstr(err.text, table[i].part[0]) || !strstr(err.text, table[i].part[1]))
            fail_msg("%zu: %s", i, err.text);
        assert_null(r);
    }
}

static void examples(void **state)
{
    struct kt_error err = {0};
    struct kt_rules *r = load(HEAD("a", 1) "shape x: text \"x\"\naccept: either x\n"
                                           "example: 1 > 2; up \"x\"; down silent\n"
                                           "example: 1 > 2; up \"y\"; down silent\n");
    (void)state;
    assert_int_equal(kt_rules_check(r, &err), KT_EFORMAT);
    assert_non_null(
        strstr(err.text, "test.rule:9: the example is taken for 'unknown-udp', not 'a'"));
    kt_rules_free(r);
    r = load(HEAD("a", 1) "shape x: text \"x\"\naccept: either x\nexample: nonsense\n");
    assert_int_equal(kt_rules_check(r, &err), KT_EFORMAT);
    assert_non_null(strstr(err.text, "test.rule:8: an example looks like"));
    kt_rules_free(r);
}

static void explanation(void **state)
{
    struct kt_rules *r =
        load(HEAD("a", 1) "usual-port: 7\nshape x: text \"x\"\naccept: either x\n");
    struct kt_seen seen = {.proto = KT_PROTO_UDP, .ip = 4, .server = 7, .dir = {first("xyz")}};
    struct kt_verdict v;
    struct kt_buf out = {0};
    (void)state;
    kt_ident_match(r, &seen, &v);
    kt_ident_explain(r, &seen, &v, &out);
    assert_non_null(strstr(out.data, "a by rule a (test.rule:8, \"either x\")"));
    assert_non_null(strstr(out.data, "the initiator began with 3 bytes (78 79 7a)"));
    assert_non_null(strstr(out.data, "the other side sent no payload; port 7 is usual for it"));
    kt_buf_free(&out);
    kt_rules_free(r);
}

/* Each line once, though a pair and two transports make more of it; blocks of one name in turn. */
static void lines_of_a_label(void **state)
{
    struct kt_rules *r = load(
        "shared: both\nshape x: text \"x\"\nshape y: text \"y\"\naccept: both x\naccept: both y\n\n"
        "protocol: a\nname: a\ntransport: tcp udp\ncategory: test\npriority: 5\nconfidence: 70\n"
        "accept: pair both\naccept: both z when port == 7\nshape z: text \"z\"\n\n" HEAD(
            "a", 900) "confidence: 35\naccept: either q\nshape q: text \"q\"\n");
    static const struct kt_rule_line want[] = {{"test.rule", "pair both", 13, 1, 70, 5},
                                               {"test.rule", "both z when port == 7", 14, 2, 70, 5},
                                               {"test.rule", "either q", 23, 1, 35, 900}};
    struct kt_rule_line line;
    unsigned label = KT_LABEL_FIXED_COUNT, n = 0;
    (void)state;
    for (; kt_rules_line(r, label, n, &line); n++) {
        assert_true(n < KT_ARRAY_LEN(want));
        assert_string_equal(line.file, want[n].file);
        assert_string_equal(line.text, want[n].text);
        assert_int_equal(line.line, want[n].line);
        assert_int_equal(line.accept, want[n].accept);
        assert_int_equal(line.confidence, want[n].confidence);
        assert_int_equal(line.priority, want[n].priority);
    }
    assert_int_equal(n, KT_ARRAY_LEN(want));
    assert_false(kt_rules_line(r, KT_LABEL_ICMP, 0, &line));
    kt_rules_free(r);
}

/* Random flows, half of them made of parts of examples so that rules come near to holding. */
static void index_is_right(void **state)
{
    static const uint8_t likely[] = {0,    1,    2,   3,   0x10, 0x16, 0x17, 0x30,
                                     0x80, 0xff, 'G', 'E', '2',  '+',  '<',  4};
    static const uint16_t port[] = {53,    80,    443,  123,  25, 21, 5060,
                                    40000, 41001, 1883, 6379, 9,  7,  4500};
    struct kt_rules *r;
    uint64_t seed = 42;
    unsigned known = 0;
    (void)state;
    assert_int_equal(kt_rules_load_builtin(&r, NULL), KT_OK);
    for (int n = 0; n < 200000; n++) {
        struct kt_seen seen = {.ip = 4};
        uint64_t x = seed = kt_mix64(seed + 1, UINT64_C(0x9e3779b97f4a7c15)) + seed;
        seen.proto = x & 1 ? KT_PROTO_TCP : KT_PROTO_UDP;
        seen.server = port[(x >> 1) % KT_ARRAY_LEN(port)];
        seen.client = port[(x >> 9) % KT_ARRAY_LEN(port)];
        for (int d = 0; d < 2; d++) {
            struct kt_first *f = &seen.dir[d];
            if (x >> (20 + d) & 3)
                f->len =
                    (x >> (24 + 8 * d)) & 1 ? (x >> (26 + 8 * d)) & 63 : (x >> (26 + 8 * d)) % 1600;
            f->captured = f->len < KT_IDENT_HEAD ? (uint8_t)f->len : KT_IDENT_HEAD;
            f->midway = f->len && x >> 60 & 1;
            for (int i = 0; i < f->captured; i++) {
                seed = kt_mix64(seed + 7, UINT64_C(0x9e3779b97f4a7c15)) + 1;
                f->head[i] = seed & 7 ? likely[(seed >> 3) % sizeof likely] : (uint8_t)(seed >> 8);
            }
        }
        struct kt_verdict v, slow;
        kt_ident_match(r, &seen, &v);
        rule_match_slowly(r, &seen, &slow);
        if (v.label != slow.label || v.accept != slow.accept)
            fail_msg("flow %d: the index says %s, the rules %s", n, kt_rules_label(r, v.label)->id,
                     kt_rules_label(r, slow.label)->id);
        known += v.accept != 0;
    }
    assert_true(known > 1000);
    kt_rules_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accept_lines),
        cmocka_unit_test(shared_blocks),
        cmocka_unit_test(order),
        cmocka_unit_test(peers),
        cmocka_unit_test(fixed),
        cmocka_unit_test(mistakes),
        cmocka_unit_test(examples),
        cmocka_unit_test(explanation),
        cmocka_unit_test(lines_of_a_label),
        cmocka_unit_test(index_is_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
