/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Which payload of a flow is kept for identification: the first of each direction, in the order of
 * its stream and not of its arrival. */
#include "helper.h"

#define DATA(w, ms, dir, number, text)                                                             \
    SEND(w, .ts = T0 + (ms)*MS, .proto = KT_PROTO_TCP, dir, .flags = KT_TCP_ACK, .seq = (number),  \
         .payload = (text))

static void assert_head(const struct kt_flow_record *r, unsigned side, const char *text,
                        bool midway)
{
    const struct kt_first *f = &r->seen.dir[side];
    size_t len = strlen(text), kept = len < KT_IDENT_HEAD ? len : KT_IDENT_HEAD;
    assert_int_equal(f->len, len);
    assert_int_equal(f->captured, kept);
    assert_memory_equal(f->head, text, kept);
    for (size_t i = kept; i < KT_IDENT_HEAD; i++)
        assert_int_equal(f->head[i], 0);
    assert_int_equal(f->midway, midway);
}

static void test_first_of_each_side(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 0);
    handshake(&w, T0);
    DATA(&w, 30, A_TO_B, 101, "CHRP");
    DATA(&w, 31, A_TO_B, 105, "and more");
    DATA(&w, 32, B_TO_A, 501, "CHOK, which is longer than what is kept of it for ever");
    DATA(&w, 33, B_TO_A, 555, "and more");
    const struct kt_flow_record *r = the_end(&w);
    assert_head(r, 0, "CHRP", false);
    assert_head(r, 1, "CHOK, which is longer than what is kept of it for ever", false);
    assert_int_equal(r->seen.proto, KT_PROTO_TCP);
    assert_int_equal(r->seen.client, 40000);
    assert_int_equal(r->seen.server, 80);
    assert_int_equal(r->seen.ip4[0], 0x0a000001);
    assert_string_equal(label(&w, r), "Chirp");
    world_fini(&w);
}

/* The segment behind the SYN comes late: it is waited for, a while. */
static void test_out_of_order(void **state)
{
    (void)state;
    for (unsigned before = 1; before <= 3; before++) {
        struct world w;
        world_init(&w, 0);
        handshake(&w, T0);
        for (unsigned i = 0; i < before; i++)
            DATA(&w, 30 + i, A_TO_B, 200 + 4 * i, "late");
        DATA(&w, 40, A_TO_B, 101, "CHRP");
        assert_head(the_end(&w), 0, "CHRP", false);
        world_fini(&w);
    }
}

/* It never comes: then something of the stream must do, and is known to be that. */
static void test_lost(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 0);
    handshake(&w, T0);
    for (unsigned i = 0; i < 6; i++)
        DATA(&w, 30 + i, A_TO_B, 200 + 4 * i, i == 3 ? "four" : "more");
    assert_head(the_end(&w), 0, "four", true);
    world_fini(&w);
}

static void test_from_the_middle(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 0);
    DATA(&w, 0, B_TO_A, 7000, "CHOK");
    DATA(&w, 1, A_TO_B, 3000, "CHRP");
    const struct kt_flow_record *r = the_end(&w);
    assert_head(r, 0, "CHRP", true);
    assert_head(r, 1, "CHOK", true);
    world_fini(&w);
}

/* Data in the SYN itself (RFC 7413) is where the stream begins. */
static void test_in_the_syn(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 0);
    SEND(&w, .ts = T0, .proto = KT_PROTO_TCP, A_TO_B, .flags = KT_TCP_SYN, .seq = 100,
         .payload = "CHRP");
    SEND(&w, .ts = T0 + MS, .proto = KT_PROTO_TCP, B_TO_A, .flags = KT_TCP_SYN | KT_TCP_ACK,
         .seq = 500);
    DATA(&w, 2, A_TO_B, 105, "more");
    const struct kt_flow_record *r = the_end(&w);
    assert_head(r, 0, "CHRP", false);
    assert_int_equal(r->retransmits[0], 0);
    world_fini(&w);
}

/* A datagram's later fragment has the flow's ports by now, but its bytes are no beginning. */
static void test_later_fragment(void **state)
{
    (void)state;
    struct world w;
    uint8_t frame[256];
    world_init(&w, 0);
    struct kt_packet p =
        make(&(struct pkt){.ts = T0, .proto = KT_PROTO_UDP, A_TO_B, .payload = "CHRP"}, frame);
    p.flags |= KT_PKT_FRAGMENT | KT_PKT_FRAGMENT_LATER;
    give(&w, &p);
    const struct kt_flow_record *r = the_end(&w);
    assert_head(r, 0, "", false);
    assert_int_equal(r->payload[0], 4);
    assert_string_equal(label(&w, r), kt_rules_label(w.rules, KT_LABEL_UNKNOWN_UDP)->name);
    world_fini(&w);
}

/* Cut by a snap length: how long it was is known, what it was is not. */
static void test_snapped(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 0);
    SEND(&w, .ts = T0, .proto = KT_PROTO_UDP, A_TO_B, .payload = "CH", .len = 900);
    const struct kt_flow_record *r = the_end(&w);
    assert_int_equal(r->seen.dir[0].len, 900);
    assert_int_equal(r->seen.dir[0].captured, 2);
    assert_memory_equal(r->seen.dir[0].head, "CH\0\0", 4);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_of_each_side),
        cmocka_unit_test(test_out_of_order),
        cmocka_unit_test(test_lost),
        cmocka_unit_test(test_from_the_middle),
        cmocka_unit_test(test_in_the_syn),
        cmocka_unit_test(test_later_fragment),
        cmocka_unit_test(test_snapped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
