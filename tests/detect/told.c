/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * What events say, to the number: of traffic that is made by hand, so that what is true is known.
 */
#include <kotare/detect.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h> /* needs those above */

#define ZERO (1700000000 * KT_SECOND)
#define SLICES 256
#define EVENTS 8

struct scene {
    struct kt_detect *d;
    int t; /* seconds since ZERO */
    struct kt_slice slice[SLICES];
    unsigned n;
    struct kt_event event[EVENTS]; /* as last told; of its texts only the causes */
    char causes[EVENTS][4096];
    unsigned events;
};

static int on_event(void *ctx, const struct kt_event *e)
{
    struct scene *s = ctx;
    assert_true(e->id <= EVENTS);
    s->events = e->id > s->events ? (unsigned)e->id : s->events;
    s->event[e->id - 1] = *e;
    snprintf(s->causes[e->id - 1], sizeof(s->causes[0]), "%s", e->causes);
    return KT_OK;
}

static struct scene *scene_new(void)
{
    struct scene *s = calloc(1, sizeof(*s));
    assert_non_null(s);
    assert_int_equal(kt_detect_new(&s->d, NULL, NULL), KT_OK);
    return s;
}

static void scene_free(struct scene *s)
{
    kt_detect_free(s->d);
    free(s);
}

static struct kt_slice *slice(struct scene *s, uint8_t client, uint8_t server, uint8_t proto,
                              uint16_t port)
{
    assert_true(s->n < SLICES);
    struct kt_slice *x = &s->slice[s->n++];
    *x = (struct kt_slice){.addr = {{10, 0, 1, client}, {10, 0, 2, server}},
                           .port = {40000, port},
                           .ip = 4,
                           .proto = proto,
                           .flags = KT_SLICE_NEW,
                           .tcp_flags = proto == KT_PROTO_TCP ? KT_TCP_SYN : 0,
                           .packets = {1, 0},
                           .bytes = {74, 0}};
    return x;
}

static void answered(struct scene *s, uint8_t client, uint8_t server)
{
    struct kt_slice *x = slice(s, client, server, KT_PROTO_UDP, 53);
    x->packets[1] = 1;
    x->bytes[1] = 300;
}

static void unanswered(struct scene *s, uint8_t client, uint8_t server, uint8_t proto,
                       uint16_t port)
{
    slice(s, client, server, proto, port)->flags |= KT_SLICE_UNANSWERED;
}

/* The second is over. */
static void closes(struct scene *s)
{
    struct kt_stream stream = {.kind = KT_STREAM_TOTAL};
    struct kt_sample total = {0};
    for (unsigned i = 0; i < s->n; i++) {
        total.value[0] += (int64_t)(s->slice[i].bytes[0] + s->slice[i].bytes[1]);
        total.value[1] += s->slice[i].packets[0] + s->slice[i].packets[1];
        total.value[2] += s->slice[i].flags & KT_SLICE_NEW ? 1 : 0;
    }
    struct kt_interval iv = {.start = ZERO + s->t++ * KT_SECOND,
                             .length = KT_SECOND,
                             .streams = &stream,
                             .stream_count = 1,
                             .samples = &total,
                             .sample_count = 1,
                             .slices = s->slice,
                             .slice_count = s->n};
    assert_int_equal(kt_detect_step(s->d, &iv, on_event, s), KT_OK);
    s->n = 0;
}

static void usual(struct scene *s)
{
    for (uint8_t i = 0; i < 20; i++)
        answered(s, i % 5, 200 + i % 2);
}

static void calm(struct scene *s, int until)
{
    while (s->t < until) {
        usual(s);
        closes(s);
    }
}

static int second(int64_t ts)
{
    return (int)((ts - ZERO) / KT_SECOND);
}

/* 10 s of 50 probes/s, 10 a second to each of five addresses: so it says, also when it is long
 * over. */
static void test_scan(void **state)
{
    (void)state;
    struct scene *s = scene_new();
    calm(s, 60);
    for (uint16_t port = 1; s->t < 70;) {
        for (int k = 0; k < 10; k++, port++)
            for (uint8_t server = 1; server <= 5; server++)
                unanswered(s, 66, server, KT_PROTO_TCP, port);
        usual(s);
        closes(s);
    }
    calm(s, 120);
    assert_int_equal(s->events, 1);
    const char *causes = s->causes[0];
    assert_string_equal(s->event[0].title, "10.0.1.66 probed 500 ports of 5 addresses");
    assert_int_equal(second(s->event[0].began), 60);
    assert_int_equal(second(s->event[0].ended), 70);
    assert_non_null(strstr(causes, "\"name\":\"10.0.1.66\",\"before\":0,\"after\":50,\"share\":1,"
                                   "\"unit\":\"probes/s\",\"more\":0}"));
    for (int server = 1; server <= 5; server++) {
        char want[128];
        snprintf(want, sizeof(want),
                 "\"name\":\"10.0.2.%d\",\"before\":0,\"after\":10,\"share\":0.2,", server);
        assert_non_null(strstr(causes, want));
    }
    scene_free(s);
}

/* Six of a kind are listed; how many more account for as much stands with the last of them. */
static void test_more(void **state)
{
    (void)state;
    struct scene *s = scene_new();
    calm(s, 60);
    for (uint16_t port = 1; s->t < 75; port++) {
        for (uint8_t server = 1; server <= 9; server++)
            unanswered(s, 66, server, KT_PROTO_TCP, port);
        usual(s);
        closes(s);
    }
    calm(s, 100);
    assert_int_equal(s->events, 1);
    unsigned servers = 0, more = 0;
    for (const char *c = s->causes[0]; (c = strstr(c, "\"kind\":\"server\"")); c++) {
        servers++;
        assert_int_equal(more, 0);
        more = (unsigned)atoi(strstr(c, "\"more\":") + strlen("\"more\":"));
    }
    assert_int_equal(servers, 6);
    assert_int_equal(more, 3);
    scene_free(s);
}

static void check_sweep(uint8_t proto, const char *title)
{
    struct scene *s = scene_new();
    calm(s, 60);
    for (uint8_t server = 1; server <= 25;) {
        for (int k = 0; k < 5; k++, server++)
            unanswered(s, 66, server, proto, 0);
        usual(s);
        closes(s);
    }
    calm(s, 100);
    assert_int_equal(s->events, 1);
    assert_string_equal(s->event[0].title, title);
    scene_free(s);
}

/* What has no ports is not told to be on port 0. */
static void test_sweep(void **state)
{
    (void)state;
    check_sweep(KT_PROTO_ICMP, "10.0.1.66 pinged 25 addresses");
    check_sweep(132, "10.0.1.66 probed 25 addresses by sctp");
}

static void silent(struct scene *s, int until)
{
    while (s->t < until)
        closes(s);
}

/* As calm, but server 200 does not answer. */
static void half(struct scene *s, int until)
{
    while (s->t < until) {
        for (uint8_t i = 0; i < 20; i++) {
            if (i % 2)
                answered(s, i % 5, 201);
            else
                unanswered(s, i % 5, 200, KT_PROTO_UDP, 53);
        }
        closes(s);
    }
}

/* Who is missing in a drop are those of before. */
static void test_drop(void **state)
{
    (void)state;
    struct scene *s = scene_new();
    while (s->t < 100) {
        for (uint8_t i = 0; i < 20; i++)
            answered(s, i % 5, 201);
        closes(s);
    }
    silent(s, 120);
    assert_int_equal(s->events, 1);
    assert_string_equal(s->event[0].title,
                        "unknown fell from 40 to 0 packets/s: 100 % is 5 clients → "
                        "10.0.2.201 port 53");
    scene_free(s);
}

static void check_event(const struct scene *s, unsigned i, const char *kind, int began, int ended)
{
    const struct kt_event *e = &s->event[i];
    assert_true(i < s->events);
    assert_string_equal(e->kind, kind);
    assert_int_equal(second(e->began), began);
    assert_int_equal(e->ended ? second(e->ended) : 0, ended);
}

/* A server is down, and then the link is: from there on nothing is known of the server. */
static void test_dead_link(void **state)
{
    (void)state;
    struct scene *s = scene_new();
    calm(s, 100);
    half(s, 130);
    check_event(s, 0, "outage", 100, 0);
    silent(s, 150);
    check_event(s, 0, "outage", 100, 130);
    check_event(s, 1, "drop", 130, 0);
    silent(s, 1500); /* nothing is never the new normal */
    check_event(s, 1, "drop", 130, 0);
    calm(s, 1600);
    check_event(s, 1, "drop", 130, 1500);
    half(s, 1620); /* what is normal is still known */
    check_event(s, 2, "outage", 1600, 0);
    assert_int_equal(s->events, 3);
    scene_free(s);
}

/* The same, but the server is still down, or down for the first time, when the link is back. */
static void test_down_behind_dead_link(void **state)
{
    (void)state;
    for (int first = 0; first < 2; first++) {
        struct scene *s = scene_new();
        calm(s, 100);
        if (!first)
            half(s, 130);
        else
            calm(s, 130);
        silent(s, 330);
        half(s, 360);
        check_event(s, first ? 0 : 1, "drop", 130, 330);
        check_event(s, first ? 1 : 2, "outage", 330, 0);
        calm(s, 400);
        check_event(s, first ? 1 : 2, "outage", 330, 360);
        assert_int_equal(s->events, first ? 2 : 3);
        scene_free(s);
    }
}

/* A hiccup of the link is none of the outage. */
static void test_short_silence(void **state)
{
    (void)state;
    struct scene *s = scene_new();
    calm(s, 100);
    half(s, 110);
    silent(s, 115);
    half(s, 130);
    calm(s, 170);
    check_event(s, 0, "outage", 100, 130);
    assert_int_equal(s->events, 1);
    scene_free(s);
}

/* Nobody asks any more, while others go on: its end is the last request. */
static void test_nobody_asks(void **state)
{
    (void)state;
    struct scene *s = scene_new();
    calm(s, 100);
    half(s, 110);
    while (s->t < 200) {
        for (uint8_t i = 0; i < 20; i++)
            answered(s, i % 5, 201);
        closes(s);
    }
    check_event(s, 0, "outage", 100, 110);
    assert_int_equal(s->events, 1);
    scene_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scan),          cmocka_unit_test(test_more),
        cmocka_unit_test(test_sweep),         cmocka_unit_test(test_drop),
        cmocka_unit_test(test_dead_link),     cmocka_unit_test(test_down_behind_dead_link),
        cmocka_unit_test(test_short_silence), cmocka_unit_test(test_nobody_asks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
