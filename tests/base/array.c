/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <kotare/base.h>
#include <stdlib.h>

static void test_keeps_what_is_there(void **state)
{
    (void)state;
    size_t cap = 0;
    unsigned moved = 0;
    uint64_t *array = NULL;
    for (size_t n = 0; n < 100000; n++) {
        size_t before = cap;
        uint64_t *more = kt_array_room(array, n + 1, &cap, sizeof *more);
        assert_non_null(more);
        assert_true(cap > n);
        moved += cap != before;
        array = more;
        array[n] = n * 7;
    }
    assert_in_range(moved, 1, 17); /* it doubles */
    for (size_t n = 0; n < 100000; n++)
        assert_int_equal(array[n], n * 7);
    free(array);
}

static void test_large_at_once(void **state)
{
    (void)state;
    size_t cap = 0;
    char *array = kt_array_room(NULL, 5000, &cap, 3);
    assert_non_null(array);
    assert_true(cap >= 5000);
    assert_ptr_equal(kt_array_room(array, cap, &cap, 3), array);
    memset(array, 1, cap * 3);
    free(array);
}

static void test_no_memory_leaves_it_alone(void **state)
{
    (void)state;
    size_t cap = 0;
    uint32_t *array = kt_array_room(NULL, 4, &cap, sizeof *array);
    size_t before = cap;
    array[3] = 9;
    assert_null(kt_array_room(array, SIZE_MAX / 2, &cap, sizeof *array));
    assert_int_equal(cap, before);
    assert_int_equal(array[3], 9);
    free(array);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keeps_what_is_there),
        cmocka_unit_test(test_large_at_once),
        cmocka_unit_test(test_no_memory_leaves_it_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
