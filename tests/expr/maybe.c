/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Byte patterns, and that kt_expr_maybe() never says a wrong yes or no: what it answers for a
 * partly known object is compared with all kinds of objects that fit.
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
    {.name = "payload", .type = KT_EXPR_STR},
    {.name = "peer.payload", .type = KT_EXPR_STR},
    {.name = "len", .type = KT_EXPR_INT},
    {.name = "server", .type = KT_EXPR_INT},
    {.name = "client", .type = KT_EXPR_INT},
    {.name = "port", .type = KT_EXPR_INT, .either = {"client", "server"}},
    {.name = NULL},
};
static const struct kt_expr_env env = {.fields = fields, .patterns = true};

struct object {
    uint8_t bytes[2][8];
    uint32_t len, server, client;
};

static void load(const void *object, unsigned field, struct kt_expr_value *v)
{
    const struct object *o = object;
    v->num = field == 2 ? o->len : field == 3 ? o->server : o->client;
    v->str = (const char *)o->bytes[field == 1];
    v->len = o->len < 8 ? o->len : 8;
}

static struct kt_expr *compile(const char *text)
{
    struct kt_expr *e;
    struct kt_error err = {0};
    if (kt_expr_compile(&e, text, &env, &err) < 0)
        fail_msg("%s: %s", text, err.text);
    return e;
}

static void patterns(void **state)
{
    static const struct object o = {
        .bytes = {{0x16, 3, 1, 2, 0, 'a', 'b', 7}, {0xff, 0xee}}, .len = 8, .server = 443};
    static const struct {
        const char *text;
        bool want;
    } table[] = {
        {"bytes 16 03", true},
        {"bytes 16 .. 01", true},
        {"bytes 16 04", false},
        {"at 5 text \"ab\"", true},
        {"at 4 bytes 00 \"ab\" 07", true},
        {"bytes 16 03 01 02 00 61 62 07 ..", false},
        {"bytes 16 03 and len == 8", true},
        {"b0 == 0x16 and b7 == 7 and b8 == 0", true},
        {"be32 == 0x16030102", true},
        {"le32 == 0x02010316", true},
        {"be24 == 0x030102", true},
        {"be16a == 0x1603 and be16b == 0x0102", true},
        {"le16b == 0x0201", true},
        {"be16 at 1 == 0x0301", true},
        {"peer.b0 == 0xff", true},
        {"peer.bytes ff ee", true},
        {"be32 at 28 == 0", true},
        {"text \"\\x16\"", true},
        {"not bytes 17", true},
        {"b0 & 0xf0 == 0x10", true},
    };
    static const char *const wrong[] = {
        "bytes",  "bytes zz",        "text 5",   "at 32 bytes 00", "at 30 bytes 00 00 00",
        "at 4 5", "be32 at 29 == 0", "b32 == 0", "b01 == 0",       "bytes \"abc"};
    (void)state;
    for (size_t i = 0; i < KT_ARRAY_LEN(table); i++) {
        struct kt_expr *e = compile(table[i].text);
        if (kt_expr_true(e, load, &o) != table[i].want)
            fail_msg("%s is not %s", table[i].text, table[i].want ? "true" : "false");
        kt_expr_free(e);
    }
    for (size_t i = 0; i < KT_ARRAY_LEN(wrong); i++) {
        struct kt_expr *e;
        if (kt_expr_compile(&e, wrong[i], &env, NULL) != KT_EINVAL)
            fail_msg("%s was accepted", wrong[i]);
    }
}

/* What is known of an object: each part by a bit. */
struct view {
    const struct object *o;
    unsigned known; /* bits 0-7: bytes, 8: len, 9: server, 10: client, 11: len as a range */
    uint8_t map[8];
};

static void load_part(const void *object, unsigned field, struct kt_expr_part *v)
{
    const struct view *w = object;
    const struct object *o = w->o;
    if (field == 0) {
        v->bytes = o->bytes[0];
        v->known = w->map;
        v->span = 8;
        v->min = w->known & 256 ? o->len < 8 ? o->len : 8 : 0;
    } else if (field >= 2) {
        int64_t x = field == 2 ? o->len : field == 3 ? o->server : o->client;
        v->lo = w->known & 256u << (field - 2) ? x : field == 2 && w->known & 2048 ? x & ~7 : 0;
        v->hi = w->known & 256u << (field - 2) ? x : field == 2 && w->known & 2048 ? x | 7 : 65535;
    }
}

static void certain(void **state)
{
    static const char *const table[] = {
        "bytes 16 03 .. ..",
        "bytes 01 or bytes 02 03",
        "be16a == len",
        "be32 == len - 4",
        "b0 & 0xc0 == 0x80 and b1 & 0x7f in {0..3}",
        "port == 2",
        "not port in {1, 3}",
        "len in {3, 5..6} and port < 3",
        "le16a + 1 == len",
        "b0 >> 1 == 1",
        "b0 << 1 == 2",
        "not (b0 == 1 and b1 == 2)",
        "len % 4 == 0",
        "len / 2 == 3",
        "(len - 2) * 2 == 8",
        "be24 | 1 == 3",
        "server == client",
        "be16a == be16b",
        "-len < -3",
        "len != 3",
        "peer.b0 == 1 or b0 == 0",
        "at 2 bytes 01 .. 02",
        "b0 / b1 == 1",
        "b0 - b1 > 1 or b2 <= 1",
        "true and not false",
        "(b0 == 1) == (b1 == 1)",
        "len > 3 and len <= 6",
        "len >= 4 or b3 < 2",
    };
    unsigned seed = 1;
    size_t sure = 0, unsure = 0;
    (void)state;
    for (size_t i = 0; i < KT_ARRAY_LEN(table); i++) {
        struct kt_expr *e = compile(table[i]);
        for (int n = 0; n < 20000; n++) {
            struct object o = {0};
            unsigned r[12];
            for (int j = 0; j < 12; j++)
                r[j] = (seed = seed * 1103515245u + 12345u) >> 16;
            for (int j = 0; j < 8; j++)
                o.bytes[0][j] = (uint8_t)(r[8] & 64 ? r[j] & 255 : r[j] & 3);
            o.len = r[8] & 7;
            o.server = r[9] & 3;
            o.client = r[10] & 3;
            for (uint32_t j = o.len; j < 8; j++)
                o.bytes[0][j] = 0;
            struct view w = {.o = &o, .known = r[11] & 4095};
            for (int j = 0; j < 8; j++)
                w.map[j] = w.known >> j & 1 ? r[9] & 128 ? 255 : (uint8_t)r[j] : 0;
            enum kt_expr_answer a = kt_expr_maybe(e, load_part, &w);
            bool truth = kt_expr_true(e, load, &o);
            if (a == KT_EXPR_MAYBE ? 0 : truth != (a == KT_EXPR_YES))
                fail_msg("%s: wrong for object %d", table[i], n);
            sure += a != KT_EXPR_MAYBE;
            unsure += a == KT_EXPR_MAYBE;
        }
        kt_expr_free(e);
    }
    assert_true(sure > unsure / 4);
}

static void reads(void **state)
{
    struct kt_expr *e = compile("bytes 16 .. 01 and be16 at 4 == 9 and port in {80, 8000..8002}");
    static uint64_t map[1024];
    (void)state;
    assert_int_equal(kt_expr_reads_bytes(e, 0), 0x35);
    assert_true(kt_expr_reads(e, 3) && kt_expr_reads(e, 4) && !kt_expr_reads(e, 2));
    kt_expr_numbers(e, map);
    assert_true(map[80 / 64] >> (80 % 64) & 1 && map[125] == 7);
    kt_expr_free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(patterns), cmocka_unit_test(certain),
                                       cmocka_unit_test(reads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
