/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Writes JSON and beside it what it was made from, a line each, for read_json.py to compare:
 *     KIND <tab> what went in <tab> the JSON */
#include <inttypes.h>
#include <kotare/base.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t state = 42;

static uint64_t rnd(void)
{
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return state;
}

static void line(const char *kind, const char *in, struct kt_buf *out)
{
    if (out->failed)
        exit(1);
    printf("%s\t%s\t%s\n", kind, in, out->data);
    kt_buf_free(out);
}

static void string(const void *text, size_t len)
{
    struct kt_buf out = {0}, hex = {0};
    struct kt_json j = kt_json(&out);
    kt_json_strn(&j, text, len);
    kt_buf_str(&hex, "");
    for (size_t i = 0; i < len; i++)
        kt_buf_printf(&hex, "%02x", ((const uint8_t *)text)[i]);
    line("string", hex.data, &out);
    kt_buf_free(&hex);
}

static void strings(void)
{
    string("", 0);
    for (int c = 0; c < 256; c++)
        string(&(char){(char)c}, 1);
    for (unsigned a = 0x80; a < 0x100; a += 1 + a % 3) /* every kind of two- and three-byte start */
        for (unsigned b = 0x20; b < 0x100; b += 5)
            for (unsigned c = 0x21; c < 0x100; c += 31)
                string((uint8_t[]){(uint8_t)a, (uint8_t)b, (uint8_t)c}, 3);
    for (int i = 0; i < 20000; i++) {
        uint8_t text[24];
        size_t len = rnd() % sizeof text;
        for (size_t k = 0; k < len; k++) {
            static const uint8_t edge[] = {0xed, 0xa0, 0x80, 0xf4, 0x8f, 0x90, 0xbf,
                                           0xc0, 0xe0, 0xf0, '"',  '\\', '\n', 0x7f,
                                           'a',  0xc3, 0xa9, 0xe2, 0x82, 0xac};
            text[k] = rnd() & 1 ? edge[rnd() % sizeof edge] : (uint8_t)rnd();
        }
        string(text, len);
    }
}

static void numbers(void)
{
    char in[64];
    for (int i = 0; i < 2000; i++) {
        uint64_t v = i == 0   ? 0
                     : i == 1 ? UINT64_MAX
                     : i == 2 ? UINT64_C(1) << 63
                              : rnd() >> rnd() % 64;
        struct kt_buf a = {0}, b = {0}, c = {0};
        struct kt_json j = kt_json(&a);
        kt_json_u64(&j, v);
        snprintf(in, sizeof in, "%" PRIu64, v);
        line("integer", in, &a);
        j = kt_json(&b);
        kt_json_i64(&j, (int64_t)v);
        snprintf(in, sizeof in, "%" PRId64, (int64_t)v);
        line("integer", in, &b);
        double d;
        memcpy(&d, &v, sizeof d);
        j = kt_json(&c);
        kt_json_f64(&j, d);
        snprintf(in, sizeof in, "%.17g", d);
        line("double", in, &c);
    }
    static const double special[] = {0.0,  -0.0, 0.1,      1e300,    -1e-300,
                                     1e21, NAN,  INFINITY, -INFINITY};
    for (size_t i = 0; i < KT_ARRAY_LEN(special); i++) {
        struct kt_buf out = {0};
        struct kt_json j = kt_json(&out);
        kt_json_f64(&j, special[i]);
        snprintf(in, sizeof in, "%.17g", special[i]);
        line("double", in, &out);
    }
}

/* A random tree; beside it the same in a notation of its own, written without the library. */
static void tree(struct kt_json *j, struct kt_buf *in, unsigned depth)
{
    unsigned n = (unsigned)(rnd() % 5), kind = (unsigned)(depth > 50 ? rnd() % 4 : rnd() % 7);
    switch (kind) {
    case 0:
        kt_json_null(j);
        kt_buf_str(in, "n ");
        return;
    case 1:
        kt_json_bool(j, n & 1);
        kt_buf_str(in, n & 1 ? "t " : "f ");
        return;
    case 2:
        kt_json_u64(j, n);
        kt_buf_printf(in, "i%u ", n);
        return;
    case 3:
        kt_json_str(j, n ? "text" : NULL);
        kt_buf_str(in, n ? "s " : "n ");
        return;
    default:
        break;
    }
    bool object = kind == 4;
    kt_json_open(j, object ? '{' : '[');
    kt_buf_str(in, object ? "{ " : "[ ");
    for (unsigned i = 0; i < n; i++) {
        char key[8];
        snprintf(key, sizeof key, "k%u", i);
        if (object)
            kt_json_key(j, key);
        tree(j, in, depth + 1);
    }
    kt_json_close(j, object ? '}' : ']');
    kt_buf_str(in, object ? "} " : "] ");
}

/* Text that nearly is JSON, and what kt_json_valid() makes of it. */
static void validity(void)
{
    static const char *const seed[] = {
        "{\"a\":[1,-0.5e+3,true,false,null,{},[]],\"b\":\"\\u00e9\\n\xc3\xa9\"}",
        "[0, 10 ,\t-1.25E-7\r\n]", "\"\\\"\\\\\\/\\b\\f\\uD834\"", " null "};
    static const char part[] = "{}[]\",:0123456789-+.eEtrufalsn \t\n\\/bx\x01\x7f\x80\xc3\xed\xf4";
    for (int i = 0; i < 20000; i++) {
        char text[128];
        size_t len = strlen(seed[i % 4]);
        memcpy(text, seed[i % 4], len);
        for (uint64_t n = rnd() % 4; n; n--) {
            size_t at = rnd() % len;
            switch (rnd() % 3) {
            case 0:
                text[at] = part[rnd() % (sizeof part - 1)];
                break;
            case 1:
                memmove(text + at, text + at + 1, --len - at);
                break;
            default:
                memmove(text + at + 1, text + at, len++ - at);
            }
        }
        struct kt_buf out = {0}, hex = {0};
        for (size_t k = 0; k < len; k++)
            kt_buf_printf(&hex, "%02x", (uint8_t)text[k]);
        kt_buf_str(&out, kt_json_valid(text, len) ? "true" : "false");
        line("valid", hex.data, &out);
        kt_buf_free(&hex);
    }
    for (int depth = 60; depth < 70; depth++) { /* deeper than anybody needs is refused */
        char text[140];
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        if (kt_json_valid(text, 2 * (size_t)depth) != (depth <= 64))
            exit(1);
    }
}

int main(void)
{
    strings();
    numbers();
    validity();
    for (int i = 0; i < 2000; i++) {
        struct kt_buf out = {0}, in = {0};
        struct kt_json j = kt_json(&out);
        tree(&j, &in, 0);
        line("tree", in.data, &out);
        kt_buf_free(&in);
    }
    return 0;
}
