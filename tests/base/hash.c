/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
/* The way of machines without 128-bit integers is the one under test: the compiler is its judge. */
#ifdef __SIZEOF_INT128__
#define HAVE_INT128
#undef __SIZEOF_INT128__
#endif
#include <kotare/base.h>
#include <stdlib.h>

static uint64_t next(uint64_t *x)
{
    *x ^= *x << 13, *x ^= *x >> 7, *x ^= *x << 17;
    return *x;
}

static void test_mix_is_the_folded_product(void **state)
{
    (void)state;
#ifdef HAVE_INT128
    uint64_t x = 88172645463325252u;
    for (int i = 0; i < 200000; i++) {
        uint64_t a = next(&x) >> (i & 63), b = next(&x) >> (i >> 6 & 63);
        if (i % 1000 == 0)
            a = UINT64_MAX;
        if (i % 1500 == 0)
            b = UINT64_MAX;
        __extension__ unsigned __int128 m = (unsigned __int128)a * b;
        assert_true(kt_mix64(a, b) == ((uint64_t)m ^ (uint64_t)(m >> 64)));
    }
#else
    skip();
#endif
}

/* The same bytes give the same value wherever they lie; another length or seed gives another. */
static void test_bytes_length_and_seed(void **state)
{
    (void)state;
    uint8_t room[80] = {0};
    for (size_t len = 0; len <= 64; len++) {
        uint64_t here = kt_hash(memset(room, 'x', len), len, 1);
        uint8_t moved[80];
        memset(moved + 3, 'x', len);
        assert_true(kt_hash(moved + 3, len, 1) == here);
        assert_true(kt_hash(room, len, 2) != here);
    }
    uint64_t zeros[65];
    memset(room, 0, sizeof room);
    for (size_t len = 0; len <= 64; len++) {
        zeros[len] = kt_hash(room, len, 0);
        for (size_t k = 0; k < len; k++)
            assert_true(zeros[k] != zeros[len]);
    }
}

/* Turning over any bit of the input turns over each bit of the value about half of the times. */
static void test_every_bit_counts(void **state)
{
    (void)state;
    enum { ROUNDS = 400 };
    static const size_t lens[] = {1, 4, 7, 8, 16, 20, 44};
    uint64_t x = 1234567;
    for (size_t l = 0; l < KT_ARRAY_LEN(lens); l++) {
        size_t bits = lens[l] * 8;
        for (size_t bit = 0; bit < bits; bit++) {
            unsigned flips = 0;
            for (int r = 0; r < ROUNDS; r++) {
                uint8_t data[44];
                for (size_t i = 0; i < lens[l]; i++)
                    data[i] = (uint8_t)(next(&x) >> 24);
                uint64_t a = kt_hash(data, lens[l], 5);
                data[bit / 8] ^= (uint8_t)(1 << bit % 8);
                flips += (unsigned)__builtin_popcountll(a ^ kt_hash(data, lens[l], 5));
            }
            assert_in_range(flips, ROUNDS * 64 * 45 / 100, ROUNDS * 64 * 55 / 100);
        }
    }
}

/* Counting numbers, as addresses and ports are, spread over the buckets of a table like chance. */
static void test_spread(void **state)
{
    (void)state;
    enum { BUCKETS = 1024, N = BUCKETS * 64 };
    unsigned *count = calloc(BUCKETS, sizeof *count);
    for (uint32_t i = 0; i < N; i++)
        count[kt_hash(&i, sizeof i, 0) % BUCKETS]++;
    double chi = 0;
    for (int b = 0; b < BUCKETS; b++)
        chi += ((double)count[b] - 64) * ((double)count[b] - 64) / 64;
    /* 1023 degrees of freedom: the mean is 1023, its deviation 45 */
    assert_true(chi > 1023 - 6 * 45 && chi < 1023 + 6 * 45);
    free(count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mix_is_the_folded_product),
        cmocka_unit_test(test_bytes_length_and_seed),
        cmocka_unit_test(test_every_bit_counts),
        cmocka_unit_test(test_spread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
