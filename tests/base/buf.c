/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <kotare/base.h>
#include <stdlib.h>

static void test_grows_and_ends_with_nul(void **state)
{
    (void)state;
    struct kt_buf b = {0};
    for (int i = 0; i < 100000; i++) {
        kt_buf_add(&b, &(char){(char)('a' + i % 26)}, 1);
        assert_int_equal(b.data[b.len], 0);
    }
    assert_false(b.failed);
    assert_int_equal(b.len, 100000);
    for (int i = 0; i < 100000; i++)
        assert_int_equal(b.data[i], 'a' + i % 26);
    kt_buf_free(&b);
    assert_null(b.data);
}

static void test_bytes_and_text(void **state)
{
    (void)state;
    struct kt_buf b = {0};
    kt_buf_str(&b, "");
    assert_string_equal(b.data, "");
    kt_buf_add(&b, "a\0b", 3);
    kt_buf_str(&b, "cd");
    assert_int_equal(b.len, 5);
    assert_memory_equal(b.data, "a\0bcd", 6);
    kt_buf_add(&b, NULL, 0);
    assert_int_equal(b.len, 5);
    kt_buf_free(&b);
}

/* Every length around the sizes where another path is taken. */
static void test_printf_of_every_length(void **state)
{
    (void)state;
    char text[1025];
    for (int len = 0; len <= 1024; len++) {
        struct kt_buf b = {0};
        memset(text, 'x', (size_t)len);
        text[len] = 0;
        kt_buf_str(&b, "<");
        kt_buf_printf(&b, "%s|%d", text, len);
        assert_int_equal(b.data[0], '<');
        assert_memory_equal(b.data + 1, text, (size_t)len);
        assert_int_equal(b.data[1 + len], '|');
        assert_int_equal(atoi(b.data + 2 + len), len);
        assert_int_equal(strlen(b.data), b.len);
        kt_buf_free(&b);
    }
}

static void test_room(void **state)
{
    (void)state;
    struct kt_buf b = {0};
    kt_buf_str(&b, "head ");
    char *at = kt_buf_room(&b, 1000);
    assert_non_null(at);
    memset(at, 'r', 1000);
    b.len += 1000;
    kt_buf_str(&b, " tail");
    assert_int_equal(b.len, 5 + 1000 + 5);
    assert_memory_equal(b.data + 1004, "r tail", 7);
    kt_buf_free(&b);
}

static void test_clear_keeps_the_memory(void **state)
{
    (void)state;
    struct kt_buf b = {0};
    kt_buf_clear(&b);
    assert_int_equal(b.len, 0);
    kt_buf_str(&b, "something");
    size_t cap = b.cap;
    kt_buf_clear(&b);
    assert_string_equal(b.data, "");
    assert_int_equal(b.cap, cap);
    kt_buf_str(&b, "else");
    assert_string_equal(b.data, "else");
    kt_buf_free(&b);
}

/* After a failure nothing more is written, and what was there stays. */
static void test_failure_is_sticky(void **state)
{
    (void)state;
    struct kt_buf b = {0};
    kt_buf_str(&b, "good");
    assert_null(kt_buf_room(&b, SIZE_MAX));
    assert_true(b.failed);
    kt_buf_str(&b, " more");
    kt_buf_printf(&b, "%s", " and more");
    assert_null(kt_buf_room(&b, 1));
    assert_string_equal(b.data, "good");
    kt_buf_free(&b);
    assert_false(b.failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grows_and_ends_with_nul), cmocka_unit_test(test_bytes_and_text),
        cmocka_unit_test(test_printf_of_every_length),  cmocka_unit_test(test_room),
        cmocka_unit_test(test_clear_keeps_the_memory),  cmocka_unit_test(test_failure_is_sticky),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
