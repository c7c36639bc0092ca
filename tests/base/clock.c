/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <kotare/base.h>
#include <stdio.h>
#include <time.h>

static void test_time_text(void **state)
{
    (void)state;
    static const struct {
        int64_t ns;
        int digits;
        const char *text;
    } cases[] = {
        {0, 0, "1970-01-01T00:00:00Z"},
        {0, 9, "1970-01-01T00:00:00.000000000Z"},
        {INT64_C(1767323045123456789), 9, "2026-01-02T03:04:05.123456789Z"},
        {INT64_C(1767323045123456789), 6, "2026-01-02T03:04:05.123456Z"},
        {INT64_C(1767323045123456789), 3, "2026-01-02T03:04:05.123Z"},
        {INT64_C(1767323045123456789), 1, "2026-01-02T03:04:05.1Z"},
        {INT64_C(1767323045999999999), 0, "2026-01-02T03:04:05Z"}, /* cut, never rounded up */
        {INT64_C(1767323045000000001), 12, "2026-01-02T03:04:05.000000001Z"},
        {-1, 9, "1969-12-31T23:59:59.999999999Z"},
        {-KT_SECOND, 3, "1969-12-31T23:59:59.000Z"},
        {-KT_SECOND - 1, 9, "1969-12-31T23:59:58.999999999Z"},
        {INT64_C(951782400) * KT_SECOND, 0, "2000-02-29T00:00:00Z"},
        {INT64_MAX, 9, "2262-04-11T23:47:16.854775807Z"},
        {INT64_MIN, 9, "1677-09-21T00:12:43.145224192Z"},
    };
    char buf[KT_TIME_TEXT];
    for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
        assert_ptr_equal(kt_time_text(cases[i].ns, cases[i].digits, buf), buf);
        assert_string_equal(buf, cases[i].text);
    }
}

/* strptime and timegm read back what was written. */
static void test_time_text_reads_back(void **state)
{
    (void)state;
    char buf[KT_TIME_TEXT];
    uint64_t x = 7;
    for (int i = 0; i < 20000; i++) {
        x = kt_mix64(x + (uint64_t)i, UINT64_C(0x9e3779b97f4a7c15));
        int64_t ns = (int64_t)x;
        struct tm tm = {0};
        kt_time_text(ns, 9, buf);
        const char *rest = strptime(buf, "%Y-%m-%dT%H:%M:%S", &tm);
        assert_non_null(rest);
        int64_t frac;
        char z;
        assert_int_equal(sscanf(rest, ".%" SCNd64 "%c", &frac, &z), 2);
        assert_int_equal(z, 'Z');
        /* seconds as a floor, so that the fraction is never negative */
        int64_t sec = (int64_t)timegm(&tm);
        int64_t floor = ns / KT_SECOND - (ns % KT_SECOND < 0);
        assert_int_equal(sec, floor);
        assert_int_equal(frac, ns - floor * KT_SECOND);
    }
}

static void test_clocks(void **state)
{
    (void)state;
    int64_t wall = kt_now(), there = (int64_t)time(NULL) * KT_SECOND;
    assert_true(wall - there > -2 * KT_SECOND && wall - there < 2 * KT_SECOND);
    int64_t before = kt_monotonic();
    for (int i = 0; i < 100000; i++) {
        int64_t now = kt_monotonic();
        assert_true(now >= before);
        before = now;
    }
}

static void test_sizes(void **state)
{
    (void)state;
    char buf[KT_SIZE_TEXT];
    static const struct {
        uint64_t n;
        const char *bytes, *count;
    } cases[] = {
        {0, "0 B", "0"},
        {1, "1 B", "1"},
        {999, "999 B", "999"},
        {1000, "1000 B", "1.0 k"},
        {1023, "1023 B", "1.0 k"},
        {1024, "1.0 KiB", "1.0 k"},
        {1536, "1.5 KiB", "1.5 k"},
        {12345, "12.1 KiB", "12.3 k"},
        {UINT64_C(5) << 30, "5.0 GiB", "5.4 G"},
        {UINT64_C(3) << 50, "3.0 PiB", "3377.7 T"},
        {UINT64_MAX, "16384.0 PiB", "18446744.1 T"},
    };
    for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
        assert_string_equal(kt_bytes_text(cases[i].n, buf), cases[i].bytes);
        assert_string_equal(kt_count_text(cases[i].n, buf), cases[i].count);
    }
}

/* A number just below a unit must not be printed as 1024.0 of the smaller one. */
static void test_sizes_just_below_a_unit(void **state)
{
    (void)state;
    char buf[KT_SIZE_TEXT];
    assert_string_equal(kt_bytes_text((UINT64_C(1) << 20) - 1, buf), "1.0 MiB");
    assert_string_equal(kt_count_text(999999, buf), "1.0 M");
    assert_string_equal(kt_count_text(999949, buf), "999.9 k");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_time_text),
        cmocka_unit_test(test_time_text_reads_back),
        cmocka_unit_test(test_clocks),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_sizes_just_below_a_unit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
