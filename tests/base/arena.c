/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <kotare/base.h>

/* Pieces of all sizes, small ones and ones larger than a block: aligned, apart from each other, and
 * each still what was written into it when all are there. */
static void test_pieces_stay(void **state)
{
    (void)state;
    enum { N = 4000 };
    static uint8_t *piece[N];
    static size_t size[N];
    struct kt_arena a = {0};
    uint64_t x = 1;
    for (unsigned i = 0; i < N; i++) {
        x = kt_mix64(x + i, UINT64_C(0x9e3779b97f4a7c15));
        size[i] = 1 + (i % 97 == 0 ? x % 200000 : x % 300);
        piece[i] = kt_arena_alloc(&a, size[i]);
        assert_non_null(piece[i]);
        assert_int_equal((uintptr_t)piece[i] % 16, 0);
        memset(piece[i], (int)(i & 255), size[i]);
    }
    for (unsigned i = 0; i < N; i++)
        for (size_t k = 0; k < size[i]; k++)
            assert_int_equal(piece[i][k], i & 255);
    kt_arena_free(&a);
}

static void test_used_counts_what_was_handed_out(void **state)
{
    (void)state;
    struct kt_arena a = {0};
    assert_non_null(kt_arena_alloc(&a, 1));
    assert_int_equal(a.used, 16);
    assert_non_null(kt_arena_alloc(&a, 100000));
    assert_int_equal(a.used, 16 + 100000);
    assert_non_null(kt_arena_alloc(&a, 32));
    assert_int_equal(a.used, 16 + 100000 + 32);
    kt_arena_free(&a);
    assert_int_equal(a.used, 0);
}

/* A large piece has a block of its own; the block that was being filled goes on being filled. */
static void test_large_does_not_waste_the_block(void **state)
{
    (void)state;
    struct kt_arena a = {0};
    uint8_t *one = kt_arena_alloc(&a, 16);
    assert_non_null(kt_arena_alloc(&a, 1 << 20));
    uint8_t *two = kt_arena_alloc(&a, 16);
    assert_ptr_equal(two, one + 16);
    kt_arena_free(&a);
}

static void test_strdup(void **state)
{
    (void)state;
    struct kt_arena a = {0};
    char *s = kt_arena_strdup(&a, "kotare and more", 6);
    assert_string_equal(s, "kotare");
    assert_string_equal(kt_arena_strdup(&a, "", 0), "");
    assert_string_equal(s, "kotare");
    kt_arena_free(&a);
}

static void test_impossible_size(void **state)
{
    (void)state;
    struct kt_arena a = {0};
    assert_null(kt_arena_alloc(&a, SIZE_MAX));
    assert_null(kt_arena_alloc(&a, SIZE_MAX - 15));
    assert_non_null(kt_arena_alloc(&a, 8));
    kt_arena_free(&a);
    kt_arena_free(&a); /* a freed arena is an empty one */
    assert_non_null(kt_arena_alloc(&a, 8));
    kt_arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces_stay),
        cmocka_unit_test(test_used_counts_what_was_handed_out),
        cmocka_unit_test(test_large_does_not_waste_the_block),
        cmocka_unit_test(test_strdup),
        cmocka_unit_test(test_impossible_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
