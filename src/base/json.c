/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <kotare/base.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

/* A comma if something stands before at this depth. */
static void lead(struct kt_json *j)
{
    if (j->after_key) {
        j->after_key = false;
        return;
    }
    uint64_t bit = UINT64_C(1) << (j->depth & 63);
    if (j->more & bit)
        kt_buf_add(j->out, ",", 1);
    j->more |= bit;
}

void kt_json_open(struct kt_json *j, char bracket)
{
    lead(j);
    kt_buf_add(j->out, &bracket, 1);
    j->depth++;
    j->more &= ~(UINT64_C(1) << (j->depth & 63));
}

void kt_json_close(struct kt_json *j, char bracket)
{
    kt_buf_add(j->out, &bracket, 1);
    j->depth--;
}

void kt_json_key(struct kt_json *j, const char *key)
{
    kt_json_str(j, key);
    kt_buf_add(j->out, ":", 1);
    j->after_key = true;
}

/* Length of the well-formed UTF-8 sequence at p, or 0 (RFC 3629: no overlong forms, no surrogates). */
static size_t utf8_len(const uint8_t *p, size_t left)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    if (p[0] < 0x80)
        return 1;
    size_t n = p[0] >= 0xf0 && p[0] < 0xf8 ? 4 : p[0] >= 0xe0 && p[0] < 0xf0 ? 3
                                             : p[0] >= 0xc2 && p[0] < 0xe0   ? 2
                                                                             : 0;
    if (n == 0 || n > left)
        return 0;
    uint32_t v = p[0] & (0x7fU >> n);
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        v = v << 6 | (p[i] & 0x3f);
    }
    return v >= least[n] && v <= 0x10ffff && (v < 0xd800 || v > 0xdfff) ? n : 0;
}

void kt_json_strn(struct kt_json *j, const char *text, size_t len)
{
    lead(j);
    struct kt_buf *b = j->out;
    kt_buf_add(b, "\"", 1);
    const uint8_t *p = (const uint8_t *)text, *end = p + len, *plain = p;
    while (p < end) {
        size_t n = utf8_len(p, (size_t)(end - p));
        if (n > 1 || (n == 1 && *p >= 0x20 && *p != '"' && *p != '\\' && *p != 0x7f)) {
            p += n;
            continue;
        }
        kt_buf_add(b, plain, (size_t)(p - plain));
        if (n == 0)
            kt_buf_str(b, "\xef\xbf\xbd");
        else if (*p == '"' || *p == '\\')
            kt_buf_printf(b, "\\%c", *p);
        else
            kt_buf_printf(b, "\\u%04x", *p);
        plain = ++p;
    }
    kt_buf_add(b, plain, (size_t)(p - plain));
    kt_buf_add(b, "\"", 1);
}

void kt_json_str(struct kt_json *j, const char *text)
{
    if (text)
        kt_json_strn(j, text, strlen(text));
    else
        kt_json_null(j);
}

void kt_json_i64(struct kt_json *j, int64_t v)
{
    lead(j);
    kt_buf_printf(j->out, "%" PRId64, v);
}

void kt_json_u64(struct kt_json *j, uint64_t v)
{
    lead(j);
    kt_buf_printf(j->out, "%" PRIu64, v);
}

void kt_json_f64(struct kt_json *j, double v)
{
    if (!isfinite(v)) {
        kt_json_null(j);
        return;
    }
    lead(j);
    kt_buf_printf(j->out, "%.10g", v);
}

void kt_json_bool(struct kt_json *j, bool v)
{
    lead(j);
    kt_buf_str(j->out, v ? "true" : "false");
}

void kt_json_null(struct kt_json *j)
{
    lead(j);
    kt_buf_str(j->out, "null");
}
