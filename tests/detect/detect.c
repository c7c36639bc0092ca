/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * What detection must live up to, over many simulated networks: silence when nothing happens, and
 * each incident found once, with the right kind, cause and time. KOTARE_LONG=1 runs 300 seeds.
 */
#include "sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h> /* needs those above */

#define EVENTS 64

struct told {
    struct kt_event event[EVENTS];
    unsigned n, calls;
};

static int on_event(void *ctx, const struct kt_event *e)
{
    struct told *t = ctx;
    t->calls++;
    assert_true(e->id >= 1 && e->id <= t->n + 1u);
    if (e->id > EVENTS)
        return KT_OK;
    struct kt_event *mine = &t->event[e->id - 1];
    if (e->id == t->n + 1u)
        t->n++;
    free(mine->causes);
    free(mine->filter);
    free(mine->streams);
    *mine = *e;
    mine->causes = strdup(e->causes);
    mine->filter = strdup(e->filter);
    mine->streams = strdup(e->streams);
    return KT_OK;
}

static void forget(struct told *t)
{
    for (unsigned i = 0; i < t->n && i < EVENTS; i++) {
        free(t->event[i].causes);
        free(t->event[i].filter);
        free(t->event[i].streams);
    }
    *t = (struct told){0};
}

static unsigned seeds(void)
{
    const char *text = getenv("KOTARE_LONG");
    return text && *text && *text != '0' ? 300 : 6;
}

static void run(uint64_t seed, unsigned length, unsigned intervals, const struct sim_incident *in,
                unsigned n, struct told *told)
{
    struct sim *s = sim_new(seed, length);
    for (unsigned i = 0; i < n; i++)
        sim_add(s, in[i]);
    struct kt_detect *d;
    struct kt_error err = {0};
    *told = (struct told){0};
    assert_int_equal(kt_detect_new(&d, &(struct kt_detect_options){.app_name = sim_app_name}, &err),
                     KT_OK);
    for (unsigned i = 0; i < intervals; i++)
        assert_int_equal(kt_detect_step(d, sim_step(s), on_event, told), KT_OK);
    assert_int_equal(kt_detect_end(d, on_event, told), KT_OK);
    kt_detect_free(d);
    sim_free(s);
}

static void show(uint64_t seed, const struct told *t)
{
    if (!getenv("KOTARE_SHOW"))
        return;
    for (unsigned i = 0; i < t->n; i++) {
        const struct kt_event *e = &t->event[i];
        int64_t zero = 1700000000 * KT_SECOND;
        printf("  seed %u: %s %d..%d noticed %d %.2f %.2f: %s [%s] %s %s\n", (unsigned)seed,
               e->kind, (int)((e->began - zero) / KT_SECOND), (int)((e->ended - zero) / KT_SECOND),
               (int)((e->noticed - zero) / KT_SECOND), e->confidence, e->severity, e->title,
               e->filter, getenv("KOTARE_SHOW")[0] == '2' ? e->causes : "", e->streams);
    }
}

static void test_calm(void **state)
{
    (void)state;
    unsigned events = 0, n = seeds();
    for (unsigned seed = 0; seed < n; seed++) {
        struct told t;
        run(seed, 1, 420, NULL, 0, &t);
        events += t.n;
        show(seed, &t);
        forget(&t);
    }
    if (getenv("KOTARE_SHOW"))
        printf("calm: %u events in %u runs\n", events, n);
    assert_true(events <= n / 10 + 1);
}

struct expected {
    struct sim_incident incident;
    const char *kind, *other; /* either is right */
    const char *cause;        /* stands in causes, title or filter */
};

static bool right(const struct kt_event *e, const struct expected *x, unsigned length)
{
    int64_t zero = 1700000000 * KT_SECOND, one = length * KT_SECOND;
    int64_t from = zero + x->incident.from * one, to = zero + x->incident.to * one;
    if (strcmp(e->kind, x->kind) != 0 && (!x->other || strcmp(e->kind, x->other) != 0))
        return false;
    if (e->began < from - 4 * one || e->began > to || e->noticed > to + 2 * one ||
        e->ended > to + 12 * one || e->ended < from + (to - from) / 2)
        return false;
    return !x->cause || strstr(e->causes, x->cause) || strstr(e->title, x->cause);
}

/* Runs the scene over all seeds: ≥ 98 % found, at most 0.1 other events a run. */
static void check(const char *name, struct expected x, unsigned length)
{
    unsigned found = 0, more = 0, n = seeds();
    for (unsigned seed = 0; seed < n; seed++) {
        struct told t;
        run(seed + 1000, length, 420, &x.incident, 1, &t);
        bool once = false;
        for (unsigned i = 0; i < t.n; i++) {
            bool it = !once && right(&t.event[i], &x, length);
            once |= it;
            more += !it;
        }
        found += once;
        if (!once || t.n != 1)
            show(seed + 1000, &t);
        forget(&t);
    }
    if (getenv("KOTARE_SHOW"))
        printf("%s: found %u of %u, %u others\n", name, found, n, more);
    assert_true(n - found <= n / 50 + 1);
    assert_true(more <= n / 10 + 1);
}

static void test_surge(void **state)
{
    (void)state;
    check("surge", (struct expected){{SIM_SURGE, 150, 172, 5, 0, 0}, "surge", NULL, "10.0.1.3"}, 1);
}

static void test_crowd(void **state)
{
    (void)state;
    check("crowd", (struct expected){{SIM_CROWD, 200, 230, 5, 0, SIM_HTTP}, "surge", NULL, "HTTP"},
          1);
}

static void test_outage(void **state)
{
    (void)state;
    check("outage http",
          (struct expected){{SIM_OUTAGE, 180, 210, 0, 0, SIM_HTTP}, "outage", NULL, "10.0.2.1"}, 1);
    check("outage redis",
          (struct expected){{SIM_OUTAGE, 180, 210, 0, 0, SIM_REDIS}, "outage", NULL, "10.0.2.3"},
          1);
    check("outage mqtt",
          (struct expected){{SIM_OUTAGE, 180, 210, 0, 0, SIM_MQTT}, "outage", NULL, "10.0.2.4"}, 1);
    check("silence dns",
          (struct expected){{SIM_SILENCE, 180, 210, 0, 0, SIM_DNS}, "outage", NULL, "10.0.2.5"}, 1);
    check(
        "silence postgresql",
        (struct expected){{SIM_SILENCE, 180, 210, 0, 0, SIM_POSTGRES}, "outage", NULL, "10.0.2.3"},
        1);
}

static void test_path(void **state)
{
    (void)state;
    check("delay and loss",
          (struct expected){{SIM_PATH, 250, 280, 120, 0.04, 0}, "latency", "loss", NULL}, 1);
    check("delay", (struct expected){{SIM_PATH, 250, 280, 30, 0, 0}, "latency", NULL, NULL}, 1);
}

static void test_scan(void **state)
{
    (void)state;
    check("scan", (struct expected){{SIM_SCAN, 300, 310, 145, 0, 0}, "scan", NULL, "10.0.1.6"}, 1);
    check("slow scan", (struct expected){{SIM_SCAN, 300, 340, 3, 0, 0}, "scan", NULL, "10.0.1.6"},
          1);
}

static void test_drop(void **state)
{
    (void)state;
    check("everything stops",
          (struct expected){{SIM_NOTHING, 200, 240, 0, 0, 0}, "drop", NULL, NULL}, 1);
}

static const struct expected lab[] = {
    {{SIM_SURGE, 126, 146, 5, 0, 0}, "surge", NULL, "10.0.1.3"},
    {{SIM_OUTAGE, 197, 227, 0, 0, SIM_HTTP}, "outage", NULL, "10.0.2.1"},
    {{SIM_PATH, 285, 315, 120, 0.04, 0}, "latency", "loss", NULL},
    {{SIM_SCAN, 378, 388, 145, 0, 0}, "scan", NULL, "10.0.1.6"},
};
/* The same, close together. */
static const struct expected tight[] = {
    {{SIM_SURGE, 50, 70, 5, 0, 0}, "surge", NULL, "10.0.1.3"},
    {{SIM_OUTAGE, 76, 106, 0, 0, SIM_HTTP}, "outage", NULL, "10.0.2.1"},
    {{SIM_PATH, 108, 138, 120, 0.04, 0}, "latency", "loss", NULL},
    {{SIM_SCAN, 141, 151, 145, 0, 0}, "scan", NULL, "10.0.1.6"},
};

static void scene(const char *name, const struct expected x[4], unsigned intervals)
{
    unsigned found = 0, more = 0, n = seeds();
    struct sim_incident in[4];
    for (int i = 0; i < 4; i++)
        in[i] = x[i].incident;
    for (unsigned seed = 0; seed < n; seed++) {
        struct told t;
        run(seed + 5000, 1, intervals, in, 4, &t);
        unsigned here = 0;
        for (int k = 0; k < 4; k++) {
            bool once = false;
            for (unsigned i = 0; i < t.n && !once; i++)
                once = right(&t.event[i], &x[k], 1);
            here += once;
        }
        found += here;
        more += t.n > 4 ? t.n - 4 : 0;
        if (here != 4 || t.n != 4)
            show(seed + 5000, &t);
        forget(&t);
    }
    if (getenv("KOTARE_SHOW"))
        printf("%s: found %u of %u, %u others\n", name, found, 4 * n, more);
    assert_true(4 * n - found <= 4 * n / 50 + 1);
    assert_true(more <= n / 10 + 1);
}

static void test_lab(void **state)
{
    (void)state;
    scene("all four", lab, 420);
    scene("all four, close together", tight, 160);
}

static void test_long_intervals(void **state)
{
    (void)state;
    check("surge, 10 s",
          (struct expected){{SIM_SURGE, 150, 172, 5, 0, 0}, "surge", NULL, "10.0.1.3"}, 10);
    check("outage, 60 s",
          (struct expected){{SIM_OUTAGE, 180, 200, 0, 0, SIM_HTTP}, "outage", NULL, "10.0.2.1"},
          60);
    check("scan, 60 s", (struct expected){{SIM_SCAN, 300, 304, 10, 0, 0}, "scan", NULL, "10.0.1.6"},
          60);
}

/* A jump of time ends what is on, and what comes is measured anew: traffic that is ten times as
 * much is no surge. */
static int count_told(void *ctx, const struct kt_event *event)
{
    unsigned *told = ctx;
    *told += event->ended == 0;
    return 0;
}

static void test_gap(void **state)
{
    (void)state;
    struct kt_detect *d;
    struct kt_stream stream = {.kind = KT_STREAM_TOTAL};
    struct kt_slice slice[50];
    unsigned told = 0;
    assert_int_equal(kt_detect_new(&d, NULL, NULL), KT_OK);
    for (int t = 0; t < 400; t++) {
        unsigned times = t < 200 ? 1 : 10;
        struct kt_sample sample = {.value = {50000 * times, 500 * times, 50}};
        for (unsigned i = 0; i < 50; i++)
            slice[i] = (struct kt_slice){.addr = {{10, 0, 0, (uint8_t)i}, {10, 0, 1, 1}},
                                         .port = {40000, 80},
                                         .ip = 4,
                                         .proto = KT_PROTO_UDP,
                                         .bytes = {500 * times, 500 * times},
                                         .packets = {5 * times, 5 * times}};
        struct kt_interval iv = {.start = (t + (t < 200 ? 0 : 1000000)) * KT_SECOND,
                                 .length = KT_SECOND,
                                 .streams = &stream,
                                 .stream_count = 1,
                                 .samples = &sample,
                                 .sample_count = 1,
                                 .slices = slice,
                                 .slice_count = 50};
        assert_int_equal(kt_detect_step(d, &iv, count_told, &told), KT_OK);
    }
    kt_detect_free(d);
    assert_int_equal(told, 0);
}

static void test_deterministic(void **state)
{
    (void)state;
    struct told a, b;
    struct sim_incident in[4];
    for (int i = 0; i < 4; i++)
        in[i] = lab[i].incident;
    run(7, 1, 420, in, 4, &a);
    run(7, 1, 420, in, 4, &b);
    assert_int_equal(a.n, b.n);
    assert_int_equal(a.calls, b.calls);
    for (unsigned i = 0; i < a.n; i++) {
        assert_string_equal(a.event[i].title, b.event[i].title);
        assert_string_equal(a.event[i].causes, b.event[i].causes);
        assert_string_equal(a.event[i].filter, b.event[i].filter);
        assert_string_equal(a.event[i].streams, b.event[i].streams);
        assert_int_equal(a.event[i].began, b.event[i].began);
        assert_int_equal(a.event[i].ended, b.event[i].ended);
    }
    forget(&a);
    forget(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calm),          cmocka_unit_test(test_surge),
        cmocka_unit_test(test_crowd),         cmocka_unit_test(test_outage),
        cmocka_unit_test(test_path),          cmocka_unit_test(test_scan),
        cmocka_unit_test(test_drop),          cmocka_unit_test(test_lab),
        cmocka_unit_test(test_gap),           cmocka_unit_test(test_long_intervals),
        cmocka_unit_test(test_deterministic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
