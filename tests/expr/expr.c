/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * What expressions mean, and what is said of those that mean nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <kotare/expr.h>
// cmocka wants these first
#include <stdlib.h>

static const struct kt_expr_field fields[] = {
    {.name = "bytes", .type = KT_EXPR_INT, .doc = "bytes both ways"},
    {.name = "app", .type = KT_EXPR_STR},
    {.name = "client", .type = KT_EXPR_ADDR},
    {.name = "server", .type = KT_EXPR_ADDR},
    {.name = "host", .type = KT_EXPR_ADDR, .either = {"client", "server"}},
    {.name = "client_port", .type = KT_EXPR_INT},
    {.name = "server_port", .type = KT_EXPR_INT},
    {.name = "port", .type = KT_EXPR_INT, .either = {"client_port", "server_port"}},
    {.name = "start", .type = KT_EXPR_TIME},
    {.name = "duration", .type = KT_EXPR_TIME},
    {.name = "syn", .type = KT_EXPR_BOOL},
    {.name = "empty", .type = KT_EXPR_STR},
    {.name = "nowhere", .type = KT_EXPR_ADDR},
    {.name = NULL},
};
static const struct kt_expr_env env = {.fields = fields};

/* 10.1.2.3:40000 -> 2001:db8::5 port 53, 1500 bytes, "DNS", 2026-01-02T03:04:05Z for 6.5 s */
static void load(const void *object, unsigned field, struct kt_expr_value *v)
{
    static const uint8_t four[16] = {10, 1, 2, 3}, six[16] = {0x20, 1, 0xd, 0xb8, [15] = 5};
    (void)object;
    switch (field) {
    case 0:
        v->num = 1500;
        break;
    case 1:
        v->str = "DNS";
        v->len = 3;
        break;
    case 2:
        v->ip = 4;
        memcpy(v->addr, four, 16);
        break;
    case 3:
        v->ip = 6;
        memcpy(v->addr, six, 16);
        break;
    case 5:
        v->num = 40000;
        break;
    case 6:
        v->num = 53;
        break;
    case 8:
        v->num = INT64_C(1767323045) * KT_SECOND;
        break;
    case 9:
        v->num = 6 * KT_SECOND + KT_SECOND / 2;
        break;
    case 10:
        v->num = 1;
        break;
    }
}

static void values(void **state)
{
    static const struct {
        const char *text;
        bool want;
    } table[] = {
        {"bytes == 1500", true},
        {"bytes != 1500", false},
        {"bytes > 1k and bytes < 1.5Ki", true},
        {"bytes >= 1.5k", true},
        {"bytes > 0x5dc", false},
        {"bytes + 1 == 1501", true},
        {"bytes - 1500 == 0", true},
        {"2 + 3 * 4 == 14", true},
        {"(2 + 3) * 4 == 20", true},
        {"bytes % 7 == 2", true},
        {"bytes / 7 == 214", true},
        {"bytes & 0xff == 0xdc", true},
        {"bytes | 1 == 1501", true},
        {"bytes << 2 == 6000", true},
        {"bytes >> 2 == 375", true},
        {"1 | 6 & 4 == 5", true},
        {"-bytes < 0", true},
        {"--bytes == 1500", true},
        {"bytes / 0 == 0", false},
        {"bytes / 0 != 0", true},
        {"not bytes / 0 == 0", true},
        {"9223372036854775807 + bytes > 0", false},
        {"bytes in {1, 2, 1000..2000}", true},
        {"bytes in {1, 2, 2000..3000}", false},
        {"bytes in 1500", true},
        {"bytes in {1499, 1501}", false},
        {"bytes in {-5..5, 1500}", true},
        {"app == \"DNS\"", true},
        {"app == \"dns\"", true},
        {"app != \"DNS\"", false},
        {"app == \"DNSx\"", false},
        {"app contains \"n\"", true},
        {"app contains \"\"", true},
        {"app contains \"ns1\"", false},
        {"app starts \"d\"", true},
        {"app ends \"s\"", true},
        {"app ends \"xdns\"", false},
        {"app in {\"TLS\", \"dns\"}", true},
        {"app in {\"TLS\"}", false},
        {"app == \"D\\x4eS\"", true},
        {"empty == \"\"", true},
        {"empty contains \"a\"", false},
        {"client == 10.1.2.3", true},
        {"client == 10.0.0.0/8", true},
        {"client in 10.1.2.2/31", true},
        {"client in 10.1.2.4/31", false},
        {"client in {192.168.0.0/16, 10.1.0.0/16}", true},
        {"client != 10.0.0.0/8", false},
        {"client in ::/0", false},
        {"client in 0.0.0.0/0", true},
        {"server in 2001:db8::/32", true},
        {"server == 2001:DB8::5", true},
        {"host in {10.0.0.0/8}", true},
        {"host == 2001:db8::5", true},
        {"host == 2001:db8::6", false},
        {"client == server", false},
        {"nowhere == nowhere", false},
        {"nowhere in 0.0.0.0/0", false},
        {"port == 53", true},
        {"port == 54", false},
        {"not port == 54", true},
        {"port in {53, 5353, 8000..8080}", true},
        {"port > 39999 and port < 54", true},
        {"port == bytes / 30 + 3", true},
        {"start >= 2026-01-02T03:04:05Z", true},
        {"start > 2026-01-02T03:04:05Z", false},
        {"start < 2026-01-02T03:04:05.5Z", true},
        {"start > 2026-01-02", true},
        {"start > 2026-01-02T03:04Z", true},
        {"start in 2026-01-02..2026-01-03", true},
        {"duration > 5s", true},
        {"duration == 6500ms", true},
        {"duration == 6.5s", true},
        {"duration < 1m and duration < 1h", true},
        {"duration > 6000000000", true},
        {"start + duration > 2026-01-02T03:04:11Z", true},
        {"start + 1d > 2026-01-03T03:04:04Z", true},
        {"duration / 1s == 6", true},
        {"syn", true},
        {"not syn", false},
        {"not not syn", true},
        {"syn == true", true},
        {"syn and bytes > 1 or false", true},
        {"false or false or syn", true},
        {"true and true and false", false},
        {"false and syn or syn", true},
        {"not (syn and false)", true},
        {"app == \"x\" or (port == 53 and not client in 11.0.0.0/8)", true},
    };
    (void)state;
    for (size_t i = 0; i < KT_ARRAY_LEN(table); i++) {
        struct kt_expr *e;
        struct kt_error err = {0};
        if (kt_expr_compile(&e, table[i].text, &env, &err) < 0)
            fail_msg("%s: %s", table[i].text, err.text);
        if (kt_expr_true(e, load, NULL) != table[i].want)
            fail_msg("%s is not %s", table[i].text, table[i].want ? "true" : "false");
        kt_expr_free(e);
    }
}

static void sentences(void **state)
{
    static const struct {
        const char *text, *part[2];
    } table[] = {
        {"", {"line 1, column 1: ", "found the end"}},
        {"byts > 5", {"column 1", "did you mean 'bytes' (bytes both ways)?"}},
        {"app == DNS", {"column 8", "text stands in quotes"}},
        {"bytes", {"'bytes' is a number, expected a condition", "'bytes > 0'"}},
        {"bytes and syn", {"'bytes' is a number", ""}},
        {"1 < bytes < 5", {"column 11", "do not chain"}},
        {"bytes = 5", {"column 7", "'=='"}},
        {"syn && syn", {"write 'and'", ""}},
        {"syn || syn", {"write 'or'", ""}},
        {"!syn", {"write 'not'", ""}},
        {"app == 'DNS'", {"double quotes", ""}},
        {"bytes > 5s", {"a number can not be compared with a time", ""}},
        {"bytes == \"5\"", {"a number can not be compared with text", ""}},
        {"app > \"5\"", {"'>' makes no sense for text", ""}},
        {"client < 10.0.0.1", {"makes no sense for an address", ""}},
        {"port != 5", {"write 'not port == …'", ""}},
        {"port + 1 == 5", {"stands for two fields", ""}},
        {"5 == port", {"put it on the left side", ""}},
        {"port", {"must be compared", ""}},
        {"bytes in {1, 2", {"found the end, expected ',' or '}'", ""}},
        {"bytes in {5..1}", {"ends before it begins", ""}},
        {"bytes in {\"a\"}", {"expected a number in the set", ""}},
        {"(bytes > 1", {"expected ')'", ""}},
        {"bytes > 1)", {"found ')', expected 'and', 'or' or the end", ""}},
        {"bytes > 5x", {"'x' is no unit", ""}},
        {"bytes > 1.5", {"wants a unit", ""}},
        {"bytes > 99999999999999999999", {"too large", ""}},
        {"bytes > 9999999999G", {"too large", ""}},
        {"start > 2026-02-30", {"this is no date", ""}},
        {"start > 2026-01-02T25:00:00Z", {"this is no date", ""}},
        {"client == 10.0.0.256", {"this is no IPv4 address", ""}},
        {"client in 10.0.0.0/33", {"0 to 32 bits", ""}},
        {"client in 1:2:3", {"this is no IPv6 address", ""}},
        {"app == \"abc", {"no closing", ""}},
        {"app == \"\\q\"", {"unknown escape", ""}},
        {"syn\n and\n  foo", {"line 3, column 3", "nothing is named 'foo'"}},
        {"bytes > ;", {"';' has no meaning here", ""}},
        {"syn and", {"found the end", "expected a value"}},
        {"and syn", {"found 'and'", "expected a value"}},
        {"syn + 1 == 2", {"arithmetic with a condition", ""}},
        {"duration & 1 == 1", {"bits of a time", ""}},
        {"bytes -1 > bytes-1", {"space on either side", ""}},
    };
    (void)state;
    for (size_t i = 0; i < KT_ARRAY_LEN(table); i++) {
        struct kt_expr *e;
        struct kt_error err = {0};
        if (kt_expr_compile(&e, table[i].text, &env, &err) != KT_EINVAL)
            fail_msg("%s was accepted", table[i].text);
        if (!strstr(err.text, table[i].part[0]) || !strstr(err.text, table[i].part[1]))
            fail_msg("%s: %s", table[i].text, err.text);
        assert_null(e);
        assert_int_equal(err.code, KT_EINVAL);
    }
}

/* n times `open`, then `middle`, then n times `close`. */
static char *nested(const char *open, const char *middle, const char *close, int n)
{
    struct kt_buf b = {0};
    for (int i = 0; i < n; i++)
        kt_buf_str(&b, open);
    kt_buf_str(&b, middle);
    for (int i = 0; i < n; i++)
        kt_buf_str(&b, close);
    return b.data;
}

static void limits(void **state)
{
    static const struct {
        const char *open, *middle, *close;
        int n;
        bool good;
    } table[] = {
        {"(", "syn", ")", 50, true},
        {"(", "syn", ")", 30000, false},
        {"not ", "syn", "", 50, true},
        {"not ", "syn", "", 10000, false},
        {"-", "1 == 1", "", 60000, false},
        {"1 + (", "1", ") == 1", 40, false},
        {"syn and ", "syn", "", 2000, true},
        {"syn and ", "syn", "", 8000, false},
        {"", "bytes in {1", ", 1", 3000, false},
        {" ", "syn", " ", 40000, false},
        {"1 | (2 & (3 << (4 + (5 * (", "6", ")))))", 12, false},
    };
    (void)state;
    for (size_t i = 0; i < KT_ARRAY_LEN(table); i++) {
        struct kt_expr *e;
        struct kt_error err = {0};
        char *text = nested(table[i].open, table[i].middle, table[i].close, table[i].n);
        int rc = kt_expr_compile(&e, text, &env, &err);
        if ((rc == KT_OK) != table[i].good)
            fail_msg("%zu: %s", i, err.text);
        if (rc == KT_OK)
            kt_expr_true(e, load, NULL);
        kt_expr_free(e);
        free(text);
    }
}

static void position(void **state)
{
    struct kt_expr_env in_file = env;
    struct kt_expr *e;
    struct kt_error err = {0};
    (void)state;
    in_file.file = "a.rule";
    in_file.line = 7;
    in_file.column = 10;
    assert_int_equal(kt_expr_compile(&e, "bytes >", &in_file, &err), KT_EINVAL);
    assert_non_null(strstr(err.text, "a.rule:7:17: "));
    assert_int_equal(err.offset, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(values), cmocka_unit_test(sentences),
                                       cmocka_unit_test(limits), cmocka_unit_test(position)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
