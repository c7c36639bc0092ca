/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Sums of points over steps are those of the points, gaps are told from silence; events and
 * settings come back.
 */
#include "helper.h"

#define STREAMS 40
#define SECONDS 700
static const int64_t begin = INT64_C(1700000000) * KT_SECOND;

static struct kt_store *fresh(void)
{
    struct kt_store *st;
    CHECK(kt_store_open(&st, NULL, KT_STORE_WRITE, why));
    return st;
}

static int64_t value_of(unsigned stream, unsigned second, unsigned column)
{
    uint64_t seed = stream * 1000003u + second * 31u + column;
    return rnd(&seed) % 3 ? (int64_t)rnd_any(&seed) >> 16 : 0;
}

static bool silent(unsigned second)
{
    return second >= 300 && second < 420; /* nothing was recorded: no point of any stream */
}

/* A total and STREAMS - 1 applications a second; half of each value comes late. */
static void fill(struct kt_store *st)
{
    uint32_t id[STREAMS];
    CHECK(kt_store_put_meta(st, "interval_ns", "1000000000", why));
    for (unsigned i = 0; i < STREAMS; i++) {
        struct kt_stream s = {i ? KT_STREAM_APP : KT_STREAM_TOTAL, ""};
        if (i)
            snprintf(s.name, sizeof s.name, "app %u", i);
        CHECK(kt_store_stream(st, &s, &id[i], why));
        uint32_t again;
        CHECK(kt_store_stream(st, &s, &again, why));
        assert_int_equal(again, id[i]);
    }
    for (unsigned t = 0; t < SECONDS; t++) {
        for (unsigned late = 0; late < 2 && !silent(t); late++)
            for (unsigned i = 0; i < STREAMS; i++) {
                struct kt_point p = {.stream = id[i], .ts = begin + t * KT_SECOND};
                for (unsigned c = 0; c < KT_VALUES; c++) {
                    int64_t v = value_of(i, t, c);
                    p.value[c] = late ? v - v / 3 : v / 3;
                }
                CHECK(kt_store_add_points(st, &p, 1, why));
            }
        if (t % 10 == 0)
            CHECK(kt_store_commit(st, why));
    }
    CHECK(kt_store_commit(st, why));
}

static int64_t expected(unsigned stream, unsigned from, unsigned to, unsigned column)
{
    int64_t sum = 0;
    for (unsigned t = from; t < to && t < SECONDS; t++)
        sum += silent(t) ? 0 : value_of(stream, t, column);
    return sum;
}

static void sums_are_equal(void **state)
{
    (void)state;
    struct kt_store *st = fresh();
    fill(st);
    struct kt_store *rd;
    CHECK(kt_store_open(&rd, kt_store_path(st), KT_STORE_READ, why));
    uint64_t seed = 11;
    for (unsigned round = 0; round < 40; round++) {
        unsigned from = rnd(&seed) % SECONDS, to = from + 1 + rnd(&seed) % (SECONDS - from + 50);
        size_t most = 1 + rnd(&seed) % 900;
        struct kt_store_result r;
        CHECK(kt_store_query(rd, KT_STREAM_APP, NULL, begin + from * KT_SECOND + 5,
                             begin + to * KT_SECOND, most, &r, why));
        assert_true(r.bins <= most && r.bins >= 1);
        assert_int_equal(r.from, begin + from * KT_SECOND);
        assert_int_equal(r.step % KT_SECOND, 0);
        unsigned step = (unsigned)(r.step / KT_SECOND);
        int64_t before = INT64_MAX;
        for (size_t i = 0; i < r.n; i++) {
            unsigned stream = (unsigned)atoi(r.series[i].stream.name + 4);
            int64_t sum = 0;
            for (size_t b = 0; b < r.bins; b++) {
                unsigned a = from + (unsigned)b * step, z = a + step < to ? a + step : to;
                for (unsigned c = 0; c < KT_VALUES; c++)
                    assert_int_equal(r.series[i].value[b * KT_VALUES + c],
                                     expected(stream, a, z, c));
                sum += r.series[i].value[b * KT_VALUES];
                bool seen = false;
                for (unsigned t = a; t < z && t < SECONDS; t++)
                    seen |= !silent(t);
                assert_int_equal(r.seen[b], seen);
            }
            assert_true(sum <= before);
            before = sum;
        }
        kt_store_result_fini(&r);
    }
    kt_store_close(rd);
    kt_store_close(st);
}

static void the_rest_is_summed(void **state)
{
    (void)state;
    struct kt_store *st = fresh();
    fill(st);
    for (size_t top = 1; top <= STREAMS; top += 6) {
        struct kt_store_result r;
        CHECK(
            kt_store_query_top(st, KT_STREAM_APP, NULL, 0, 0, 50, KT_VALUE_PACKETS, top, &r, why));
        assert_int_equal(r.n, top < STREAMS - 1 ? top + 1 : STREAMS - 1);
        assert_int_equal(r.rest, top < STREAMS - 1);
        if (r.rest)
            assert_string_equal(r.series[r.n - 1].stream.name, "Other");
        for (unsigned c = 0; c < KT_VALUES; c++) {
            int64_t sum = 0, want = 0;
            for (size_t i = 0; i < r.n; i++)
                for (size_t b = 0; b < r.bins; b++)
                    sum += r.series[i].value[b * KT_VALUES + c];
            for (unsigned i = 1; i < STREAMS; i++)
                want += expected(i, 0, SECONDS, c);
            assert_int_equal(sum, want);
        }
        kt_store_result_fini(&r);
    }
    struct kt_store_result r;
    CHECK(kt_store_query(st, KT_STREAM_APP, "app 5", 0, 0, 1, &r, why));
    assert_int_equal(r.n, 1);
    assert_int_equal(r.series[0].value[0], expected(5, 0, SECONDS, 0));
    assert_int_equal(r.intervals[0], 2 * (SECONDS - 120)); /* fill() gives each in two parts */
    kt_store_result_fini(&r);
    CHECK(kt_store_query(st, KT_STREAM_APP, "no such", 0, 0, 1, &r, why));
    assert_int_equal(r.n, 0);
    kt_store_result_fini(&r);
    kt_store_close(st);
}

static void extreme_values(void **state)
{
    (void)state;
    struct kt_store *st = fresh();
    struct kt_stream total = {KT_STREAM_TOTAL, ""};
    struct kt_point p[] = {{.ts = begin, .value = {INT64_MIN, -1, 0}},
                           {.ts = 0, .value = {INT64_MAX, 1, -5}},
                           {.ts = INT64_MAX / 2, .value = {1, 1, 1}}};
    for (unsigned i = 0; i < 3; i++)
        CHECK(kt_store_stream(st, &total, &p[i].stream, why));
    CHECK(kt_store_add_points(st, p, 3, why));
    CHECK(kt_store_commit(st, why));
    int64_t first, last;
    CHECK(kt_store_range(st, &first, &last, why));
    assert_true(first == 0 && last == INT64_MAX / 2);
    struct kt_store_result r;
    CHECK(kt_store_query(st, KT_STREAM_TOTAL, NULL, 0, 0, 1000, &r, why));
    int64_t sum[KT_VALUES] = {0};
    for (size_t b = 0; b < r.bins * KT_VALUES; b++)
        sum[b % KT_VALUES] += r.series[0].value[b];
    assert_true(sum[0] == 0 && sum[1] == 1 && sum[2] == -4);
    kt_store_result_fini(&r);
    struct kt_error err = {0};
    assert_int_equal(kt_store_query(st, KT_STREAM_TOTAL, NULL, 10, 10, 5, &r, &err), KT_EINVAL);
    assert_int_equal(kt_store_query(st, KT_STREAM_TOTAL, NULL, 0, 10, 0, &r, &err), KT_EINVAL);
    assert_int_equal(kt_store_query(st, KT_STREAM_TOTAL, NULL, INT64_MIN, INT64_MAX, 5, &r, &err),
                     KT_EINVAL);
    CHECK(kt_store_query(st, KT_STREAM_TOTAL, NULL, 1, INT64_MAX - 1, 5, &r, why));
    kt_store_result_fini(&r);
    p[0].stream = 77;
    assert_int_equal(kt_store_add_points(st, p, 1, &err), KT_EINVAL);
    kt_store_close(st);
}

static void an_empty_store_is_empty(void **state)
{
    (void)state;
    struct kt_store *st = fresh();
    int64_t first, last;
    char text[8];
    struct kt_error err = {0};
    struct kt_store_result r;
    assert_int_equal(kt_store_range(st, &first, &last, &err), KT_ENOTFOUND);
    assert_int_equal(kt_store_get_meta(st, "input", text, sizeof text), KT_ENOTFOUND);
    CHECK(kt_store_query(st, KT_STREAM_APP, NULL, 0, 0, 10, &r, why));
    assert_int_equal(r.n, 0);
    assert_false(r.seen[0]);
    kt_store_result_fini(&r);
    kt_store_close(st);
}

static int keep_events(void *ctx, const struct kt_event *e)
{
    struct kt_buf *b = ctx;
    kt_buf_printf(b, "%d %s %s %s %s %s|", (int)e->id, e->kind, e->title,
                  e->causes ? e->causes : "-", e->filter ? e->filter : "-",
                  e->ended ? "over" : "on");
    return 0;
}

static void events_are_replaced_by_id(void **state)
{
    (void)state;
    struct kt_store *st = fresh();
    struct kt_event a = {.began = 50, .noticed = 60, .kind = "surge", .title = "More"};
    struct kt_event b = {
        .began = 10, .noticed = 20, .ended = 30, .kind = "scan", .title = "x'); --"};
    CHECK(kt_store_put_event(st, &a, why));
    CHECK(kt_store_put_event(st, &b, why));
    assert_int_not_equal(a.id, b.id);
    a.ended = 70;
    a.filter = strdup("app == \"DNS\"");
    a.causes = strdup("[]");
    CHECK(kt_store_put_event(st, &a, why));
    CHECK(kt_store_commit(st, why));
    static const struct {
        int64_t from, to;
        const char *want;
    } cases[] = {{0, 0, "2 scan x'); -- - - over|1 surge More [] app == \"DNS\" over|"},
                 {31, 50, ""},
                 {30, 51, "2 scan x'); -- - - over|1 surge More [] app == \"DNS\" over|"},
                 {71, 100, ""}};
    for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
        struct kt_buf out = {0};
        CHECK(kt_store_events(st, cases[i].from, cases[i].to, keep_events, &out, why));
        assert_string_equal(out.data ? out.data : "", cases[i].want);
        kt_buf_free(&out);
    }
    kt_event_fini(&a);
    kt_store_close(st);
}

/* What another program put there: an interval of no sense is a second, and what is no JSON is not
 * handed on as such. */
static void what_others_wrote(void **state)
{
    (void)state;
    struct kt_store *st = fresh();
    static const struct {
        const char *text;
        int64_t ns;
    } lengths[] = {{"60000000000", 60 * KT_SECOND},
                   {"0", KT_SECOND},
                   {"-9223372036854775808", KT_SECOND},
                   {"9223372036854775807", KT_SECOND},
                   {"soon", KT_SECOND}};
    for (size_t i = 0; i < KT_ARRAY_LEN(lengths); i++) {
        CHECK(kt_store_put_meta(st, "interval_ns", lengths[i].text, why));
        assert_int_equal(kt_store_interval(st), lengths[i].ns);
    }
    static const char *const causes[] = {"[{]", "{}", "[\"\xff\"]", "[1]", "", "null"};
    for (size_t i = 0; i < KT_ARRAY_LEN(causes); i++) {
        struct kt_event e = {.id = 1, .began = 50, .ended = 60, .kind = "surge", .title = "More"};
        struct kt_buf out = {0};
        e.causes = strdup(causes[i]);
        CHECK(kt_store_put_event(st, &e, why));
        CHECK(kt_store_events(st, 0, 0, keep_events, &out, why));
        assert_string_equal(out.data,
                            i == 3 ? "1 surge More [1] - over|" : "1 surge More - - over|");
        kt_buf_free(&out);
        kt_event_fini(&e);
    }
    kt_store_close(st);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_equal),
        cmocka_unit_test(the_rest_is_summed),
        cmocka_unit_test(extreme_values),
        cmocka_unit_test(an_empty_store_is_empty),
        cmocka_unit_test(events_are_replaced_by_id),
        cmocka_unit_test(what_others_wrote),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
