/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Text becomes tokens. Names may hold '-' and '.' between letters and digits (tls-hello, peer.len),
 * so a minus between names wants spaces round it.
 */
#include "expr/expr.h"
#include <ctype.h>
#include <stdio.h>

int expr_fail(struct expr_lexer *l, const char *at, const char *format, ...)
{
    if (l->failed)
        return l->failed;
    unsigned line = l->env->line ? l->env->line : 1, column = l->env->column ? l->env->column : 1;
    for (const char *p = l->text; p < at; p++) {
        column++;
        if (*p == '\n') {
            line++;
            column = 1;
        }
    }
    char reason[400];
    va_list ap;
    va_start(ap, format);
    vsnprintf(reason, sizeof reason, format, ap);
    va_end(ap);
    uint64_t offset = (uint64_t)(at - l->text);
    if (l->env->file)
        l->failed =
            kt_fail(l->err, KT_EINVAL, line, "%s:%u:%u: %s", l->env->file, line, column, reason);
    else
        l->failed =
            kt_fail(l->err, KT_EINVAL, offset, "line %u, column %u: %s", line, column, reason);
    l->tok = (struct expr_token){.kind = T_END, .at = at};
    l->next = l->end;
    return l->failed;
}

const char *expr_found(const struct expr_token *t, char buf[EXPR_FOUND])
{
    if (t->kind == T_END)
        return "the end";
    int n = t->len > 30 ? 30 : (int)t->len;
    const char *mark = t->kind == T_STR ? "" : "'";
    snprintf(buf, EXPR_FOUND, "%s%.*s%s%s", mark, n, t->at, t->len > 30 ? "…" : "", mark);
    for (char *p = buf; *p; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '?';
    }
    return buf;
}

static bool word(const char *p, const char *end)
{
    return p < end && (isalnum((unsigned char)*p) || *p == '_');
}

static void name(struct expr_lexer *l)
{
    const char *p = l->next;
    while (word(p, l->end) || ((*p == '-' || *p == '.') && word(p + 1, l->end)))
        p++;
    l->tok.kind = T_NAME;
    l->tok.len = (uint32_t)(p - l->next);
}

static void string(struct expr_lexer *l)
{
    const char *p = l->next + 1;
    while (p < l->end && *p != '"' && *p != '\n')
        p += *p == '\\' && p + 1 < l->end ? 2 : 1;
    if (p >= l->end || *p != '"') {
        expr_fail(l, l->next, "the text that begins here has no closing '\"'");
        return;
    }
    l->tok.kind = T_STR;
    l->tok.len = (uint32_t)(p + 1 - l->next);
}

static void operator(struct expr_lexer *l)
{
    static const char pairs[][3] = {"==", "!=", "<=", ">=", "<<", ">>", ".."};
    unsigned c = (unsigned char)*l->next, d = l->next + 1 < l->end ? (unsigned char)l->next[1] : 0;
    l->tok.kind = T_OP;
    for (size_t i = 0; i < KT_ARRAY_LEN(pairs); i++) {
        if (c == (unsigned)pairs[i][0] && d == (unsigned)pairs[i][1]) {
            l->tok.op = EXPR_OP(c, d);
            l->tok.len = 2;
            return;
        }
    }
    if (c == '=')
        expr_fail(l, l->next, "found '=': two values are compared with '=='");
    else if (c == '!')
        expr_fail(l, l->next, "found '!': write 'not'");
    else if (c == '&' && d == '&')
        expr_fail(l, l->next, "found '&&': write 'and'");
    else if (c == '|' && d == '|')
        expr_fail(l, l->next, "found '||': write 'or'");
    else if (c == '\'')
        expr_fail(l, l->next, "found ': text stands in double quotes, as in \"DNS\"");
    else if (!c || !strchr("()<>{},+-*/%&|", (int)c))
        expr_fail(l, l->next,
                  c >= 0x20 && c < 0x7f ? "'%c' has no meaning here"
                                        : "a byte that is no printable character",
                  (int)c);
    else {
        l->tok.op = c;
        l->tok.len = 1;
    }
}

void expr_next(struct expr_lexer *l)
{
    if (l->failed)
        return;
    while (l->next < l->end && isspace((unsigned char)*l->next))
        l->next++;
    l->tok = (struct expr_token){.kind = T_END, .at = l->next};
    if (l->next >= l->end)
        return;
    if (!expr_literal(l) && !l->failed) {
        if (*l->next == '"')
            string(l);
        else if (isalpha((unsigned char)*l->next) || *l->next == '_')
            name(l);
        else
            operator(l);
    }
    if (!l->failed)
        l->next = l->tok.at + l->tok.len;
}
