/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * The grammar, by recursive descent; types are checked and code is emitted on the way.
 *   or, and, not, comparison, |, &, << >>, + -, * / %, unary minus and ( )
 */
#include "expr/parse.h"
#include <stdlib.h>

static void disjunction(struct expr_parser *p, struct expr_operand *o);

const char *expr_type_text(enum kt_expr_type type)
{
    static const char *const text[] = {"a condition", "a number", "text", "an address", "a time"};
    return text[type];
}

bool expr_is(const struct expr_parser *p, unsigned op)
{
    return p->lex.tok.kind == T_OP && p->lex.tok.op == op;
}

bool expr_is_word(const struct expr_parser *p, const char *word)
{
    const struct expr_token *t = &p->lex.tok;
    return t->kind == T_NAME && strlen(word) == t->len && !memcmp(word, t->at, t->len);
}

void expr_string(struct expr_parser *p, struct expr_const *k)
{
    const struct expr_token *t = &p->lex.tok;
    char *text = expr_alloc(p, t->len);
    int n = text ? expr_unquote(t->at, t->len, text) : 0;
    if (n < 0)
        expr_fail(&p->lex, t->at,
                  "text with an unknown escape; there are \\n \\r \\t \\0 \\\\ \\\" "
                  "\\xHH");
    k->str = text;
    k->len = n < 0 ? 0 : (uint32_t)n;
}

static void literal(struct expr_parser *p, struct expr_operand *o)
{
    const struct expr_token *t = &p->lex.tok;
    o->literal = true;
    if (t->kind == T_INT || t->kind == T_TIME) {
        o->type = t->kind == T_INT ? KT_EXPR_INT : KT_EXPR_TIME;
        expr_emit(p, OP_INT, 0, 0, 0, NULL, t->num);
    } else {
        struct expr_const *k = expr_alloc(p, sizeof *k);
        if (!k)
            return;
        o->type = t->kind == T_STR ? KT_EXPR_STR : KT_EXPR_ADDR;
        if (t->kind == T_STR)
            expr_string(p, k);
        else
            k->prefix = t->prefix;
        expr_emit(p, OP_CONST, 0, 0, 0, k, 0);
    }
    expr_next(&p->lex);
}

static void need_number(struct expr_parser *p, const struct expr_operand *o, const char *at)
{
    if (o->either)
        expr_fail(&p->lex, at, "'%s' stands for two fields and can only be compared",
                  o->either->name);
    else if (o->type != KT_EXPR_INT && o->type != KT_EXPR_TIME)
        expr_fail(&p->lex, at, "arithmetic with %s", expr_type_text(o->type));
}

static void primary(struct expr_parser *p, struct expr_operand *o)
{
    const struct expr_token *t = &p->lex.tok;
    char found[EXPR_FOUND];
    o->at = t->at;
    o->start = p->out->n;
    if (++p->nest > EXPR_NEST_MAX)
        expr_fail(&p->lex, t->at, "the expression is nested too deeply (%d levels at most)",
                  EXPR_NEST_MAX);
    if (p->lex.failed)
        return;
    if (expr_is(p, '(')) {
        const char *open = t->at;
        expr_next(&p->lex);
        disjunction(p, o);
        if (!expr_is(p, ')'))
            expr_fail(&p->lex, t->at, "found %s, expected ')' for the '(' at byte %u",
                      expr_found(t, found), (unsigned)(open - p->lex.text));
        o->at = open;
        expr_next(&p->lex);
    } else if (expr_is(p, '-')) {
        expr_next(&p->lex);
        primary(p, o);
        need_number(p, o, o->at);
        expr_emit(p, OP_NEG, 0, 0, 0, NULL, 0);
    } else if (t->kind == T_NAME && (expr_is_word(p, "and") || expr_is_word(p, "or") ||
                                     expr_is_word(p, "in") || expr_is_word(p, "not"))) {
        expr_fail(&p->lex, t->at, "found %s, expected a value", expr_found(t, found));
    } else if (t->kind == T_NAME) {
        expr_name(p, o);
    } else if (t->kind == T_END || t->kind == T_OP) {
        expr_fail(&p->lex, t->at,
                  "found %s, expected a value: a name, a number, \"text\", an "
                  "address or '('",
                  expr_found(t, found));
    } else {
        literal(p, o);
    }
    p->nest--;
    o->len = (uint32_t)(p->lex.tok.at - o->at);
    while (o->len && (o->at[o->len - 1] == ' ' || o->at[o->len - 1] == '\n'))
        o->len--;
}

static int arith_op(const struct expr_parser *p, int level)
{
    static const struct {
        unsigned op;
        int level, code;
    } ops[] = {{'|', 0, OP_OR},
               {'&', 1, OP_AND},
               {EXPR_OP('<', '<'), 2, OP_SHL},
               {EXPR_OP('>', '>'), 2, OP_SHR},
               {'+', 3, OP_ADD},
               {'-', 3, OP_SUB},
               {'*', 4, OP_MUL},
               {'/', 4, OP_DIV},
               {'%', 4, OP_MOD}};
    for (size_t i = 0; i < KT_ARRAY_LEN(ops); i++) {
        if (ops[i].level == level && expr_is(p, ops[i].op))
            return ops[i].code;
    }
    return -1;
}

/* A time plus or minus anything is a time; a time by a time is a number. */
static enum kt_expr_type arith_type(struct expr_parser *p, int op, const struct expr_operand *a,
                                    const struct expr_operand *b, const char *at)
{
    if (a->type == KT_EXPR_INT && b->type == KT_EXPR_INT)
        return KT_EXPR_INT;
    if (op == OP_AND || op == OP_OR || op == OP_SHL || op == OP_SHR)
        expr_fail(&p->lex, at, "bits of a time make no sense");
    return op == OP_DIV && a->type == b->type ? KT_EXPR_INT : KT_EXPR_TIME;
}

void expr_arith(struct expr_parser *p, struct expr_operand *o, int level)
{
    if (level == 5) {
        primary(p, o);
        return;
    }
    expr_arith(p, o, level + 1);
    int op;
    while ((op = arith_op(p, level)) >= 0) {
        struct expr_operand right = {0};
        const char *at = p->lex.tok.at;
        need_number(p, o, at);
        expr_next(&p->lex);
        expr_arith(p, &right, level + 1);
        if (p->lex.failed)
            return;
        need_number(p, &right, at);
        o->type = arith_type(p, op, o, &right, at);
        o->literal = o->literal && right.literal;
        o->len = (uint32_t)(right.at + right.len - o->at);
        expr_emit(p, (enum expr_op)op, 0, 0, 0, NULL, 0);
    }
}

static void need_condition(struct expr_parser *p, const struct expr_operand *o)
{
    int n = o->len > 40 ? 40 : (int)o->len;
    if (p->lex.failed || o->type == KT_EXPR_BOOL)
        return;
    expr_fail(&p->lex, o->at, "'%.*s' is %s, expected a condition, such as '%.*s %s'", n, o->at,
              expr_type_text(o->type), n, o->at,
              o->type == KT_EXPR_STR    ? "== \"…\""
              : o->type == KT_EXPR_ADDR ? "in 10.0.0.0/8"
                                        : "> 0");
}

static void negation(struct expr_parser *p, struct expr_operand *o)
{
    if (expr_is_word(p, "not")) {
        const char *at = p->lex.tok.at;
        if (++p->nest > EXPR_NEST_MAX)
            expr_fail(&p->lex, at, "the expression is nested too deeply (%d levels at most)",
                      EXPR_NEST_MAX);
        expr_next(&p->lex);
        if (p->lex.failed)
            return;
        negation(p, o);
        need_condition(p, o);
        expr_emit(p, OP_NOT, 0, 0, 0, NULL, 0);
        o->at = at;
        p->nest--;
        return;
    }
    expr_arith(p, o, 0);
    if (!p->lex.failed)
        expr_compare(p, o);
}

static void conjunction(struct expr_parser *p, struct expr_operand *o)
{
    negation(p, o);
    while (expr_is_word(p, "and")) {
        struct expr_operand right = {0};
        need_condition(p, o);
        uint32_t jump = expr_jump(p, OP_JFALSE);
        expr_next(&p->lex);
        negation(p, &right);
        need_condition(p, &right);
        expr_land(p, jump, OP_LAND);
    }
}

static void disjunction(struct expr_parser *p, struct expr_operand *o)
{
    conjunction(p, o);
    while (expr_is_word(p, "or")) {
        struct expr_operand right = {0};
        need_condition(p, o);
        uint32_t jump = expr_jump(p, OP_JTRUE);
        expr_next(&p->lex);
        conjunction(p, &right);
        need_condition(p, &right);
        expr_land(p, jump, OP_LOR);
    }
}

int kt_expr_compile(struct kt_expr **expr, const char *text, const struct kt_expr_env *env,
                    struct kt_error *err)
{
    struct expr_parser p = {.lex = {.text = text, .next = text, .env = env, .err = err}};
    struct expr_operand o = {0};
    char found[EXPR_FOUND];
    size_t len = strnlen(text, EXPR_TEXT_MAX + 1);
    *expr = NULL;
    if (len > EXPR_TEXT_MAX)
        return kt_fail(err, KT_EINVAL, 0, "the expression is too long (more than %d bytes)",
                       EXPR_TEXT_MAX);
    p.lex.end = text + len;
    p.out = calloc(1, sizeof *p.out);
    if (!p.out)
        return kt_fail(err, KT_ENOMEM, 0, "no memory for an expression");
    expr_next(&p.lex);
    disjunction(&p, &o);
    need_condition(&p, &o);
    if (!p.lex.failed && p.lex.tok.kind != T_END)
        expr_fail(&p.lex, p.lex.tok.at, "found %s, expected 'and', 'or' or the end",
                  expr_found(&p.lex.tok, found));
    if (p.lex.failed) {
        kt_expr_free(p.out);
        return p.lex.failed;
    }
    *expr = p.out;
    return KT_OK;
}

void kt_expr_free(struct kt_expr *expr)
{
    if (!expr)
        return;
    while (expr->memory) {
        struct expr_memory *next = expr->memory->next;
        free(expr->memory);
        expr->memory = next;
    }
    free(expr->code);
    free(expr);
}
