/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Comparisons and sets: which types go together, and the code for them.
 */
#include "expr/parse.h"
#include <stdlib.h>

static int kind(const char *what, enum kt_expr_type type)
{
    static const struct {
        const char *text;
        int op[5]; /* by type: BOOL INT STR ADDR TIME; -1: makes no sense */
    } table[] = {
        {"==", {OP_EQ, OP_EQ, OP_SEQ, OP_AEQ, OP_EQ}},
        {"!=", {OP_NE, OP_NE, OP_SNE, OP_ANE, OP_NE}},
        {"<", {-1, OP_LT, -1, -1, OP_LT}},
        {"<=", {-1, OP_LE, -1, -1, OP_LE}},
        {">", {-1, OP_GT, -1, -1, OP_GT}},
        {">=", {-1, OP_GE, -1, -1, OP_GE}},
        {"contains", {-1, -1, OP_CONTAINS, -1, -1}},
        {"starts", {-1, -1, OP_STARTS, -1, -1}},
        {"ends", {-1, -1, OP_ENDS, -1, -1}},
    };
    for (size_t i = 0; i < KT_ARRAY_LEN(table); i++) {
        if (!strcmp(table[i].text, what))
            return table[i].op[type];
    }
    return -2;
}

/* The comparison operator at the current token, or NULL. */
static const char *operator(const struct expr_parser *p)
{
    static const char *const all[] = {"==", "!=", "<=", ">=", "<", ">"};
    static const char *const words[] = {"contains", "starts", "ends", "in"};
    for (size_t i = 0; i < KT_ARRAY_LEN(all); i++) {
        if (expr_is(p, EXPR_OP(all[i][0], all[i][1])))
            return all[i];
    }
    for (size_t i = 0; i < KT_ARRAY_LEN(words); i++) {
        if (expr_is_word(p, words[i]))
            return words[i];
    }
    return NULL;
}

static bool compatible(const struct expr_operand *a, const struct expr_operand *b)
{
    if (a->type == b->type)
        return true;
    const struct expr_operand *time = a->type == KT_EXPR_TIME ? a : b, *other = time == a ? b : a;
    return time->type == KT_EXPR_TIME && other->type == KT_EXPR_INT && other->literal;
}

static int text_len(const struct expr_operand *o)
{
    return o->len > 40 ? 40 : (int)o->len;
}

/* Runs the code from `right` on for each of the two fields that an "either" stands for. */
static void twice(struct expr_parser *p, const struct expr_operand *left, uint32_t right, int op,
                  const struct expr_const *k)
{
    const struct kt_expr_env *env = p->lex.env;
    uint32_t n = p->out->n - right;
    if (p->lex.failed)
        return;
    struct expr_ins *copy = expr_alloc(p, n * sizeof *copy);
    if (!copy)
        return;
    if (n)
        memcpy(copy, p->out->code + right, n * sizeof *copy);
    struct kt_expr part = {.code = copy, .n = n, .depth = p->out->depth};
    p->out->n = right;
    p->depth -= n > 0;
    uint32_t jump = 0;
    for (int i = 0; i < 2; i++) {
        int f = expr_field(env, left->either->name, strlen(left->either->name));
        f = expr_field(env, env->fields[f].either[i], strlen(env->fields[f].either[i]));
        expr_emit(p, OP_FIELD, (unsigned)f, 0, 0, NULL, 0);
        if (n)
            expr_inline(p, &part);
        expr_emit(p, (enum expr_op)op, 0, 0, 0, k, 0);
        if (i == 0)
            jump = expr_jump(p, OP_JTRUE);
    }
    expr_land(p, jump, OP_LOR);
}

static int by_start(const void *a, const void *b)
{
    const struct expr_range *x = a, *y = b;
    return x->lo < y->lo ? -1 : x->lo > y->lo;
}

/* Sorts and merges, so that a search can halve. */
static uint32_t tidy(struct expr_range *r, uint32_t n)
{
    qsort(r, n, sizeof *r, by_start);
    uint32_t out = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (out && r[i].lo <= r[out - 1].hi)
            r[out - 1].hi = r[i].hi > r[out - 1].hi ? r[i].hi : r[out - 1].hi;
        else
            r[out++] = r[i];
    }
    return out;
}

static bool number(struct expr_parser *p, enum kt_expr_type type, int64_t *v)
{
    char found[EXPR_FOUND];
    bool minus = expr_is(p, '-');
    if (minus)
        expr_next(&p->lex);
    const struct expr_token *t = &p->lex.tok;
    if (t->kind != T_INT && !(t->kind == T_TIME && type == KT_EXPR_TIME)) {
        expr_fail(&p->lex, t->at, "found %s, expected %s in the set", expr_found(t, found),
                  expr_type_text(type));
        return false;
    }
    *v = minus ? -t->num : t->num;
    expr_next(&p->lex);
    return true;
}

static bool range(struct expr_parser *p, enum kt_expr_type type, struct expr_range *r)
{
    if (!number(p, type, &r->lo))
        return false;
    r->hi = r->lo;
    if (expr_is(p, EXPR_OP('.', '.'))) {
        const char *at = p->lex.tok.at;
        expr_next(&p->lex);
        if (!number(p, type, &r->hi))
            return false;
        if (r->hi < r->lo)
            expr_fail(&p->lex, at, "the range ends before it begins");
    }
    return !p->lex.failed;
}

static bool member(struct expr_parser *p, enum kt_expr_type type, struct expr_const *k)
{
    const struct expr_token *t = &p->lex.tok;
    char found[EXPR_FOUND];
    if (type == KT_EXPR_STR && t->kind == T_STR) {
        expr_string(p, k);
    } else if (type == KT_EXPR_ADDR && t->kind == T_ADDR) {
        k->prefix = t->prefix;
    } else {
        expr_fail(&p->lex, t->at, "found %s, expected %s in the set", expr_found(t, found),
                  expr_type_text(type));
        return false;
    }
    expr_next(&p->lex);
    return !p->lex.failed;
}

/* {53, 8000..8080}, {"DNS", "TLS"}, {10.0.0.0/8, ::1}, or one member without braces. */
static struct expr_const *set(struct expr_parser *p, enum kt_expr_type type)
{
    bool numbers = type == KT_EXPR_INT || type == KT_EXPR_TIME, braces = expr_is(p, '{');
    size_t size = numbers ? sizeof(struct expr_range) : sizeof(struct expr_const);
    uint32_t n = 0, cap = 0;
    char *all = NULL, found[EXPR_FOUND];
    if (braces)
        expr_next(&p->lex);
    for (bool more = true; more && !p->lex.failed;) {
        if (n == cap) {
            cap = cap ? cap * 2 : 4;
            char *grown = expr_alloc(p, cap * size);
            if (!grown)
                return NULL;
            if (n)
                memcpy(grown, all, n * size);
            all = grown;
        }
        if (numbers ? !range(p, type, (struct expr_range *)(void *)all + n)
                    : !member(p, type, (struct expr_const *)(void *)all + n))
            return NULL;
        if (++n > EXPR_SET_MAX)
            expr_fail(&p->lex, p->lex.tok.at, "a set has at most %d members", EXPR_SET_MAX);
        more = braces && expr_is(p, ',');
        if (more)
            expr_next(&p->lex);
    }
    if (braces && !expr_is(p, '}'))
        expr_fail(&p->lex, p->lex.tok.at, "found %s, expected ',' or '}'",
                  expr_found(&p->lex.tok, found));
    if (braces)
        expr_next(&p->lex);
    struct expr_const *k = expr_alloc(p, sizeof *k);
    if (!k)
        return NULL;
    k->n = numbers ? tidy((struct expr_range *)(void *)all, n) : n;
    k->range = numbers ? (struct expr_range *)(void *)all : NULL;
    k->member = numbers ? NULL : (struct expr_const *)(void *)all;
    return k;
}

static void membership(struct expr_parser *p, struct expr_operand *left)
{
    expr_next(&p->lex);
    if (left->type == KT_EXPR_BOOL) {
        expr_fail(&p->lex, left->at, "'%.*s' is a condition and can be in no set", text_len(left),
                  left->at);
        return;
    }
    struct expr_const *k = set(p, left->type);
    int op = left->type == KT_EXPR_STR    ? OP_IN_STR
             : left->type == KT_EXPR_ADDR ? OP_IN_ADDR
                                          : OP_IN_INT;
    if (left->either)
        twice(p, left, p->out->n, op, k);
    else
        expr_emit(p, (enum expr_op)op, 0, 0, 0, k, 0);
}

static void binary(struct expr_parser *p, struct expr_operand *left, const char *what)
{
    struct expr_operand right = {0};
    const char *at = p->lex.tok.at;
    expr_next(&p->lex);
    expr_arith(p, &right, 0);
    if (p->lex.failed)
        return;
    int op = kind(what, left->type);
    if (right.either)
        expr_fail(&p->lex, right.at, "'%s' stands for two fields: put it on the left side",
                  right.either->name);
    else if (left->either && !strcmp(what, "!="))
        expr_fail(&p->lex, at, "'%s != …' would hold when one of two differs; write 'not %s == …'",
                  left->either->name, left->either->name);
    else if (!compatible(left, &right))
        expr_fail(&p->lex, at, "%s can not be compared with %s ('%.*s' and '%.*s')",
                  expr_type_text(left->type), expr_type_text(right.type), text_len(left), left->at,
                  text_len(&right), right.at);
    else if (op < 0)
        expr_fail(&p->lex, at, "'%s' makes no sense for %s", what, expr_type_text(left->type));
    else if (left->either)
        twice(p, left, right.start, op, NULL);
    else
        expr_emit(p, (enum expr_op)op, 0, 0, 0, NULL, 0);
}

void expr_compare(struct expr_parser *p, struct expr_operand *left)
{
    const char *what = operator(p);
    if (!what) {
        if (left->either)
            expr_fail(&p->lex, left->at, "'%s' must be compared with something",
                      left->either->name);
        return;
    }
    if (!strcmp(what, "in"))
        membership(p, left);
    else
        binary(p, left, what);
    left->type = KT_EXPR_BOOL;
    left->either = NULL;
    left->literal = false;
    if (operator(p))
        expr_fail(&p->lex, p->lex.tok.at,
                  "comparisons do not chain; write 'a < b and b < c' in place of 'a < b < c'");
}
