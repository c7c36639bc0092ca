/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Literals: numbers with units, dates, addresses, quoted text, byte patterns.
 */
#include "expr/expr.h"
#include <arpa/inet.h>
#include <ctype.h>

static const struct unit {
    const char *name;
    int64_t factor;
    bool time;
} units[] = {
    {"k", 1000, false},
    {"M", 1000000, false},
    {"G", 1000000000, false},
    {"T", INT64_C(1000000000000), false},
    {"Ki", 1 << 10, false},
    {"Mi", 1 << 20, false},
    {"Gi", 1 << 30, false},
    {"Ti", INT64_C(1) << 40, false},
    {"ns", 1, true},
    {"us", 1000, true},
    {"ms", 1000000, true},
    {"s", KT_SECOND, true},
    {"m", 60 * KT_SECOND, true},
    {"min", 60 * KT_SECOND, true},
    {"h", 3600 * KT_SECOND, true},
    {"d", 86400 * KT_SECOND, true},
};

static bool digit(const char *p, const char *end)
{
    return p < end && *p >= '0' && *p <= '9';
}

static bool alnum(const char *p, const char *end)
{
    return p < end && (isalnum((unsigned char)*p) || *p == '_');
}

/* n digits at *p, followed by `after` (0: by anything), as a number; -1: it is not so. */
static int digits(const char **p, const char *end, int n, char after)
{
    int v = 0;
    for (int i = 0; i < n; i++, (*p)++) {
        if (!digit(*p, end))
            return -1;
        v = v * 10 + **p - '0';
    }
    if (after) {
        if (*p >= end || **p != after)
            return -1;
        (*p)++;
    }
    return v;
}

/* Days from 1970-01-01 to a date of the Gregorian calendar (years from March on). */
static int64_t days(int y, int m, int d)
{
    y -= m <= 2;
    int64_t era = y / 400, yoe = y % 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static int days_in(int y, int m)
{
    static const int n[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return n[m - 1] + (m == 2 && y % 4 == 0 && (y % 100 != 0 || y % 400 == 0));
}

/* 2026-01-02, 2026-01-02T03:04Z, 2026-01-02T03:04:05.678Z */
static bool date(struct expr_lexer *l)
{
    const char *p = l->next;
    int y = digits(&p, l->end, 4, '-'), m = y < 0 ? -1 : digits(&p, l->end, 2, '-');
    int d = m < 0 ? -1 : digits(&p, l->end, 2, 0);
    if (d < 0)
        return false;
    int hour = 0, minute = 0, second = 0;
    int64_t fraction = 0;
    bool good = true;
    if (p < l->end && *p == 'T') {
        p++;
        hour = digits(&p, l->end, 2, ':');
        minute = hour < 0 ? -1 : digits(&p, l->end, 2, 0);
        if (minute >= 0 && p < l->end && *p == ':') {
            p++;
            second = digits(&p, l->end, 2, 0);
        }
        if (second >= 0 && p < l->end && *p == '.' && digit(p + 1, l->end)) {
            int64_t scale = KT_SECOND / 10;
            for (p++; digit(p, l->end); p++, scale /= 10)
                fraction += (*p - '0') * scale;
        }
        good = hour >= 0 && minute >= 0 && second >= 0 && p < l->end && *p == 'Z';
        p += good;
    }
    if (!good || alnum(p, l->end) || y < 1970 || y > 2261 || m < 1 || m > 12 || d < 1 ||
        d > days_in(y, m) || hour > 23 || minute > 59 || second > 60) {
        expr_fail(l, l->next,
                  "this is no date; dates look like 2026-01-02 or "
                  "2026-01-02T03:04:05Z (UTC), from 1970 to 2261");
        return false;
    }
    l->tok.kind = T_TIME;
    l->tok.len = (uint32_t)(p - l->next);
    l->tok.num =
        (days(y, m, d) * 86400 + hour * 3600 + minute * 60 + second) * KT_SECOND + fraction;
    return true;
}

static bool address(struct expr_lexer *l)
{
    const char *p = l->next;
    int colons = 0, dots = 0;
    for (; p < l->end && (isxdigit((unsigned char)*p) || *p == ':' || *p == '.'); p++) {
        if (*p == '.' && p + 1 < l->end && p[1] == '.')
            break;
        colons += *p == ':';
        dots += *p == '.';
    }
    if (colons < 2 && (dots != 3 || !digit(l->next, l->end)))
        return false;
    char text[48];
    size_t n = (size_t)(p - l->next);
    struct expr_prefix *a = &l->tok.prefix;
    a->ip = colons ? 6 : 4;
    a->bits = colons ? 128 : 32;
    if (n < sizeof text) {
        memcpy(text, l->next, n);
        text[n] = '\0';
    }
    if (n >= sizeof text || alnum(p, l->end) ||
        inet_pton(colons ? AF_INET6 : AF_INET, text, a->addr) != 1) {
        expr_fail(l, l->next, "this is no IPv%d address", a->ip);
        return false;
    }
    if (p + 1 < l->end && *p == '/' && digit(p + 1, l->end)) {
        unsigned bits = 0;
        for (p++; digit(p, l->end) && bits < 1000; p++)
            bits = bits * 10 + (unsigned)(*p - '0');
        if (bits > a->bits || alnum(p, l->end)) {
            expr_fail(l, l->next, "the prefix of an IPv%d address has 0 to %u bits", a->ip,
                      a->bits);
            return false;
        }
        a->bits = (uint8_t)bits;
    }
    l->tok.kind = T_ADDR;
    l->tok.len = (uint32_t)(p - l->next);
    return true;
}

static void unit(struct expr_lexer *l, const char *p, int64_t fraction, int64_t scale)
{
    const char *q = p;
    while (alnum(q, l->end))
        q++;
    int64_t factor = 1;
    if (q > p) {
        const struct unit *u = units, *end = units + KT_ARRAY_LEN(units);
        while (u < end &&
               (strlen(u->name) != (size_t)(q - p) || memcmp(u->name, p, (size_t)(q - p))))
            u++;
        if (u == end) {
            int n = q - p > 20 ? 20 : (int)(q - p);
            expr_fail(l, p,
                      "'%.*s' is no unit; sizes have k M G T Ki Mi Gi Ti, times "
                      "ns us ms s m h d",
                      n, p);
            return;
        }
        factor = u->factor;
        l->tok.kind = u->time ? T_TIME : T_INT;
    }
    if (scale > 1 && factor == 1) {
        expr_fail(l, l->next, "a number with a point wants a unit, as in 1.5s or 1.5k");
        return;
    }
    int64_t part = (int64_t)((double)fraction * (double)factor / (double)scale + 0.5);
    if (__builtin_mul_overflow(l->tok.num, factor, &l->tok.num) ||
        __builtin_add_overflow(l->tok.num, part, &l->tok.num))
        expr_fail(l, l->next, "this number is too large (the largest is 2^63 - 1)");
    l->tok.len = (uint32_t)(q - l->next);
}

static void number(struct expr_lexer *l)
{
    const char *p = l->next;
    bool hex = p + 2 < l->end && p[0] == '0' && (p[1] == 'x' || p[1] == 'X') &&
               isxdigit((unsigned char)p[2]);
    bool over = false;
    int64_t v = 0, fraction = 0, scale = 1;
    l->tok.kind = T_INT;
    if (hex) {
        for (p += 2; p < l->end && isxdigit((unsigned char)*p); p++) {
            int c = *p | 0x20;
            over |= v >> 59 != 0;
            v = (int64_t)((uint64_t)v << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10));
        }
    } else {
        for (; digit(p, l->end); p++)
            over |= __builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *p - '0', &v);
        if (p + 1 < l->end && *p == '.' && digit(p + 1, l->end)) {
            for (p++; digit(p, l->end); p++) {
                if (scale < KT_SECOND) {
                    fraction = fraction * 10 + *p - '0';
                    scale *= 10;
                }
            }
        }
    }
    if (over)
        expr_fail(l, l->next, "this number is too large (the largest is 2^63 - 1)");
    l->tok.num = over ? 0 : v;
    if (!l->failed)
        unit(l, p, fraction, scale);
}

bool expr_literal(struct expr_lexer *l)
{
    bool begins = digit(l->next, l->end);
    if (begins && date(l))
        return true;
    if (!l->failed && (begins || *l->next == ':' || isxdigit((unsigned char)*l->next)) &&
        address(l))
        return true;
    if (!l->failed && begins) {
        number(l);
        return true;
    }
    return false;
}

static int hex(int c)
{
    return c >= '0' && c <= '9'                     ? c - '0'
           : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
                                                    : -1;
}

int expr_unquote(const char *quoted, uint32_t len, char *out)
{
    int n = 0;
    for (uint32_t i = 1; i + 1 < len; i++) {
        int c = (unsigned char)quoted[i];
        if (c == '\\') {
            c = (unsigned char)quoted[++i];
            if (c == 'x' && i + 3 < len && hex(quoted[i + 1]) >= 0 && hex(quoted[i + 2]) >= 0) {
                c = hex(quoted[i + 1]) << 4 | hex(quoted[i + 2]);
                i += 2;
            } else {
                const char *known = "nrt0\\\"", *values = "\n\r\t\0\\\"";
                const char *at = c ? strchr(known, c) : NULL;
                if (!at)
                    return -1;
                c = values[at - known];
            }
        }
        out[n++] = (char)c;
    }
    return n;
}

int expr_pattern(const char *text, const char *end, uint8_t *value, uint8_t *mask, unsigned max,
                 const char **stop, const char **why)
{
    unsigned n = 0;
    const char *p = text;
    *stop = text;
    *why = "a byte pattern is too long";
    for (;;) {
        while (p < end && (*p == ' ' || *p == '\t'))
            p++;
        if (p < end && *p == '"') {
            const char *q = p + 1;
            while (q < end && *q != '"')
                q += *q == '\\' && q + 1 < end ? 2 : 1;
            char out[128];
            int k = q < end && q + 1 - p <= 128 ? expr_unquote(p, (uint32_t)(q + 1 - p), out) : -1;
            if (k < 0)
                *why = "quoted text without its end, with an unknown escape, or too long";
            if (k < 0 || n + (unsigned)k > max)
                return KT_EINVAL;
            memcpy(value + n, out, (size_t)k);
            memset(mask + n, 0xff, (size_t)k);
            n += (unsigned)k;
            p = q + 1;
        } else if (end - p >= 2 && ((p[0] == '.' && p[1] == '.') ||
                                    (hex(p[0]) >= 0 && hex(p[1]) >= 0 && !alnum(p + 2, end)))) {
            if (n == max)
                return KT_EINVAL;
            mask[n] = p[0] == '.' ? 0 : 0xff;
            value[n] = p[0] == '.' ? 0 : (uint8_t)(hex(p[0]) << 4 | hex(p[1]));
            n++;
            p += 2;
        } else {
            break;
        }
        *stop = p;
    }
    return (int)n;
}

int kt_expr_bytes(const char *text, uint8_t *value, uint8_t *mask, unsigned max, const char **end,
                  struct kt_error *err)
{
    const char *why;
    int n = expr_pattern(text, text + strlen(text), value, mask, max, end, &why);
    return n < 0 ? kt_fail(err, n, (uint64_t)(*end - text), "%s (%u bytes at most)", why, max) : n;
}

bool expr_payload_value(const char *name, uint32_t len, bool *peer, unsigned *offset,
                        unsigned *width, bool *little)
{
    static const struct {
        const char *name;
        unsigned offset, width;
        bool little;
    } values[] = {{"be16", 0, 2, false}, {"be16a", 0, 2, false}, {"be16b", 2, 2, false},
                  {"be24", 1, 3, false}, {"be32", 0, 4, false},  {"le16", 0, 2, true},
                  {"le16a", 0, 2, true}, {"le16b", 2, 2, true},  {"le32", 0, 4, true},
                  {"byte", 0, 1, false}};
    *peer = len > 5 && !memcmp(name, "peer.", 5);
    if (*peer) {
        name += 5;
        len -= 5;
    }
    *little = false;
    *width = 1;
    if (len >= 2 && len <= 3 && name[0] == 'b' && hex(name[1]) < 10 && hex(name[1]) >= 0 &&
        (len == 2 || (name[1] != '0' && hex(name[2]) < 10 && hex(name[2]) >= 0))) {
        *offset = (unsigned)hex(name[1]);
        if (len == 3)
            *offset = *offset * 10 + (unsigned)hex(name[2]);
        return *offset < 32;
    }
    for (size_t i = 0; i < KT_ARRAY_LEN(values); i++) {
        if (strlen(values[i].name) == len && !memcmp(values[i].name, name, len)) {
            *offset = values[i].offset;
            *width = values[i].width;
            *little = values[i].little;
            return true;
        }
    }
    return false;
}
