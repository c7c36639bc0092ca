/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Live capture from a veth pair, in a network namespace of this process alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <kotare/trace.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "plugins.h"

enum { PAYLOAD = 40, FRAME = 14 + 20 + 8 + PAYLOAD };

static int sender[2]; /* packet sockets on the two ends */

static bool have_net(void)
{
    return unshare(CLONE_NEWNET) == 0 &&
           system("ip link set lo up && ip link add kta type veth peer name ktb && "
                  "ip link set kta up arp off && ip link set ktb up arp off && "
                  "sysctl -qw net.ipv6.conf.all.disable_ipv6=1 2>/dev/null; "
                  "ip link show kta >/dev/null 2>&1") == 0;
}

static int packet_socket(const char *name)
{
    struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(name)};
    int fd = socket(AF_PACKET, SOCK_RAW, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static void put16(uint8_t *at, unsigned v)
{
    at[0] = (uint8_t)(v >> 8);
    at[1] = (uint8_t)v;
}

/* A UDP packet from host x to host y, whose ports are its host's number; the payload begins with
 * 0x51. vlan 0: none. */
static void send_udp(int side, unsigned x, unsigned y, unsigned vlan)
{
    uint8_t f[FRAME + 4] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1};
    uint8_t *p = f + 12;
    if (vlan) {
        put16(p, 0x8100);
        put16(p + 2, vlan);
        p += 4;
    }
    put16(p, 0x0800);
    p += 2;
    p[0] = 0x45;
    put16(p + 2, 20 + 8 + PAYLOAD);
    p[8] = 64;
    p[9] = 17;
    p[12] = p[16] = 10;
    put16(p + 14, x);
    put16(p + 18, y);
    put16(p + 20, x);
    put16(p + 22, y);
    put16(p + 24, 8 + PAYLOAD);
    p[28] = 0x51;
    size_t len = vlan ? FRAME + 4 : FRAME;
    assert_int_equal(send(sender[side], f, len, 0), len);
}

struct got {
    unsigned packets, sent, bytes;
    unsigned vlan;                /* of the last tagged packet */
    unsigned char seen[2][65536]; /* by source and by destination port */
};

/* Reads until nothing comes for a while; counts the test's own packets. */
static void drain(struct kt_source *src, struct got *g)
{
    static struct kt_packet packets[KT_BATCH];
    struct kt_batch batch = {.packet = packets};
    struct kt_error err;
    for (unsigned quiet = 0; quiet < 3;) {
        assert_int_equal(kt_source_read(src, &batch, &err), KT_OK);
        quiet = batch.n ? 0 : quiet + 1;
        for (unsigned i = 0; i < batch.n; i++) {
            struct kt_packet *p = &packets[i];
            bool tx = p->flags & KT_PKT_TX;
            kt_decode(p);
            if (p->proto != 17 || p->caplen <= p->payload || p->data[p->payload] != 0x51)
                continue;
            assert_true(kt_now() - p->ts < 10 * KT_SECOND && p->ts <= kt_now());
            g->packets++;
            g->sent += tx;
            g->bytes += p->wirelen;
            g->vlan = p->key.vlan[0] ? p->key.vlan[0] : g->vlan;
            g->seen[0][p->key.port[0]]++;
            g->seen[1][p->key.port[1]]++;
        }
    }
}

static struct kt_source *open_live(const char *uri, const struct kt_source_options *opt)
{
    struct kt_source *src;
    struct kt_error err = {0};
    if (kt_source_open(&src, kt_builtin_registry(), uri, opt, &err) != KT_OK)
        fail_msg("%s", err.text);
    assert_true(kt_source_flags(src) & KT_SOURCE_LIVE);
    assert_string_equal(kt_source_format(src), "ring");
    return src;
}

static void test_both_ways(void **state)
{
    (void)state;
    struct got *g = calloc(1, sizeof *g);
    struct kt_source *src = open_live("kta", NULL);
    for (unsigned i = 0; i < 1000; i++)
        send_udp(1, 1000 + i, 7, 0);
    for (unsigned i = 0; i < 300; i++)
        send_udp(0, 7, 1000 + i, 0);
    drain(src, g);
    struct kt_trace_stats st;
    kt_source_stats(src, &st);
    assert_int_equal(g->packets, 1300);
    assert_int_equal(g->sent, 300);
    assert_int_equal(g->bytes, 1300 * FRAME);
    assert_int_equal(st.lost_ring, 0);
    assert_true(st.received >= 1300);
    kt_source_close(src);
    free(g);
}

static void test_vlan_tag_is_back(void **state)
{
    (void)state;
    struct got *g = calloc(1, sizeof *g);
    struct kt_source *src = open_live("ring:kta", NULL);
    send_udp(1, 100, 200, 42);
    drain(src, g);
    assert_int_equal(g->packets, 1);
    assert_int_equal(g->vlan, 42);
    assert_int_equal(g->bytes, FRAME + 4);
    kt_source_close(src);
    free(g);
}

static void test_filter(void **state)
{
    (void)state;
    struct got *g = calloc(1, sizeof *g);
    struct kt_source *src =
        open_live("kta", &(struct kt_source_options){.filter = "udp port 1005"});
    for (unsigned i = 0; i < 10; i++)
        send_udp(1, 1000 + i, 7, 0);
    drain(src, g);
    assert_int_equal(g->packets, 1);
    assert_int_equal(g->seen[0][1005], 1);
    kt_source_close(src);
    free(g);
}

/* Each packet in one ring of the group; both directions of a flow in the same. */
static void test_fanout(void **state)
{
    (void)state;
    struct got *g[2] = {calloc(1, sizeof **g), calloc(1, sizeof **g)};
    struct kt_source *src[2];
    for (unsigned i = 0; i < 2; i++)
        src[i] = open_live("kta", &(struct kt_source_options){
                                      .streams = 2, .stream = i, .fanout = getpid() & 0xffff});
    for (unsigned i = 0; i < 200; i++) {
        send_udp(1, 1000 + i, 7, 0);
        send_udp(0, 7, 1000 + i, 0);
    }
    drain(src[0], g[0]);
    drain(src[1], g[1]);
    assert_int_equal(g[0]->packets + g[1]->packets, 400);
    assert_true(g[0]->packets > 0 && g[1]->packets > 0);
    for (unsigned i = 1000; i < 1200; i++)
        for (unsigned k = 0; k < 2; k++)
            assert_int_equal(g[k]->seen[0][i], g[k]->seen[1][i]);
    for (unsigned i = 0; i < 2; i++) {
        kt_source_close(src[i]);
        free(g[i]);
    }
}

/* A block that is held stays as it is while the kernel goes on with others. */
static void test_hold(void **state)
{
    (void)state;
    static struct kt_packet first[KT_BATCH], packets[KT_BATCH];
    struct kt_batch batch = {.packet = first};
    struct kt_error err;
    struct kt_source *src = open_live("kta", NULL);
    send_udp(1, 4242, 7, 0);
    while (kt_source_read(src, &batch, &err) == KT_OK && batch.n == 0)
        ;
    struct kt_block *block = batch.block;
    kt_block_hold(block);
    batch.packet = packets;
    for (unsigned round = 0; round < 40; round++) {
        for (unsigned i = 0; i < 500; i++)
            send_udp(1, 1000, 7, 0);
        for (unsigned quiet = 0; quiet < 1; quiet += batch.n == 0)
            assert_int_equal(kt_source_read(src, &batch, &err), KT_OK);
    }
    kt_source_close(src);
    kt_decode(&first[0]);
    assert_int_equal(first[0].key.port[0], 4242);
    kt_block_release(block);
}

static void test_refusals(void **state)
{
    (void)state;
    struct kt_source *src;
    struct kt_error err = {0};
    const struct kt_registry *r = kt_builtin_registry();
    assert_int_equal(kt_source_open(&src, r, "ring:nosuchif", NULL, &err), KT_ENOTFOUND);
    assert_non_null(strstr(err.text, "nosuchif"));
    struct kt_source_options opt = {.filter = "udp prot 5"};
    assert_int_equal(kt_source_open(&src, r, "kta", &opt, &err), KT_EINVAL);
    assert_non_null(strstr(err.text, "udp prot 5"));
    assert_true(kt_source_is_live(r, "kta"));
    assert_true(kt_source_is_live(r, "ring:anything"));
    assert_false(kt_source_is_live(r, "/dev/null"));
    assert_false(kt_source_is_live(r, "-"));
}

static void test_interface_goes(void **state)
{
    (void)state;
    static struct kt_packet packets[KT_BATCH];
    struct kt_batch batch = {.packet = packets};
    struct kt_error err = {0};
    struct kt_source *src = open_live("kta", NULL);
    assert_int_equal(system("ip link set kta down && ip link set kta up"), 0);
    assert_int_equal(kt_source_read(src, &batch, &err), KT_OK);
    assert_int_equal(system("ip link del kta"), 0);
    int rc = KT_OK;
    for (unsigned i = 0; i < 100 && rc == KT_OK; i++)
        rc = kt_source_read(src, &batch, &err);
    assert_int_equal(rc, KT_EIO);
    assert_non_null(strstr(err.text, "kta"));
    kt_source_close(src);
}

int main(void)
{
    if (!have_net()) {
        print_message("skipped: live capture needs the right to make a network namespace and a "
                      "veth pair (root), and the ip program\n");
        return 77;
    }
    sender[0] = packet_socket("kta");
    sender[1] = packet_socket("ktb");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ways),      cmocka_unit_test(test_vlan_tag_is_back),
        cmocka_unit_test(test_filter),         cmocka_unit_test(test_fanout),
        cmocka_unit_test(test_hold),           cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_interface_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
