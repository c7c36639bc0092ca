/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Rule files: blocks of "key: value" lines. A line that begins with a blank continues the one
 * above, '#' begins a remark line, an empty line ends a block.
 */
#include "ident/rules.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_LINES = 4096 }; /* of one block */

static const char *const keys[] = {"protocol", "shared",    "name",     "transport",  "category",
                                   "priority", "spec",      "source",   "shape",      "accept",
                                   "refuse",   "note",      "enabled",  "usual-port", "confidence",
                                   "example",  "announces", "announced"};

struct reader {
    struct kt_rules *rules;
    const char *file, *at, *end;
    unsigned line;
    struct rule *block;
    unsigned cap;
    struct kt_error *err;
};

int rule_fail(struct kt_error *err, const struct rule *r, unsigned line, const char *format, ...)
{
    char reason[400];
    va_list ap;
    va_start(ap, format);
    vsnprintf(reason, sizeof reason, format, ap);
    va_end(ap);
    return kt_fail(err, KT_EFORMAT, line, "%s:%u: %s", r->file, line, reason);
}

static int fail(struct reader *d, const char *format, const char *what, int len)
{
    char reason[200];
    snprintf(reason, sizeof reason, "%.*s", len > 60 ? 60 : len, what);
    for (char *p = reason; *p; p++) {
        if ((unsigned char)*p < 0x20)
            *p = '?';
    }
    char sentence[300];
    snprintf(sentence, sizeof sentence, "%s '%s'", format, reason);
    return kt_fail(d->err, KT_EFORMAT, d->line, "%s:%u: %s", d->file, d->line, sentence);
}

static bool word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

static const char *line_end(const struct reader *d, const char *p)
{
    const char *nl = memchr(p, '\n', (size_t)(d->end - p));
    return nl ? nl : d->end;
}

static bool blank(const char *p, const char *end)
{
    while (p < end && isspace((unsigned char)*p))
        p++;
    return p == end;
}

static int begin(struct reader *d, const char *key, const char *value)
{
    if (d->block)
        return fail(d, "an empty line must stand before", key, (int)strlen(key));
    if (strcmp(key, "protocol") && strcmp(key, "shared"))
        return fail(d, "a block begins with 'protocol:' or 'shared:', not with", key,
                    (int)strlen(key));
    size_t n = strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789-");
    if (!n || value[n])
        return fail(d, "an identifier has small letters, digits and '-', not", value,
                    (int)strlen(value));
    struct rule *b = kt_arena_alloc(&d->rules->arena, sizeof *b);
    if (!b)
        return kt_fail(d->err, KT_ENOMEM, 0, "no memory for rules");
    *b = (struct rule){.file = d->file,
                       .id = value,
                       .shared = key[0] == 's',
                       .enabled = true,
                       .priority = -1,
                       .line = d->line,
                       .order = d->rules->n_rules++};
    *d->rules->last = b;
    d->rules->last = &b->next;
    d->block = b;
    d->cap = 0;
    return KT_OK;
}

static int add(struct reader *d, const struct rule_line *line)
{
    struct rule *b = d->block;
    if (b->n_lines == MAX_LINES)
        return fail(d, "too many lines in block", b->id, (int)strlen(b->id));
    if (b->n_lines == d->cap) {
        d->cap = d->cap ? d->cap * 2 : 16;
        struct rule_line *grown = kt_arena_alloc(&d->rules->arena, d->cap * sizeof *grown);
        if (!grown)
            return kt_fail(d->err, KT_ENOMEM, 0, "no memory for rules");
        if (b->n_lines)
            memcpy(grown, b->lines, b->n_lines * sizeof *grown);
        b->lines = grown;
    }
    b->lines[b->n_lines++] = *line;
    return KT_OK;
}

/* "key: value" or "key name …: value"; the value may go on for lines. */
static int entry(struct reader *d)
{
    const char *start = d->at, *end = line_end(d, start), *p = start;
    while (p < end && word_char(*p))
        p++;
    const char *key_end = p, *name = p;
    const char *colon = memchr(start, ':', (size_t)(end - start));
    if (!colon || key_end == start)
        return fail(d, "this is no line of the form 'key: value':", start, (int)(end - start));
    const char *key = NULL;
    for (size_t i = 0; i < KT_ARRAY_LEN(keys); i++) {
        if (strlen(keys[i]) == (size_t)(key_end - start) &&
            !memcmp(keys[i], start, (size_t)(key_end - start)))
            key = keys[i];
    }
    if (!key)
        return fail(d, "there is no key", start, (int)(key_end - start));
    while (name < colon && *name == ' ')
        name++;
    if ((name < colon) != !strcmp(key, "shape"))
        return fail(d,
                    name < colon ? "only a shape has a name before the ':', not"
                                 : "a shape wants a name, as in 'shape request: …', here:",
                    start, (int)(end - start));
    const char *value = colon + 1;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    struct rule_line line = {.key = key, .line = d->line, .column = (unsigned)(value - start) + 1};
    unsigned lines = 1;
    for (const char *next = end + 1;
         next < d->end && (*next == ' ' || *next == '\t') && !blank(next, line_end(d, next));
         next = end + 1) {
        end = line_end(d, next);
        lines++;
    }
    const char *stop = end;
    while (stop > value && isspace((unsigned char)stop[-1]))
        stop--;
    line.value = kt_arena_strdup(&d->rules->arena, value, (size_t)(stop - value));
    line.name = kt_arena_strdup(&d->rules->arena, name, (size_t)(colon - name));
    if (!line.value || !line.name)
        return kt_fail(d->err, KT_ENOMEM, 0, "no memory for rules");
    int rc = d->block && strcmp(key, "protocol") && strcmp(key, "shared")
                 ? add(d, &line)
                 : begin(d, key, line.value);
    d->line += lines;
    d->at = end < d->end ? end + 1 : d->end;
    return rc;
}

int rule_parse(struct kt_rules *r, const char *file, const char *text, size_t len,
               struct kt_error *err)
{
    struct reader d = {.rules = r, .at = text, .end = text + len, .line = 1, .err = err};
    d.file = kt_arena_strdup(&r->arena, file, strlen(file));
    if (!d.file)
        return kt_fail(err, KT_ENOMEM, 0, "no memory for rules");
    const char *nul = memchr(text, '\0', len);
    if (nul)
        return kt_fail(err, KT_EFORMAT, 0, "%s: a NUL byte at byte %zu: this is no rule file", file,
                       (size_t)(nul - text));
    int rc = KT_OK;
    while (rc == KT_OK && d.at < d.end) {
        const char *end = line_end(&d, d.at);
        bool empty = blank(d.at, end);
        if (empty)
            d.block = NULL;
        if (!empty && *d.at != '#') {
            rc = entry(&d);
        } else {
            d.at = end < d.end ? end + 1 : d.end;
            d.line++;
        }
    }
    return rc;
}
