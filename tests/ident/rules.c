/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * The rules that ship: they load from the program and from the folder, and every example line in
 * them comes out as it says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <kotare/ident.h>
// cmocka wants these first
#include <stdlib.h>

static void check(struct kt_rules *rules)
{
    struct kt_error err = {0};
    if (kt_rules_check(rules, &err) < 0)
        fail_msg("%s", err.text);
    for (unsigned i = 0; i < kt_rules_labels(rules); i++) {
        const struct kt_label *l = kt_rules_label(rules, i);
        assert_true(l->app < kt_rules_apps(rules));
        assert_string_equal(l->name, kt_rules_app_name(rules, l->app));
    }
    kt_rules_free(rules);
}

static void builtin(void **state)
{
    struct kt_rules *rules;
    struct kt_error err = {0};
    (void)state;
    if (kt_rules_load_builtin(&rules, &err) < 0)
        fail_msg("%s", err.text);
    check(rules);
}

static void folder(void **state)
{
    struct kt_rules *rules;
    struct kt_error err = {0};
    (void)state;
    const char *path = KT_SOURCE_ROOT "/rules/protocols";
    if (kt_rules_load(&rules, &path, 1, &err) < 0)
        fail_msg("%s", err.text);
    check(rules);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(builtin), cmocka_unit_test(folder)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
