/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * docs/expressions.md: its filters compile, what it says holds does, its errors read as printed,
 * and its table of flow fields is the program's.
 */
#include "../fenced.h"
#include <kotare/store.h>
// cmocka wants these first
#include <setjmp.h>
// and comes last
#include <cmocka.h>

static struct kt_expr *compiled(const char *text)
{
    struct kt_expr *e;
    struct kt_error err = {0};
    if (kt_expr_compile(&e, text, &kt_flow_env, &err) < 0)
        fail_msg("%s: %s", text, err.text);
    return e;
}

/* Calls fn for every line of every block of a kind; how many there were. */
static unsigned each_line(const char *kind, void (*fn)(const char *line))
{
    char *page = page_text("expressions.md"), *at = page, *block, *line;
    unsigned n = 0;
    assert_non_null(page);
    while ((block = page_block(&at, kind)))
        for (; (line = block_line(&block)); n++)
            fn(line);
    free(page);
    return n;
}

static void is_filter(const char *line)
{
    const struct kt_stored_flow flow = {.app = "", .category = "", .rule = ""};
    struct kt_expr *e = compiled(line);
    kt_expr_true(e, kt_flow_load, &flow);
    kt_expr_free(e);
}

static void filters(void **state)
{
    (void)state;
    assert_true(each_line("filter", is_filter) > 15);
}

static void nothing(const void *object, unsigned field, struct kt_expr_value *v)
{
    (void)object, (void)field, (void)v;
    fail_msg("an expression of literals reads a field");
}

static void is_true(const char *line)
{
    struct kt_expr *e = compiled(line);
    if (!kt_expr_true(e, nothing, NULL))
        fail_msg("%s does not hold", line);
    kt_expr_free(e);
}

static void truths(void **state)
{
    (void)state;
    assert_true(each_line("true", is_true) > 10);
}

/* An expression, and below it, indented, what is said of it. */
static void is_error(const char *line)
{
    static char text[256];
    struct kt_expr *e;
    struct kt_error err = {0};
    if (*line != ' ') {
        snprintf(text, sizeof text, "%s", line);
        return;
    }
    assert_int_equal(kt_expr_compile(&e, text, &kt_flow_env, &err), KT_EINVAL);
    assert_string_equal(err.text, line + 4);
}

static void errors(void **state)
{
    (void)state;
    assert_true(each_line("error", is_error) > 20);
}

/* Every field stands in the table, in a row of its type. */
static void fields(void **state)
{
    static const char *const type[] = {"condition", "number", "text", "address", "time"};
    char *page = page_text("expressions.md"),
         *table = page ? strstr(page, "\n## Fields of flows\n") : NULL;
    (void)state;
    assert_non_null(table);
    *strstr(table, "\n## Fields of rules\n") = '\0';
    for (const struct kt_expr_field *f = kt_flow_env.fields; f->name; f++) {
        char name[40];
        snprintf(name, sizeof name, "`%s`", f->name);
        char *at = strstr(table, name), *row = at;
        if (!at)
            fail_msg("%s is not in the table", f->name);
        while (*row != '\n')
            row--;
        const char *cell = strstr(row, " | ");
        assert_true(row[1] == '|' && cell > at);
        if (strncmp(cell + 3, type[f->type], strlen(type[f->type])) != 0)
            fail_msg("%s is %s, the table says %.20s", f->name, type[f->type], cell + 3);
    }
    free(page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(filters), cmocka_unit_test(truths),
                                       cmocka_unit_test(errors), cmocka_unit_test(fields)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
