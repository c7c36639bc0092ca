/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * What a name means: a field of the environment, a named expression, or a read of payload.
 */
#include "expr/parse.h"
#include <stdio.h>

int expr_field(const struct kt_expr_env *env, const char *name, size_t len)
{
    for (int i = 0; env->fields && env->fields[i].name; i++) {
        if (strlen(env->fields[i].name) == len && !memcmp(env->fields[i].name, name, len))
            return i;
    }
    return -1;
}

/* How many letters are to be changed, added or left out; `enough` or more is all the same. */
static unsigned distance(const char *a, size_t n, const char *b, size_t m, unsigned enough)
{
    unsigned row[33];
    if (n > 32 || m > 32)
        return enough;
    for (size_t j = 0; j <= m; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= n; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= m; j++) {
            unsigned best = diagonal + ((a[i - 1] | 0x20) != (b[j - 1] | 0x20));
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[m] < enough ? row[m] : enough;
}

static void unknown(struct expr_parser *p)
{
    const struct expr_token *t = &p->lex.tok;
    const struct kt_expr_field *f = p->lex.env->fields, *near = NULL;
    unsigned best = t->len <= 3 ? 2 : 3;
    char names[200] = "";
    size_t used = 0;
    for (; f && f->name; f++) {
        unsigned d = distance(t->at, t->len, f->name, strlen(f->name), best);
        if (d < best) {
            best = d;
            near = f;
        }
        if (used < 120)
            used += (size_t)snprintf(names + used, sizeof names - used, "%s%.30s", used ? ", " : "",
                                     f->name);
    }
    int n = t->len > 30 ? 30 : (int)t->len;
    const char *minus = memchr(t->at, '-', t->len);
    if (minus && expr_field(p->lex.env, t->at, (size_t)(minus - t->at)) >= 0)
        expr_fail(&p->lex, t->at, "nothing is named '%.*s'; a minus wants a space on either side",
                  n, t->at);
    else if (near)
        expr_fail(&p->lex, t->at, "nothing is named '%.*s'; did you mean '%s'%s%s%s?", n, t->at,
                  near->name, near->doc ? " (" : "", near->doc ? near->doc : "",
                  near->doc ? ")" : "");
    else
        expr_fail(&p->lex, t->at, "nothing is named '%.*s' (text stands in quotes; names are %s%s)",
                  n, t->at, names, used >= 120 ? " …" : "");
}

/* The text field that a pattern or a read looks into. */
static int payload(struct expr_parser *p, bool peer)
{
    const char *name = peer ? "peer.payload" : "payload";
    return expr_field(p->lex.env, name, strlen(name));
}

/* A plain number after `at`, below `limit`. */
static unsigned offset(struct expr_parser *p, unsigned limit)
{
    char found[EXPR_FOUND];
    expr_next(&p->lex);
    if (p->lex.tok.kind != T_INT || p->lex.tok.num < 0 || p->lex.tok.num >= (int64_t)limit) {
        expr_fail(&p->lex, p->lex.tok.at, "found %s after 'at', expected an offset from 0 to %u",
                  expr_found(&p->lex.tok, found), limit - 1);
        return 0;
    }
    unsigned v = (unsigned)p->lex.tok.num;
    expr_next(&p->lex);
    return v;
}

/* bytes 16 03 .. .., text "GET ": the token is `bytes` or `text`. */
static void pattern(struct expr_parser *p, struct expr_operand *o, bool peer, unsigned from)
{
    struct expr_lexer *l = &p->lex;
    uint8_t value[32], mask[32];
    const char *why = "", *stop = l->next;
    bool text = l->tok.at[l->tok.len - 1] == 't';
    int n = expr_pattern(l->next, l->end, value, mask, 32, &stop, &why);
    if (n < 0)
        expr_fail(l, stop, "%s (32 bytes at most)", why);
    else if (n == 0 || from + (unsigned)n > 32)
        expr_fail(l, l->next,
                  n == 0 ? (text ? "'text' wants a quoted string"
                                 : "'bytes' wants pairs of hex digits, '..' or quoted text")
                         : "the pattern reaches beyond the 32 bytes that are kept of a payload");
    struct expr_const *k = expr_alloc(p, sizeof *k);
    uint8_t *copy = expr_alloc(p, 64);
    if (!k || !copy)
        return;
    memcpy(copy, value, (size_t)n);
    memcpy(copy + 32, mask, (size_t)n);
    k->str = (const char *)copy;
    k->mask = copy + 32;
    k->len = (uint32_t)n;
    k->offset = from;
    int field = payload(p, peer);
    l->next = stop;
    expr_next(l);
    expr_emit(p, OP_BYTES, (unsigned)field, 0, 0, k, 0);
    o->type = KT_EXPR_BOOL;
}

static bool is_pattern(const struct expr_parser *p, bool *peer)
{
    *peer = expr_is_word(p, "peer.bytes") || expr_is_word(p, "peer.text");
    return *peer || expr_is_word(p, "bytes") || expr_is_word(p, "text");
}

/* Names that only the pattern environment has; false: it is none of them. */
static bool patterns(struct expr_parser *p, struct expr_operand *o)
{
    struct expr_token t = p->lex.tok;
    bool peer, little;
    unsigned from = 0, width;
    if (is_pattern(p, &peer)) {
        pattern(p, o, peer, 0);
        return true;
    }
    if (expr_is_word(p, "at")) {
        char found[EXPR_FOUND];
        from = offset(p, 32);
        if (is_pattern(p, &peer))
            pattern(p, o, peer, from);
        else
            expr_fail(&p->lex, p->lex.tok.at, "found %s, expected 'bytes' or 'text' after 'at %u'",
                      expr_found(&p->lex.tok, found), from);
        return true;
    }
    if (!expr_payload_value(t.at, t.len, &peer, &from, &width, &little))
        return false;
    expr_next(&p->lex);
    if (expr_is_word(p, "at"))
        from = offset(p, 33 - width);
    expr_emit(p, OP_READ, (unsigned)payload(p, peer), width | (little ? 0x80 : 0), from, NULL, 0);
    o->type = KT_EXPR_INT;
    return true;
}

void expr_name(struct expr_parser *p, struct expr_operand *o)
{
    struct expr_token t = p->lex.tok;
    const struct kt_expr_env *env = p->lex.env;
    int f = expr_field(env, t.at, t.len);
    const struct kt_expr *e = NULL;
    if (f >= 0) {
        o->type = env->fields[f].type;
        if (env->fields[f].either[0])
            o->either = &env->fields[f];
        else
            expr_emit(p, OP_FIELD, (unsigned)f, 0, 0, NULL, 0);
        expr_next(&p->lex);
    } else if (expr_is_word(p, "true") || expr_is_word(p, "false")) {
        o->type = KT_EXPR_BOOL;
        expr_emit(p, OP_INT, 0, 0, 0, NULL, t.at[0] == 't');
        expr_next(&p->lex);
    } else if (env->patterns && patterns(p, o)) {
        return;
    } else if (env->named && (e = env->named(env->named_ctx, t.at, t.len))) {
        o->type = KT_EXPR_BOOL;
        expr_inline(p, e);
        expr_next(&p->lex);
    } else {
        unknown(p);
    }
}
