/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * docs/rules.md: its rules load and their examples come out, its mistakes are told as printed, and
 * every key of the rules that ship stands in its table.
 */
#include "../fenced.h"
#include "ident/rules.h"
// cmocka wants these first
#include <setjmp.h>
// and comes last
#include <cmocka.h>

static int checked(const char *text, struct kt_error *err)
{
    struct kt_rules *r;
    int rc = kt_rules_load_text(&r, "my.rule", text, strlen(text), err);
    if (rc == KT_OK) {
        rc = kt_rules_check(r, err);
        kt_rules_free(r);
    }
    return rc;
}

static void rules(void **state)
{
    char *page = page_text("rules.md"), *at = page, *block;
    unsigned n = 0;
    (void)state;
    assert_non_null(page);
    for (; (block = page_block(&at, "rule")); n++) {
        struct kt_error err = {0};
        assert_non_null(strstr(block, "\nexample: "));
        if (checked(block, &err) < 0)
            fail_msg("%s", err.text);
    }
    assert_true(n >= 2);
    free(page);
}

/* The last line of a block is what is said of the rest. */
static void errors(void **state)
{
    char *page = page_text("rules.md"), *at = page, *block;
    unsigned n = 0;
    (void)state;
    assert_non_null(page);
    for (; (block = page_block(&at, "rule-error")); n++) {
        struct kt_error err = {0};
        char *told = strstr(block, "error: ");
        assert_non_null(told);
        told[strlen(told) - 1] = '\0';
        char *want = told + strlen("error: ");
        *told = '\0';
        assert_int_equal(checked(block, &err), KT_EFORMAT);
        assert_string_equal(err.text, want);
    }
    assert_true(n >= 9);
    free(page);
}

static void keys(void **state)
{
    char *page = page_text("rules.md");
    (void)state;
    assert_non_null(page);
    for (const struct rule_text *t = rule_builtin; t->name; t++) {
        for (const char *line = t->text; line && *line; line = strchr(line, '\n'), line += !!line) {
            char key[40];
            size_t n = strspn(line, "abcdefghijklmnopqrstuvwxyz-");
            snprintf(key, sizeof key, "\n| `%.*s%s`", (int)n, line, line[n] == ':' ? "" : " NAME");
            if (n && !strstr(page, key) && strncmp(line, "shared:", 7) != 0 &&
                strncmp(line, "spec:", 5) != 0 && strncmp(line, "source:", 7) != 0)
                fail_msg("%s: the key of %.40s is not in the table", t->name, line);
        }
    }
    free(page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rules), cmocka_unit_test(errors),
                                       cmocka_unit_test(keys)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
