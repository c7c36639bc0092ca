/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Emission of bytecode, with the limits that make evaluation safe.
 */
#include "expr/parse.h"
#include <stdlib.h>

static int effect(enum expr_op op)
{
    switch (op) {
    case OP_INT:
    case OP_CONST:
    case OP_FIELD:
    case OP_READ:
    case OP_BYTES:
        return 1;
    case OP_NEG:
    case OP_NOT:
    case OP_IN_INT:
    case OP_IN_STR:
    case OP_IN_ADDR:
    case OP_JTRUE:
    case OP_JFALSE:
        return 0;
    default:
        return -1;
    }
}

static bool room(struct expr_parser *p, uint32_t n)
{
    struct kt_expr *e = p->out;
    if (p->lex.failed)
        return false;
    if (e->n + n > EXPR_CODE_MAX) {
        expr_fail(&p->lex, p->lex.tok.at, "the expression is too large (more than %d steps)",
                  EXPR_CODE_MAX);
        return false;
    }
    if (e->n + n > e->cap) {
        uint32_t cap = e->n + n + e->cap + 16;
        struct expr_ins *code = realloc(e->code, cap * sizeof *code);
        if (!code) {
            p->lex.failed = kt_fail(p->lex.err, KT_ENOMEM, 0, "no memory for an expression");
            return false;
        }
        e->code = code;
        e->cap = cap;
    }
    return true;
}

static bool deeper(struct expr_parser *p, uint32_t depth)
{
    if (depth > EXPR_STACK) {
        expr_fail(&p->lex, p->lex.tok.at, "the expression is nested too deeply");
        return false;
    }
    if (depth > p->out->depth)
        p->out->depth = depth;
    return true;
}

void expr_emit(struct expr_parser *p, enum expr_op op, unsigned a, unsigned b, uint32_t c,
               const struct expr_const *k, int64_t imm)
{
    if (!room(p, 1))
        return;
    p->depth += (unsigned)effect(op);
    if (!deeper(p, p->depth))
        return;
    /* A comparison with a number is one step. */
    struct expr_ins *last = p->out->n ? &p->out->code[p->out->n - 1] : NULL;
    if (op >= OP_EQ && op <= OP_GE && last && last->op == OP_INT) {
        last->op = OP_CMP;
        last->b = (uint8_t)op;
        return;
    }
    struct expr_ins *i = &p->out->code[p->out->n++];
    *i = (struct expr_ins){.op = (uint8_t)op, .b = (uint8_t)b, .a = (uint16_t)a, .c = c};
    if (k)
        i->k = k;
    else
        i->imm = imm;
}

uint32_t expr_jump(struct expr_parser *p, enum expr_op op)
{
    expr_emit(p, op, 0, 0, 0, NULL, 0);
    return p->out->n;
}

/* The two conditions before and after `jump` become one; the jump lands behind that. */
void expr_land(struct expr_parser *p, uint32_t jump, enum expr_op op)
{
    expr_emit(p, op, 0, 0, 0, NULL, 0);
    if (!p->lex.failed)
        p->out->code[jump - 1].c = p->out->n - jump;
}

/* Constants of an inlined expression stay where they are: it outlives us. */
void expr_inline(struct expr_parser *p, const struct kt_expr *e)
{
    if (!room(p, e->n) || !deeper(p, p->depth + e->depth))
        return;
    memcpy(p->out->code + p->out->n, e->code, e->n * sizeof *e->code);
    p->out->n += e->n;
    p->depth++;
}

void *expr_alloc(struct expr_parser *p, size_t size)
{
    if (p->lex.failed)
        return NULL;
    struct expr_memory *m = calloc(1, sizeof *m + size);
    if (!m) {
        p->lex.failed = kt_fail(p->lex.err, KT_ENOMEM, 0, "no memory for an expression");
        return NULL;
    }
    m->next = p->out->memory;
    p->out->memory = m;
    return m->data;
}
