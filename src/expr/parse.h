/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Inside of expr: what the grammar (parse.c), comparisons (compare.c) and code emission (code.c)
 * share while one expression is compiled.
 */
#ifndef KOTARE_EXPR_PARSE_H
#define KOTARE_EXPR_PARSE_H

#include "expr/expr.h"

struct expr_parser {
    struct expr_lexer lex;
    struct kt_expr *out;
    unsigned nest;
    unsigned depth; /* values on the stack at this place of the code */
};

/* A part of the expression whose code was just emitted. */
struct expr_operand {
    enum kt_expr_type type;
    bool literal;                       /* made of literals only */
    const struct kt_expr_field *either; /* no code yet: one of two fields */
    const char *at;                     /* where it begins and ends in the text */
    uint32_t len;
    uint32_t start; /* its first instruction */
};

/* code.c */
void expr_emit(struct expr_parser *p, enum expr_op op, unsigned a, unsigned b, uint32_t c,
               const struct expr_const *k, int64_t imm);
uint32_t expr_jump(struct expr_parser *p, enum expr_op op);
void expr_land(struct expr_parser *p, uint32_t jump, enum expr_op op);
void expr_inline(struct expr_parser *p, const struct kt_expr *e);
void *expr_alloc(struct expr_parser *p, size_t size);
/* name.c: a name becomes code. */
void expr_name(struct expr_parser *p, struct expr_operand *o);
int expr_field(const struct kt_expr_env *env, const char *name, size_t len);
/* compare.c */
void expr_compare(struct expr_parser *p, struct expr_operand *left);
/* parse.c */
void expr_arith(struct expr_parser *p, struct expr_operand *o, int level);
void expr_string(struct expr_parser *p, struct expr_const *k);
const char *expr_type_text(enum kt_expr_type type);
bool expr_is(const struct expr_parser *p, unsigned op);
bool expr_is_word(const struct expr_parser *p, const char *word);

#endif
