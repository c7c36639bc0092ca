/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Workers that count: which packets reach whom, which ticks come, and what happens when anything
 * fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <kotare/pipeline.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "plugins.h"

#define T0 (INT64_C(1700006400) * KT_SECOND)
#define MS (KT_SECOND / 1000)

static const unsigned crews[] = {1, 2, 3, 8, 64};

/* ---- captures ---- */

enum { FRAME = 46 }; /* Ethernet, IPv4, UDP, and four bytes of payload: the packet's number */

static char folder[] = "/tmp/kotare-pipeline-XXXXXX";

static void put32(uint8_t *at, uint32_t v)
{
    memcpy(at, &v, 4);
}

struct shape {
    unsigned n, flows;
    int64_t start, step;
    int64_t (*ts)(unsigned i); /* instead of start and step */
    unsigned cut;              /* bytes missing at the end */
};

/* The capture `name` of the folder; the numbers in its packets begin at `number`. */
static const char *make(const char *name, const struct shape *s, uint32_t number)
{
    static char path[8][256];
    static unsigned turn;
    char *p = path[turn++ % 8];
    snprintf(p, sizeof path[0], "%s/%s", folder, name);
    FILE *f = fopen(p, "wb");
    assert_non_null(f);
    uint32_t head[6] = {0xa1b23c4d, 0x00040002, 0, 0, 65535, KT_LINK_ETHERNET};
    assert_int_equal(fwrite(head, sizeof head, 1, f), 1);
    for (unsigned i = 0; i < s->n; i++) {
        uint8_t r[16 + FRAME] = {0};
        int64_t ts = s->ts ? s->ts(i) : s->start + (int64_t)i * s->step;
        put32(r, (uint32_t)(ts / KT_SECOND));
        put32(r + 4, (uint32_t)(ts % KT_SECOND));
        put32(r + 8, FRAME);
        put32(r + 12, FRAME);
        uint8_t *e = r + 16;
        memcpy(e + 12, (uint8_t[]){8, 0, 0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17}, 12);
        uint32_t flow = i % (s->flows ? s->flows : 1);
        bool back = i / (s->flows ? s->flows : 1) & 1; /* both directions */
        put32(e + 26 + (back ? 4 : 0), 0x0100000a + (flow << 16));
        put32(e + 26 + (back ? 0 : 4), 0x0200000a);
        memcpy(e + 34, back ? (uint8_t[]){0, 53, 200, 1} : (uint8_t[]){200, 1, 0, 53}, 4);
        e[39] = 12;
        put32(e + 42, number + i);
        size_t size = sizeof r - (i + 1 == s->n ? s->cut : 0);
        assert_int_equal(fwrite(r, size, 1, f), 1);
    }
    fclose(f);
    return p;
}

/* ---- workers that write down what they see ---- */

enum { TICKS = 4096 };

struct part { /* a tick's result of one worker */
    unsigned worker;
    uint64_t packets;
    int64_t start;
};

struct worker {
    struct crew *crew;
    unsigned number;
    uint64_t packets, since; /* all; since the last tick */
    uint64_t last_seq;
    bool busy;
};

struct crew {
    unsigned workers;
    struct worker worker[KT_WORKERS_MAX];
    unsigned made, freed;
    uint8_t *owner; /* by flow: worker + 1 */
    uint8_t *seen;  /* by number */
    size_t size;
    struct kt_tick tick[TICKS];
    uint64_t in_tick[TICKS];
    unsigned ticks;
    uint64_t results; /* under way */
    /* what is to go wrong, or to stop */
    unsigned fail_worker_new, fail_packets, fail_tick, fail_report;
    unsigned nap_worker, nap_us; /* this worker is slow */
    struct kt_flag *stop;
    unsigned stop_at_tick;
    struct kt_pipeline_stats stats;
    uint64_t done;
    uint64_t ahead; /* the most that was read and not worked on */
};

static void *worker_new(void *ctx, unsigned number)
{
    struct crew *c = ctx;
    assert_int_equal(number, c->made);
    if (c->fail_worker_new == number + 1)
        return NULL;
    c->made++;
    c->worker[number] = (struct worker){.crew = c, .number = number};
    return &c->worker[number];
}

static void worker_free(void *worker)
{
    struct worker *w = worker;
    assert_false(w->busy);
    w->crew->freed++;
}

/* Assertions do not work in other threads: a fault is a wrong mark that the test finds. */
static int packets(void *worker, const struct kt_packet *p, unsigned n)
{
    struct worker *w = worker;
    struct crew *c = w->crew;
    w->busy = true;
    if (c->nap_us && c->nap_worker == w->number)
        usleep(c->nap_us);
    for (unsigned i = 0; i < n; i++) {
        uint32_t number;
        memcpy(&number, p[i].data + p[i].payload, 4);
        bool order = w->packets == 0 || p[i].seq > w->last_seq;
        if (number < c->size)
            __atomic_add_fetch(&c->seen[number], order && number == p[i].seq ? 1 : 100,
                               __ATOMIC_RELAXED);
        unsigned flow = p[i].key.addr[p[i].key.port[0] == 53][2];
        uint8_t none = 0, me = (uint8_t)(w->number + 1);
        if (!__atomic_compare_exchange_n(&c->owner[flow], &none, me, false, __ATOMIC_RELAXED,
                                         __ATOMIC_RELAXED) &&
            none != me)
            __atomic_store_n(&c->owner[flow], 255, __ATOMIC_RELAXED);
        w->last_seq = p[i].seq;
        w->packets++;
        w->since++;
    }
    w->busy = false;
    uint64_t read = kt_count_get(&c->stats.packets),
             done = __atomic_add_fetch(&c->done, n, __ATOMIC_SEQ_CST);
    if (read > done && read - done > kt_count_get(&c->ahead))
        kt_count_set(&c->ahead, read - done);
    return c->fail_packets && w->packets >= c->fail_packets ? KT_EFORMAT : KT_OK;
}

static int tick(void *worker, const struct kt_tick *tick, void **result)
{
    struct worker *w = worker;
    *result = NULL;
    if (w->crew->fail_tick && w->number + 1 == w->crew->fail_tick)
        return KT_ENOMEM;
    struct part *part = malloc(sizeof *part);
    if (!part)
        return KT_ENOMEM;
    *part = (struct part){w->number, w->since, tick->start};
    w->since = 0;
    __atomic_add_fetch(&w->crew->results, 1, __ATOMIC_RELAXED);
    *result = part;
    return KT_OK;
}

static void result_free(void *result)
{
    struct part *part = result;
    free(part);
}

static int report(void *ctx, const struct kt_tick *tick, void **results, unsigned n)
{
    struct crew *c = ctx;
    bool good = n == c->workers && c->ticks < TICKS;
    for (unsigned i = 0; i < n; i++) {
        struct part *part = results[i];
        good &= part->worker == i && part->start == tick->start;
        c->in_tick[c->ticks % TICKS] += part->packets;
        free(part);
    }
    assert_true(good); /* this is the caller's thread */
    c->tick[c->ticks++] = *tick;
    if (c->stop && c->ticks == c->stop_at_tick)
        kt_flag_set(c->stop);
    return c->fail_report && c->ticks >= c->fail_report ? KT_EFULL : KT_OK;
}

static const struct kt_pipeline_ops ops = {.worker_new = worker_new,
                                           .packets = packets,
                                           .tick = tick,
                                           .report = report,
                                           .result_free = result_free,
                                           .worker_free = worker_free};

static void crew_init(struct crew *c, unsigned workers, size_t size)
{
    memset(c, 0, sizeof *c);
    c->workers = workers;
    c->size = size;
    c->seen = calloc(size + 1, 1);
    c->owner = calloc(256, 1);
    assert_non_null(c->seen);
}

static int run(struct crew *c, const char *const *inputs, unsigned n,
               struct kt_pipeline_options more, struct kt_error *err)
{
    more.registry = more.registry ? more.registry : kt_builtin_registry();
    more.inputs = inputs;
    more.input_count = n;
    more.workers = c->workers;
    more.stop = c->stop;
    int rc = kt_pipeline_run(&more, &ops, c, &c->stats, err);
    assert_int_equal(c->freed, c->made);
    return rc;
}

/* Numbers from `from` on to `to` were seen once, in order, by their flow's worker. */
static void assert_seen(const struct crew *c, size_t from, size_t to)
{
    for (size_t i = 0; i < c->size; i++)
        if (c->seen[i] != (i >= from && i < to))
            fail_msg("%u workers: packet %zu was seen %u times", c->workers, i, c->seen[i]);
    for (unsigned f = 0; f < 256; f++)
        assert_int_not_equal(c->owner[f], 255);
}

static void crew_fini(struct crew *c)
{
    free(c->seen);
    free(c->owner);
}

/* ---- packets ---- */

static void test_every_packet_once(void **state)
{
    (void)state;
    enum { N = 30000 };
    const char *in[] = {make("all.pcap", &(struct shape){N, 251, T0, MS, NULL, 0}, 0)};
    for (size_t k = 0; k < KT_ARRAY_LEN(crews); k++) {
        struct crew c;
        struct kt_error err = {0};
        crew_init(&c, crews[k], N);
        assert_int_equal(run(&c, in, 1, (struct kt_pipeline_options){0}, &err), KT_OK);
        assert_seen(&c, 0, N);
        assert_int_equal(c.ticks, 30);
        for (unsigned t = 0; t < c.ticks; t++) {
            assert_int_equal(c.tick[t].start, T0 + t * KT_SECOND);
            assert_int_equal(c.tick[t].length, KT_SECOND);
            assert_true(c.tick[t].closes);
            assert_false(c.tick[t].gap);
            assert_int_equal(c.tick[t].last, t + 1 == c.ticks);
            assert_int_equal(c.in_tick[t], 1000);
        }
        assert_int_equal(c.stats.packets, N);
        assert_int_equal(c.stats.bytes, N * FRAME);
        assert_int_equal(c.stats.not_ip + c.stats.malformed + c.stats.lost, 0);
        assert_int_equal(c.stats.first, T0);
        assert_int_equal(c.stats.last, T0 + (N - 1) * MS);
        assert_int_equal(c.stats.bytes_done, 24 + N * (16 + FRAME));
        assert_int_equal(c.stats.bytes_total, c.stats.bytes_done);
        if (c.workers > 1 && c.workers <= 8) { /* the work is shared, whatever the seed */
            for (unsigned w = 0; w < c.workers; w++)
                assert_true(c.worker[w].packets > N / c.workers / 4);
        }
        crew_fini(&c);
    }
}

/* ---- ticks ---- */

struct want {
    int64_t start; /* in intervals since T0 */
    bool closes, gap, last;
    uint64_t packets;
};

static void assert_ticks(const char *const *in, unsigned inputs, struct kt_pipeline_options o,
                         const struct want *want, size_t n)
{
    for (size_t k = 0; k < KT_ARRAY_LEN(crews); k++) {
        struct crew c;
        struct kt_error err = {0};
        int64_t length = o.interval ? o.interval : KT_SECOND;
        crew_init(&c, crews[k], 0);
        assert_int_equal(run(&c, in, inputs, o, &err), KT_OK);
        assert_int_equal(c.ticks, n);
        for (unsigned t = 0; t < n; t++) {
            assert_int_equal(c.tick[t].start, T0 - T0 % length + want[t].start * length);
            assert_int_equal(c.tick[t].closes, want[t].closes);
            assert_int_equal(c.tick[t].gap, want[t].gap);
            assert_int_equal(c.tick[t].last, want[t].last);
            assert_int_equal(c.in_tick[t], want[t].packets);
        }
        crew_fini(&c);
    }
}

#define TICKS_OF(in, n, o, ...)                                                                    \
    assert_ticks(in, n, (struct kt_pipeline_options)o, (const struct want[]){__VA_ARGS__},         \
                 sizeof((const struct want[]){__VA_ARGS__}) / sizeof(struct want))

static int64_t with_silence(unsigned i)
{
    static const int64_t at[] = {700, 900, 4100, 4999, 5000};
    return T0 + at[i] * MS;
}

/* Seconds without a packet are intervals with zeros. */
static void test_silence_makes_zeros(void **state)
{
    (void)state;
    const char *in[] = {make("silence.pcap", &(struct shape){.n = 5, .ts = with_silence}, 0)};
    TICKS_OF(in, 1, {0}, {0, 1, 0, 0, 2}, {1, 1, 0, 0, 0}, {2, 1, 0, 0, 0}, {3, 1, 0, 0, 0},
             {4, 1, 0, 0, 2}, {5, 1, 0, 1, 1});
    TICKS_OF(in, 1, {.interval = 2 * KT_SECOND}, {0, 1, 0, 0, 2}, {1, 1, 0, 0, 0}, {2, 1, 0, 1, 3});
    TICKS_OF(in, 1, {.interval = 7 * KT_SECOND},
             {0, 1, 0, 1, 5}); /* aligned to multiples since 1970 */
}

static int64_t with_gap(unsigned i)
{
    static const int64_t at[] = {0, 86400, 86400 + 86402, 86400 + 86403};
    return T0 + at[i] * KT_SECOND + 5;
}

/* A silence that is too long for zeros is a gap: the interval behind it says so, once. */
static void test_gap(void **state)
{
    (void)state;
    const char *in[] = {make("gap.pcap", &(struct shape){.n = 4, .ts = with_gap}, 0)};
    struct want edge[] = {{0, 1, 0, 0, 1}, {0}, {0}, {0}, {4, 1, 0, 1, 1}};
    for (int i = 1; i < 4; i++)
        edge[i] = (struct want){.start = i, .closes = true};
    const char *two[] = {make("two.pcap", &(struct shape){2, 1, T0, 4 * KT_SECOND, NULL, 0}, 0)};
    assert_ticks(two, 1, (struct kt_pipeline_options){.silence = 3}, edge,
                 5); /* three empty ones */
    TICKS_OF(two, 1, {.silence = 2}, {0, 1, 0, 0, 1}, {4, 1, 1, 1, 1});
    TICKS_OF(in, 1, {.silence = 10}, {0, 1, 0, 0, 1}, {86400, 1, 1, 0, 1},
             {86400 + 86402, 1, 1, 0, 1}, {86400 + 86403, 1, 0, 1, 1});
    struct want hour[49] = {0}; /* 24 hours are no gap there */
    for (int i = 0; i < 49; i++)
        hour[i] = (struct want){.start = i, .closes = true, .last = i == 48};
    hour[0].packets = hour[24].packets = 1;
    hour[48].packets = 2;
    assert_ticks(in, 1, (struct kt_pipeline_options){.interval = 3600 * KT_SECOND}, hour, 49);
}

static int64_t with_silences(unsigned i)
{
    static const int64_t at[] = {0, 601, 1203, 1204};
    return T0 + at[i] * KT_SECOND;
}

/* 600 empty intervals are zeros, of one more the last is a gap: which makes zeros again possible.
 */
static void test_zeros_end_in_a_gap(void **state)
{
    (void)state;
    const char *in[] = {make("zeros.pcap", &(struct shape){.n = 4, .ts = with_silences}, 0)};
    static struct want want[1204];
    unsigned n = 0;
    for (int64_t at = 0; at <= 1204; at++)
        if (at != 1202)
            want[n++] = (struct want){.start = at,
                                      .closes = true,
                                      .gap = at == 1203,
                                      .last = at == 1204,
                                      .packets = at == 0 || at == 601 || at >= 1203};
    assert_ticks(in, 1, (struct kt_pipeline_options){0}, want, n);
}

static int64_t backwards(unsigned i)
{
    static const int64_t at[] = {5000, 6500, 100, 6000, -86400000, 6999, 7000};
    return T0 + at[i] * MS;
}

/* A packet that is late counts in the interval that is open; none opens again. */
static void test_time_backwards(void **state)
{
    (void)state;
    const char *in[] = {make("backwards.pcap", &(struct shape){.n = 7, .ts = backwards}, 0)};
    TICKS_OF(in, 1, {0}, {5, 1, 0, 0, 1}, {6, 1, 0, 0, 5}, {7, 1, 0, 1, 1});
}

/* Time stands still for half a million packets: what piles up is handed over now and then. */
static void test_ticks_that_close_nothing(void **state)
{
    (void)state;
    enum { N = (1 << 19) + 10 };
    const char *in[] = {make("still.pcap", &(struct shape){N, 200, T0, 0, NULL, 0}, 0)};
    TICKS_OF(in, 1, {0}, {0, 0, 0, 0, 1 << 18}, {0, 0, 0, 0, 1 << 18}, {0, 1, 0, 1, 10});
    unlink(in[0]);
}

/* A capture without a packet still has its end. */
static void test_no_packet(void **state)
{
    (void)state;
    const char *in[] = {make("none.pcap", &(struct shape){.n = 0}, 0)};
    for (size_t k = 0; k < KT_ARRAY_LEN(crews); k++) {
        struct crew c;
        struct kt_error err = {0};
        crew_init(&c, crews[k], 0);
        assert_int_equal(run(&c, in, 1, (struct kt_pipeline_options){0}, &err), KT_OK);
        assert_int_equal(c.ticks, 1);
        assert_true(c.tick[0].last);
        assert_false(c.tick[0].closes);
        crew_fini(&c);
    }
}

/* ---- inputs ---- */

static void test_several_inputs(void **state)
{
    (void)state;
    const char *in[] = {
        make("1.pcap", &(struct shape){1000, 10, T0, 4 * MS, NULL, 0}, 0),
        make("2.pcap", &(struct shape){1000, 10, T0 + 5 * KT_SECOND, 4 * MS, NULL, 0}, 1000),
        make("3.pcap", &(struct shape){1000, 10, T0 + KT_SECOND, 1 * MS, NULL, 0}, 2000), /* late */
    };
    for (size_t k = 0; k < KT_ARRAY_LEN(crews); k++) {
        struct crew c;
        struct kt_error err = {0};
        crew_init(&c, crews[k], 3000);
        assert_int_equal(run(&c, in, 3, (struct kt_pipeline_options){0}, &err), KT_OK);
        assert_seen(&c, 0, 3000);
        assert_int_equal(c.ticks, 9);
        assert_int_equal(c.in_tick[4], 0); /* the second without a packet between two files */
        assert_int_equal(c.in_tick[8], 250 + 1000);
        assert_int_equal(c.stats.bytes_done, c.stats.bytes_total);
        crew_fini(&c);
    }
}

/* Whatever is wrong with one input: what was good before counts, the others are read, and the first
 * fault is told. */
static void test_faults_of_inputs(void **state)
{
    (void)state;
    const char *good = make("good.pcap", &(struct shape){500, 10, T0, MS, NULL, 0}, 0);
    const char *cut = make("cut.pcap", &(struct shape){501, 10, T0, MS, NULL, 7}, 500);
    const char *rest = make("rest.pcap", &(struct shape){500, 10, T0, MS, NULL, 0}, 1000);
    const char *in[] = {good, cut, "/nonexistent/file.pcap", rest};
    for (size_t k = 0; k < KT_ARRAY_LEN(crews); k++) {
        struct crew c;
        struct kt_error err = {0};
        crew_init(&c, crews[k], 1500);
        assert_int_equal(run(&c, in, 4, (struct kt_pipeline_options){0}, &err), KT_ETRUNCATED);
        assert_seen(&c, 0, 1500);
        assert_int_equal(err.code, KT_ETRUNCATED);
        assert_non_null(strstr(err.text, cut));
        assert_int_equal(err.offset, 24 + 500 * (16 + FRAME));
        assert_true(c.tick[c.ticks - 1].last);
        crew_fini(&c);
        crew_init(&c, crews[k], 0);
        err = (struct kt_error){0};
        assert_int_equal(run(&c, in + 2, 1, (struct kt_pipeline_options){0}, &err), KT_ENOTFOUND);
        assert_int_equal(c.ticks, 1);
        crew_fini(&c);
    }
}

/* ---- when an op fails, or someone says stop ---- */

static const char *long_capture(void)
{
    return make("long.pcap", &(struct shape){40000, 97, T0, MS, NULL, 0}, 0);
}

/* The run ends with the op's result; nothing of it is left behind (LeakSanitizer watches). */
static void test_failing_ops(void **state)
{
    (void)state;
    const char *in[] = {long_capture()};
    for (size_t k = 0; k < KT_ARRAY_LEN(crews); k++) {
        for (int what = 0; what < 4; what++) {
            struct crew c;
            struct kt_error err = {0};
            crew_init(&c, crews[k], 40000);
            int want = KT_EFORMAT;
            if (what == 0)
                c.fail_packets = 1000 / c.workers + 1;
            else if (what == 1)
                c.fail_tick = c.workers, want = KT_ENOMEM;
            else if (what == 2)
                c.fail_report = 5, want = KT_EFULL;
            else
                c.fail_worker_new = c.workers, want = KT_ENOMEM;
            assert_int_equal(run(&c, in, 1, (struct kt_pipeline_options){0}, &err), want);
            if (what == 2)
                assert_int_equal(c.ticks, 5); /* no report follows one that failed */
            crew_fini(&c);
        }
    }
}

static void test_stop(void **state)
{
    (void)state;
    const char *in[] = {long_capture()};
    for (size_t k = 0; k < KT_ARRAY_LEN(crews); k++) {
        struct kt_flag stop = {0};
        struct crew c;
        struct kt_error err = {0};
        crew_init(&c, crews[k], 40000);
        c.stop = &stop;
        c.stop_at_tick = 3;
        assert_int_equal(run(&c, in, 1, (struct kt_pipeline_options){0}, &err), KT_OK);
        assert_true(c.ticks > 3 && c.tick[c.ticks - 1].last);
        if (c.workers == 1)
            assert_int_equal(c.ticks, 4);
        uint64_t reported = 0;
        for (unsigned t = 0; t < c.ticks; t++)
            reported += c.in_tick[t];
        assert_int_equal(reported, c.stats.packets); /* what was read is worked off */
        assert_seen(&c, 0, (size_t)c.stats.packets);
        crew_fini(&c);
    }
    /* before it began */
    struct kt_flag stop = {1};
    struct crew c;
    crew_init(&c, 2, 40000);
    c.stop = &stop;
    assert_int_equal(run(&c, in, 1, (struct kt_pipeline_options){0}, NULL), KT_OK);
    assert_seen(&c, 0, 0);
    crew_fini(&c);
}

/* A worker that is slow slows the reader: so many packets at most are under way, whatever the
 * length of the capture. */
static void test_back_pressure(void **state)
{
    (void)state;
    const char *in[] = {long_capture()};
    for (unsigned workers = 2; workers <= 3; workers++) {
        struct crew c;
        struct kt_error err = {0};
        crew_init(&c, workers, 40000);
        c.nap_us = 2000;
        assert_int_equal(run(&c, in, 1, (struct kt_pipeline_options){0}, &err), KT_OK);
        assert_seen(&c, 0, 40000);
        /* 16 parcels a worker, and a batch in the reader's hands */
        assert_in_range(c.ahead, KT_BATCH, workers * 16 * KT_BATCH + KT_BATCH);
        crew_fini(&c);
    }
}

static void test_options(void **state)
{
    (void)state;
    const char *in[] = {long_capture(), "lo"};
    struct crew c;
    struct kt_error err = {0};
    crew_init(&c, 1, 0);
    assert_int_equal(run(&c, in, 0, (struct kt_pipeline_options){0}, &err), KT_EINVAL);
    c.workers = KT_WORKERS_MAX + 1;
    assert_int_equal(run(&c, in, 1, (struct kt_pipeline_options){0}, &err), KT_EINVAL);
    c.workers = 1;
    assert_int_equal(run(&c, in, 1, (struct kt_pipeline_options){.interval = KT_SECOND - 1}, &err),
                     KT_EINVAL);
    assert_int_equal(run(&c, in, 2, (struct kt_pipeline_options){0}, &err), KT_EINVAL);
    assert_non_null(strstr(err.text, "lo"));
    assert_int_equal(c.made, 0);
    struct kt_pipeline_options o = {
        .registry = kt_builtin_registry(), .inputs = in, .input_count = 1};
    assert_int_equal(kt_pipeline_run(&o, &ops, &c, &c.stats, &err), KT_OK); /* 0 workers are one */
    assert_int_equal(c.made, 1);
    crew_fini(&c);
}

/* ---- live: a device of our own ---- */

static struct {
    unsigned batches; /* then the end, or a fault */
    unsigned faulty;  /* the stream + 1 that breaks */
    unsigned lost;
} device;

struct own {
    unsigned stream, streams, batch;
    struct kt_block block;
    uint8_t frame[FRAME];
};

/* struct kt_source is the room's own: the state is found by the stream's number. */
static struct own owns[KT_WORKERS_MAX];
static struct kt_source *source_of[KT_WORKERS_MAX];

static struct own *own_of(const struct kt_source *s)
{
    for (unsigned i = 0; i < KT_WORKERS_MAX; i++)
        if (source_of[i] == s)
            return &owns[i];
    return NULL;
}

static int live_open(struct kt_source *s, const char *what, const struct kt_source_options *o,
                     struct kt_error *err)
{
    (void)what, (void)err;
    source_of[o->stream] = s;
    owns[o->stream] = (struct own){.stream = o->stream, .streams = o->streams};
    return KT_OK;
}

static int live_read(struct kt_source *s, struct kt_batch *b, struct kt_error *err)
{
    struct own *own = own_of(s);
    usleep(20000);
    /* the others go on: it is the broken one that ends the run */
    if (own->batch++ >= device.batches && (!device.faulty || device.faulty == own->stream + 1))
        return device.faulty == own->stream + 1
                   ? kt_fail(err, KT_EIO, 0, "mock:x: the device is gone")
                   : KT_END;
    memcpy(own->frame + 12, (uint8_t[]){8, 0, 0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17}, 12);
    own->frame[39] = 12;
    own->frame[28] = (uint8_t)own->stream;
    b->n = 3;
    b->block = &own->block; /* held while packets are on their way to another lane */
    for (unsigned i = 0; i < b->n; i++)
        b->packet[i] = (struct kt_packet){
            .data = own->frame, .ts = kt_now(), .caplen = FRAME, .wirelen = FRAME, .link = 1};
    return KT_OK;
}

static void live_stats(const struct kt_source *s, struct kt_trace_stats *st)
{
    const struct own *own = own_of(s);
    st->lost_ring = own ? device.lost * (own->batch > 2) : 0;
}

static void live_close(struct kt_source *s)
{
    (void)s;
}

static const struct kt_source_ops mock = {.name = "mock",
                                          .summary = "for this test",
                                          .flags = KT_SOURCE_LIVE,
                                          .open = live_open,
                                          .read = live_read,
                                          .stats = live_stats,
                                          .close = live_close};
static const struct kt_source_ops *const mocks[] = {&mock, NULL};
static const struct kt_registry registry = {.sources = mocks};

/* Lanes of different pace close the same intervals, one after the other, each once. */
static void live(unsigned workers, int want)
{
    struct crew c;
    struct kt_error err = {0};
    const char *in[] = {"mock:x"};
    crew_init(&c, workers, 0);
    int rc = run(&c, in, 1, (struct kt_pipeline_options){.registry = &registry}, &err);
    assert_int_equal(rc, want);
    assert_true(c.ticks > 1);
    uint64_t reported = 0;
    for (unsigned t = 0; t < c.ticks; t++) {
        assert_true(c.tick[t].closes);
        assert_int_equal(c.tick[t].last, t + 1 == c.ticks);
        assert_int_equal(c.tick[t].start % KT_SECOND, 0);
        if (t)
            assert_int_equal(c.tick[t].start, c.tick[t - 1].start + KT_SECOND);
        reported += c.in_tick[t];
    }
    assert_int_equal(reported, c.stats.packets);
    assert_int_equal(c.stats.lost, (uint64_t)device.lost * workers);
    if (want < 0)
        assert_string_equal(err.text, "mock:x: the device is gone");
    crew_fini(&c);
}

static void test_live(void **state)
{
    (void)state;
    device.batches = 70; /* a second and a half */
    device.lost = 5;
    live(1, KT_OK);
    live(3, KT_OK);
    device.faulty = 2;
    live(3, KT_EIO);
}

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int clean(void **state)
{
    (void)state;
    char command[300];
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_packet_once),
        cmocka_unit_test(test_silence_makes_zeros),
        cmocka_unit_test(test_gap),
        cmocka_unit_test(test_zeros_end_in_a_gap),
        cmocka_unit_test(test_time_backwards),
        cmocka_unit_test(test_ticks_that_close_nothing),
        cmocka_unit_test(test_no_packet),
        cmocka_unit_test(test_several_inputs),
        cmocka_unit_test(test_faults_of_inputs),
        cmocka_unit_test(test_failing_ops),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_back_pressure),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_live),
    };
    return cmocka_run_group_tests(tests, set_up, clean);
}
