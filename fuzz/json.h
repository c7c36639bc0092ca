/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Is this text JSON as RFC 8259 has it, in UTF-8? A judge that shares nothing with what writes it.
 */
#ifndef KOTARE_FUZZ_JSON_H
#define KOTARE_FUZZ_JSON_H

#include <stdbool.h>
#include <string.h>

struct json_judge {
    const unsigned char *at, *end;
};

static inline void json_space(struct json_judge *j)
{
    while (j->at < j->end && strchr(" \t\r\n", *j->at) && *j->at)
        j->at++;
}

static inline bool json_take(struct json_judge *j, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(j->end - j->at) < n || memcmp(j->at, word, n) != 0)
        return false;
    j->at += n;
    return true;
}

static inline bool json_in(int c, int from, int to)
{
    return c >= from && c <= to;
}

/* The table of well-formed sequences: Unicode, table 3-7. */
static inline bool json_utf8(struct json_judge *j)
{
    unsigned char b[4] = {0};
    size_t left = (size_t)(j->end - j->at), n;
    memcpy(b, j->at, left < 4 ? left : 4);
    bool two = json_in(b[1], 0x80, 0xbf), three = json_in(b[2], 0x80, 0xbf),
         four = json_in(b[3], 0x80, 0xbf);
    if (b[0] < 0x80)
        n = 1;
    else if (json_in(b[0], 0xc2, 0xdf) && two)
        n = 2;
    else if (json_in(b[0], 0xe0, 0xef) && two && three)
        n = (b[0] == 0xe0 && b[1] < 0xa0) || (b[0] == 0xed && b[1] > 0x9f) ? 0 : 3;
    else if (json_in(b[0], 0xf0, 0xf4) && two && three && four)
        n = (b[0] == 0xf0 && b[1] < 0x90) || (b[0] == 0xf4 && b[1] > 0x8f) ? 0 : 4;
    else
        n = 0;
    j->at += n;
    return n && n <= left;
}

static inline bool json_string(struct json_judge *j)
{
    if (!json_take(j, "\""))
        return false;
    while (j->at < j->end && *j->at != '"') {
        if (*j->at < 0x20)
            return false;
        if (*j->at != '\\') {
            if (!json_utf8(j))
                return false;
            continue;
        }
        if (++j->at == j->end || !*j->at || !strchr("\"\\/bfnrtu", *j->at))
            return false;
        if (*j->at++ == 'u')
            for (int i = 0; i < 4; i++, j->at++)
                if (j->at >= j->end || !*j->at || !strchr("0123456789abcdefABCDEF", *j->at))
                    return false;
    }
    return json_take(j, "\"");
}

static inline bool json_digits(struct json_judge *j)
{
    const unsigned char *from = j->at;
    while (j->at < j->end && json_in(*j->at, '0', '9'))
        j->at++;
    return j->at > from;
}

static inline bool json_number(struct json_judge *j)
{
    json_take(j, "-");
    if (!json_take(j, "0") && !json_digits(j))
        return false;
    if (json_take(j, ".") && !json_digits(j))
        return false;
    if (json_take(j, "e") || json_take(j, "E")) {
        if (!json_take(j, "+"))
            json_take(j, "-");
        return json_digits(j);
    }
    return true;
}

static inline bool json_value(struct json_judge *j, int depth)
{
    json_space(j);
    if (j->at == j->end)
        return false;
    bool object = *j->at == '{';
    if (!object && *j->at != '[')
        return json_take(j, "true") || json_take(j, "false") || json_take(j, "null") ||
               (*j->at == '"' ? json_string(j) : json_number(j));
    const char *closing = object ? "}" : "]";
    if (depth == 64)
        return false;
    j->at++;
    json_space(j);
    if (json_take(j, closing))
        return true;
    do {
        json_space(j);
        if (object && !(json_string(j) && (json_space(j), json_take(j, ":"))))
            return false;
        if (!json_value(j, depth + 1))
            return false;
        json_space(j);
    } while (json_take(j, ","));
    return json_take(j, closing);
}

static inline bool json_valid(const char *text, size_t len)
{
    struct json_judge j = {(const unsigned char *)text, (const unsigned char *)text + len};
    bool ok = json_value(&j, 0);
    json_space(&j);
    return ok && j.at == j.end;
}

#endif
