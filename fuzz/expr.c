/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Expressions: any text compiles or is refused; what compiles runs, and kt_expr_maybe() never
 * contradicts the run.
 */
#include "fuzz.h"
#include <kotare/expr.h>

static const struct kt_expr_field fields[] = {
    {.name = "payload", .type = KT_EXPR_STR},
    {.name = "peer.payload", .type = KT_EXPR_STR},
    {.name = "len", .type = KT_EXPR_INT},
    {.name = "app", .type = KT_EXPR_STR},
    {.name = "client", .type = KT_EXPR_ADDR},
    {.name = "start", .type = KT_EXPR_TIME},
    {.name = "a", .type = KT_EXPR_INT},
    {.name = "b", .type = KT_EXPR_INT},
    {.name = "port", .type = KT_EXPR_INT, .either = {"a", "b"}},
    {.name = "syn", .type = KT_EXPR_BOOL},
    {.name = NULL},
};

static void load(const void *object, unsigned field, struct kt_expr_value *v)
{
    v->num = field == 9 ? 1 : 53;
    if (fields[field].type == KT_EXPR_STR) {
        v->str = object;
        v->len = 8;
    } else if (fields[field].type == KT_EXPR_ADDR) {
        v->ip = 4;
        v->addr[0] = 10;
    }
}

static void load_part(const void *object, unsigned field, struct kt_expr_part *v)
{
    static const uint8_t known[8] = {0xff, 0xf0, 0, 1};
    v->bytes = object;
    v->known = known;
    v->span = 8;
    if (field == 2) {
        v->lo = 0;
        v->hi = 100;
    } else if (field == 6) {
        v->lo = v->hi = 53;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kt_expr_env env = {.fields = fields, .patterns = size & 1};
    struct kt_error err;
    struct kt_expr *e;
    char *text = fuzz_text(data, size);
    if (kt_expr_compile(&e, text, &env, &err) == KT_OK) {
        static const uint8_t bytes[8] = {0x16, 3, 1, 2};
        bool truth = kt_expr_true(e, load, bytes);
        enum kt_expr_answer a = kt_expr_maybe(e, load_part, bytes);
        fuzz_must(a == KT_EXPR_MAYBE || truth == (a == KT_EXPR_YES));
        kt_expr_free(e);
    }
    free(text);
    return 0;
}
