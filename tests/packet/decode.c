/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <kotare/packet.h>
#include <stdlib.h>

/* 10.0.0.1:40000 -> 10.0.0.2:80, SYN, in an Ethernet frame padded to 60 bytes. */
static const uint8_t ip_syn[] = {0x45, 0, 0,  40, 0,    1, 0,    0,    64, 6,  0, 0, 10, 0,
                                 0,    1, 10, 0,  0,    2, 0x9c, 0x40, 0,  80, 0, 0, 0,  7,
                                 0,    0, 0,  0,  0x50, 2, 0xff, 0xff, 0,  0,  0, 0};

static size_t frame(uint8_t *buf, const uint16_t *types, const void *body, size_t len)
{
    memset(buf, 0, 12);
    size_t at = 12;
    for (; *types; types++) {
        buf[at++] = (uint8_t)(*types >> 8);
        buf[at++] = (uint8_t)*types;
    }
    memcpy(buf + at, body, len);
    return at + len;
}

static struct kt_packet decoded(const uint8_t *data, size_t len)
{
    struct kt_packet p = {
        .data = data, .caplen = (uint32_t)len, .wirelen = (uint32_t)len, .link = KT_LINK_ETHERNET};
    kt_decode(&p);
    return p;
}

static void test_plain(void **state)
{
    (void)state;
    uint8_t buf[128] = {0};
    frame(buf, (uint16_t[]){0x0800, 0}, ip_syn, sizeof ip_syn);
    struct kt_packet p = decoded(buf, 60);
    assert_int_equal(p.flags, KT_PKT_DECODED | KT_PKT_IP | KT_PKT_TRANSPORT);
    assert_int_equal(p.key.port[0], 40000);
    assert_int_equal(p.key.port[1], 80);
    assert_int_equal(p.tcp_flags, KT_TCP_SYN);
    assert_int_equal(p.payload_len, 0); /* the padding is no payload */
    char text[KT_ADDR_TEXT];
    assert_string_equal(kt_addr_text(p.key.addr[1], 4, text), "10.0.0.2");
    struct kt_key back = p.key;
    kt_key_reverse(&back);
    assert_int_equal(kt_key_hash(&back), p.hash);
    assert_false(kt_key_equal(&back, &p.key));
}

static void test_vlans(void **state)
{
    (void)state;
    uint8_t buf[128];
    size_t len =
        frame(buf, (uint16_t[]){0x88a8, 0x2064, 0x8100, 5, 0x0800, 0}, ip_syn, sizeof ip_syn);
    struct kt_packet p = decoded(buf, len);
    assert_int_equal(p.key.vlan[0], 0x64);
    assert_int_equal(p.key.vlan[1], 5);
    assert_int_equal(p.key.port[1], 80);
}

static void test_icmp_error_belongs_to_the_quoted_flow(void **state)
{
    (void)state;
    uint8_t ip[28 + sizeof ip_syn] = {0x45, 0,  0, sizeof ip, 0, 0,  0, 0, 64, 1, 0,
                                      0,    10, 0, 0,         9, 10, 0, 0, 1,  3, 3};
    memcpy(ip + 28, ip_syn, sizeof ip_syn);
    uint8_t buf[160];
    struct kt_packet p = decoded(buf, frame(buf, (uint16_t[]){0x0800, 0}, ip, sizeof ip));
    frame(buf, (uint16_t[]){0x0800, 0}, ip_syn, sizeof ip_syn);
    struct kt_packet syn = decoded(buf, 14 + sizeof ip_syn);
    assert_true(p.flags & KT_PKT_ICMP_ERROR);
    assert_true(kt_key_equal(&p.key, &syn.key));
    assert_int_equal(p.hash, syn.hash);
}

static void test_ip_in_ip(void **state)
{
    (void)state;
    uint8_t ip[20 + sizeof ip_syn] = {0x45, 0, 0,   sizeof ip, 0, 0, 0,   0, 64, 4,
                                      0,    0, 192, 0,         2, 1, 192, 0, 2,  2};
    memcpy(ip + 20, ip_syn, sizeof ip_syn);
    uint8_t buf[160];
    struct kt_packet p = decoded(buf, frame(buf, (uint16_t[]){0x0800, 0}, ip, sizeof ip));
    assert_true(p.flags & KT_PKT_TUNNEL);
    assert_int_not_equal(p.key.tunnel, 0);
    assert_int_equal(p.key.proto, KT_PROTO_TCP);
    assert_int_equal(p.key.port[1], 80);
}

/* Found by fuzzing: the outer UDP header is none of the cut packet inside. */
static void test_cut_inside_a_tunnel(void **state)
{
    (void)state;
    enum { CUT = 30 };
    uint8_t ip[36 + 14 + CUT] = {
        0x45, 0,    0, sizeof ip,      0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, 0, 1,
        0x12, 0xb5, 0, sizeof ip - 20, 0, 0, 8};
    ip[48] = 8; /* the Ethernet type inside */
    memcpy(ip + 50, ip_syn, CUT);
    uint8_t buf[160];
    struct kt_packet p = decoded(buf, frame(buf, (uint16_t[]){0x0800, 0}, ip, sizeof ip));
    assert_true(p.flags & KT_PKT_TUNNEL);
    assert_true(p.flags & KT_PKT_IP);
    assert_int_equal(p.key.proto, KT_PROTO_TCP);
    assert_int_equal(p.key.port[1], 80);
    assert_false(p.flags & KT_PKT_TRANSPORT);
}

/* An ICMPv6 error about a later fragment: which flow it was cannot be told, and it is no fragment
 * itself. */
static void test_icmp_error_about_a_fragment(void **state)
{
    (void)state;
    uint8_t ip[40 + 8 + 40 + 16] = {0x60, 0, 0, 0, 0, sizeof ip - 40, 58, 64};
    ip[40] = 1; /* unreachable */
    ip[48] = 0x60;
    ip[54] = 44;
    ip[88] = KT_PROTO_UDP;
    ip[90] = 1; /* its offset */
    uint8_t buf[160];
    struct kt_packet p = decoded(buf, frame(buf, (uint16_t[]){0x86dd, 0}, ip, sizeof ip));
    assert_int_equal(p.flags, KT_PKT_DECODED | KT_PKT_IP | KT_PKT_TRANSPORT);
    assert_int_equal(p.key.proto, KT_PROTO_ICMPV6);
    ip[90] = 0; /* the same about a first one */
    ip[97] = 53;
    p = decoded(buf, frame(buf, (uint16_t[]){0x86dd, 0}, ip, sizeof ip));
    assert_int_equal(p.flags, KT_PKT_DECODED | KT_PKT_IP | KT_PKT_TRANSPORT | KT_PKT_ICMP_ERROR);
    assert_int_equal(p.key.port[0], 53);
}

/* Whatever the bytes: no read beyond the end (ASan watches), offsets within what was captured or
 * at the end of what was on the wire, and every cut of a good packet decodes. */
static void test_any_bytes(void **state)
{
    (void)state;
    static const uint16_t links[] = {0,   1,   9,   12,  50,  51,  101, 104,
                                     105, 108, 113, 127, 228, 229, 276, 147};
    uint64_t x = 88172645463325252u;
    for (int round = 0; round < 20000; round++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        size_t len = x >> 20 & 127;
        uint8_t *data = malloc(len + !len);
        for (size_t i = 0; i < len; i++) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            data[i] = (uint8_t)(x >> 32);
        }
        if (len > 40 && round & 1) {
            memcpy(data + 12, "\x08\x00\x45", 3);
            data[23] = (uint8_t[]){1, 4, 6, 17, 41, 47, 132, 44}[x & 7];
        }
        struct kt_packet p = {.data = data,
                              .caplen = (uint32_t)len,
                              .wirelen = (uint32_t)(len + (x >> 40 & 63)),
                              .link = links[x >> 50 & 15]};
        kt_decode(&p);
        if (p.flags & KT_PKT_TRANSPORT)
            assert_in_range(p.l4, 0, len);
        assert_true(p.payload + (uint64_t)p.payload_len <= p.wirelen || p.payload_len == 0);
        assert_int_not_equal(p.hash, 0);
        free(data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_vlans),
        cmocka_unit_test(test_icmp_error_belongs_to_the_quoted_flow),
        cmocka_unit_test(test_ip_in_ip),
        cmocka_unit_test(test_cut_inside_a_tunnel),
        cmocka_unit_test(test_icmp_error_about_a_fragment),
        cmocka_unit_test(test_any_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
