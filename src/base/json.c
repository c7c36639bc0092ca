/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <inttypes.h>
#include <kotare/base.h>
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

size_t kt_utf8_len(const uint8_t *p, size_t left)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    if (p[0] < 0x80)
        return 1;
    size_t n = p[0] >= 0xf0 && p[0] < 0xf8   ? 4
               : p[0] >= 0xe0 && p[0] < 0xf0 ? 3
               : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
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
        size_t n = kt_utf8_len(p, (size_t)(end - p));
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

/* ---- is it JSON? ---- */

static void spaces(struct kt_cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\t' || *c->at == '\n' || *c->at == '\r'))
        c->at++;
}

/* Steps over `word` if it comes next. */
static bool next(struct kt_cursor *c, const char *word)
{
    size_t n = strlen(word);
    if (kt_cursor_left(c) < n || memcmp(c->at, word, n) != 0)
        return false;
    c->at += n;
    return true;
}

static bool escape(struct kt_cursor *c)
{
    unsigned char e = kt_cursor_u8(c);
    for (int i = 0; e == 'u' && i < 4; i++) {
        unsigned char x = kt_cursor_u8(c);
        if (!((x >= '0' && x <= '9') || ((x | 32) >= 'a' && (x | 32) <= 'f')))
            return false;
    }
    return e && strchr("\"\\/bfnrtu", e);
}

static bool string(struct kt_cursor *c)
{
    if (!next(c, "\""))
        return false;
    while (c->at < c->end && *c->at != '"') {
        size_t n = kt_utf8_len(c->at, kt_cursor_left(c));
        bool escaped = *c->at == '\\';
        if (n == 0 || *c->at < 0x20)
            return false;
        c->at += n;
        if (escaped && !escape(c))
            return false;
    }
    return next(c, "\"");
}

static bool digits(struct kt_cursor *c)
{
    const uint8_t *from = c->at;
    while (c->at < c->end && *c->at >= '0' && *c->at <= '9')
        c->at++;
    return c->at > from;
}

static bool number(struct kt_cursor *c)
{
    next(c, "-");
    if (!next(c, "0") && !digits(c))
        return false;
    if (next(c, ".") && !digits(c))
        return false;
    if (!next(c, "e") && !next(c, "E"))
        return true;
    if (!next(c, "+"))
        next(c, "-");
    return digits(c);
}

static bool value(struct kt_cursor *c, unsigned depth)
{
    spaces(c);
    bool object = next(c, "{");
    const char *close = object ? "}" : "]";
    if (!object && !next(c, "["))
        return c->at < c->end && *c->at == '"'
                   ? string(c)
                   : next(c, "true") || next(c, "false") || next(c, "null") || number(c);
    spaces(c);
    if (depth == 0 || next(c, close))
        return depth != 0;
    do {
        spaces(c);
        if (object && (!string(c) || (spaces(c), !next(c, ":"))))
            return false;
        if (!value(c, depth - 1))
            return false;
        spaces(c);
    } while (next(c, ","));
    return next(c, close);
}

bool kt_json_valid(const char *text, size_t len)
{
    struct kt_cursor c = kt_cursor(text, len);
    bool ok = value(&c, 64);
    spaces(&c);
    return ok && !c.bad && c.at == c.end;
}

void kt_json_put_str(struct kt_json *j, const char *key, const char *text)
{
    kt_json_key(j, key);
    kt_json_str(j, text);
}

void kt_json_put_u64(struct kt_json *j, const char *key, uint64_t v)
{
    kt_json_key(j, key);
    kt_json_u64(j, v);
}

void kt_json_put_big(struct kt_json *j, const char *key, int64_t v)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, v);
    if (key)
        kt_json_key(j, key);
    kt_json_str(j, text);
}

void kt_json_put_raw(struct kt_json *j, const char *key, const char *json)
{
    kt_json_key(j, key);
    kt_buf_str(j->out, json);
    j->after_key = false;
}
