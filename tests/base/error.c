/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <kotare/base.h>
#include <stdio.h>

static void test_fail_fills_and_returns(void **state)
{
    (void)state;
    struct kt_error err = {0};
    int rc = kt_fail(&err, KT_EFORMAT, 24, "%s: at byte %d: %s", "day.pcap", 24, "no");
    assert_int_equal(rc, KT_EFORMAT);
    assert_int_equal(err.code, KT_EFORMAT);
    assert_int_equal(err.offset, 24);
    assert_string_equal(err.text, "day.pcap: at byte 24: no");
    assert_int_equal(kt_fail(NULL, KT_ENOMEM, 0, "nobody listens"), KT_ENOMEM);
}

/* Whatever is said of however long a name: the text ends, and errno's reason has its place. */
static void test_long_texts_are_cut(void **state)
{
    (void)state;
    char name[2000];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = 0;
    struct kt_error err = {0};
    kt_fail(&err, KT_EIO, 0, "%s: reason", name);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    kt_fail_errno(&err, ENOSPC, "%s", name);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    assert_int_equal(err.code, KT_EFULL);
}

static void test_errno(void **state)
{
    (void)state;
    static const struct {
        int sys, code;
    } cases[] = {
        {ENOENT, KT_ENOTFOUND}, {ENODEV, KT_ENOTFOUND}, {EACCES, KT_EPERM}, {EPERM, KT_EPERM},
        {ENOSPC, KT_EFULL},     {EDQUOT, KT_EFULL},     {EFBIG, KT_EFULL},  {ENOMEM, KT_ENOMEM},
        {EADDRINUSE, KT_EBUSY}, {EBUSY, KT_EBUSY},      {EIO, KT_EIO},      {EINVAL, KT_EINVAL},
        {EBADF, KT_EIO},
    };
    for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
        struct kt_error err = {0};
        char want[256];
        assert_int_equal(kt_fail_errno(&err, cases[i].sys, "a.pcap: cannot open"), cases[i].code);
        snprintf(want, sizeof want, "a.pcap: cannot open: %s", strerror(cases[i].sys));
        assert_string_equal(err.text, want);
        assert_int_equal(kt_fail_errno(NULL, cases[i].sys, "x"), cases[i].code);
    }
}

/* Every code has a name of its own and the exit code that the help promises. */
static void test_codes(void **state)
{
    (void)state;
    static const struct {
        int code, exit;
    } cases[] = {
        {KT_OK, 0},           {KT_END, 0},      {KT_EINVAL, 1}, {KT_EFORMAT, 2}, {KT_ETRUNCATED, 2},
        {KT_EUNSUPPORTED, 2}, {KT_EIO, 3},      {KT_ENOMEM, 3}, {KT_EPERM, 3},   {KT_ENOTFOUND, 3},
        {KT_EBUSY, 3},        {KT_EVERSION, 4}, {KT_EFULL, 4},
    };
    for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
        assert_int_equal(kt_code_exit(cases[i].code), cases[i].exit);
        assert_string_not_equal(kt_code_name(cases[i].code), kt_code_name(12345));
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(kt_code_name(cases[i].code), kt_code_name(cases[k].code));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fail_fills_and_returns),
        cmocka_unit_test(test_long_texts_are_cut),
        cmocka_unit_test(test_errno),
        cmocka_unit_test(test_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
