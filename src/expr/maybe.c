/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * The same code over what is only partly known: numbers are ranges with some bits known, conditions
 * are no, yes or maybe. Every step may answer "maybe" where it is not sure, never a wrong yes or
 * no.
 */
#include "expr/expr.h"

struct part {
    struct kt_expr_part v;
    enum kt_expr_answer answer; /* conditions */
    bool nothing;               /* may be without a value */
};

static const struct kt_expr_part anything = {.lo = INT64_MIN, .hi = INT64_MAX};

static struct kt_expr_part exactly(int64_t v)
{
    return (struct kt_expr_part){.lo = v, .hi = v, .mask = ~UINT64_C(0), .bits = (uint64_t)v};
}

static bool exact(const struct kt_expr_part *v)
{
    return v->lo == v->hi;
}

/* For values known not to be negative: the range that the known bits allow. */
static void narrow(struct kt_expr_part *v)
{
    if (exact(v)) {
        *v = exactly(v->lo);
    } else if (v->lo >= 0) {
        int64_t least = (int64_t)(v->bits & v->mask & INT64_MAX);
        int64_t most = (int64_t)((v->bits | ~v->mask) & INT64_MAX);
        v->lo = least > v->lo ? least : v->lo;
        v->hi = most < v->hi ? most : v->hi;
    }
}

/* `width` bytes of partly known text as a number. */
static struct kt_expr_part read_part(const struct kt_expr_part *text, unsigned offset,
                                     unsigned width)
{
    bool little = width & 0x80;
    width &= 0x7f;
    struct kt_expr_part v = {.lo = 0,
                             .hi = (INT64_C(1) << (8 * width)) - 1,
                             .mask = ~((UINT64_C(1) << (8 * width)) - 1)};
    for (unsigned i = 0; i < width; i++) {
        unsigned at = offset + (little ? width - 1 - i : i), shift = 8 * (width - 1 - i);
        if (at < text->span) {
            v.mask |= (uint64_t)text->known[at] << shift;
            v.bits |= (uint64_t)(text->bytes[at] & text->known[at]) << shift;
        }
    }
    if (v.mask == ~UINT64_C(0))
        v = exactly((int64_t)v.bits);
    narrow(&v);
    return v;
}

static enum kt_expr_answer bytes(const struct kt_expr_part *text, const struct expr_const *k)
{
    bool all = text->min >= k->offset + k->len;
    for (uint32_t i = 0; i < k->len; i++) {
        uint32_t at = k->offset + i;
        uint8_t known = at < text->span ? text->known[at] : 0;
        if (known && ((text->bytes[at] ^ (uint8_t)k->str[i]) & k->mask[i] & known))
            return KT_EXPR_NO;
        if (k->mask[i] & ~known)
            all = false;
    }
    return all ? KT_EXPR_YES : KT_EXPR_MAYBE;
}

/* True when a value of `a` can not be c. */
static bool never(const struct kt_expr_part *a, int64_t c)
{
    return c < a->lo || c > a->hi || ((a->bits ^ (uint64_t)c) & a->mask) ||
           (a->never && c >= 0 && c < 65536 && (a->never[c / 64] >> (c % 64) & 1));
}

static enum kt_expr_answer equal(const struct kt_expr_part *a, const struct kt_expr_part *b)
{
    if (exact(a) && exact(b))
        return a->lo == b->lo ? KT_EXPR_YES : KT_EXPR_NO;
    if (a->hi < b->lo || b->hi < a->lo || ((a->bits ^ b->bits) & a->mask & b->mask) ||
        (exact(b) && never(a, b->lo)) || (exact(a) && never(b, a->lo)))
        return KT_EXPR_NO;
    return KT_EXPR_MAYBE;
}

static enum kt_expr_answer negate(enum kt_expr_answer a)
{
    return a == KT_EXPR_MAYBE ? a : a == KT_EXPR_YES ? KT_EXPR_NO : KT_EXPR_YES;
}

static enum kt_expr_answer less(const struct kt_expr_part *a, const struct kt_expr_part *b,
                                bool or_equal)
{
    if (or_equal ? a->hi <= b->lo : a->hi < b->lo)
        return KT_EXPR_YES;
    if (or_equal ? a->lo > b->hi : a->lo >= b->hi)
        return KT_EXPR_NO;
    return KT_EXPR_MAYBE;
}

static enum kt_expr_answer compare(enum expr_op op, const struct part *a, const struct part *b)
{
    enum kt_expr_answer r;
    switch (op) {
    case OP_EQ:
        r = equal(&a->v, &b->v);
        break;
    case OP_NE:
        r = negate(equal(&a->v, &b->v));
        break;
    case OP_LT:
        r = less(&a->v, &b->v, false);
        break;
    case OP_LE:
        r = less(&a->v, &b->v, true);
        break;
    case OP_GT:
        r = negate(less(&a->v, &b->v, true));
        break;
    default:
        r = negate(less(&a->v, &b->v, false));
    }
    return a->nothing || b->nothing ? KT_EXPR_MAYBE : r;
}

/* With two exact operands the answer is exact; otherwise a range where that is easy. */
static void arith(enum expr_op op, struct part *x, const struct part *y)
{
    struct kt_expr_part a = x->v, b = y->v, r = anything;
    bool over = false, sure = exact(&b) && b.lo >= 0;
    x->nothing |= y->nothing;
    switch (op) {
    case OP_ADD:
        over =
            __builtin_add_overflow(a.lo, b.lo, &r.lo) || __builtin_add_overflow(a.hi, b.hi, &r.hi);
        break;
    case OP_SUB:
        over =
            __builtin_sub_overflow(a.lo, b.hi, &r.lo) || __builtin_sub_overflow(a.hi, b.lo, &r.hi);
        break;
    case OP_MUL:
        over = a.lo < 0 || !sure || __builtin_mul_overflow(a.lo, b.lo, &r.lo) ||
               __builtin_mul_overflow(a.hi, b.lo, &r.hi);
        break;
    case OP_DIV:
    case OP_MOD:
        over = a.lo < 0 || !sure || b.lo == 0;
        if (!over && op == OP_DIV) {
            r.lo = a.lo / b.lo;
            r.hi = a.hi / b.lo;
        } else if (!over) {
            r.lo = exact(&a) ? a.lo % b.lo : 0;
            r.hi = exact(&a) ? r.lo : b.lo - 1;
        }
        break;
    case OP_AND:
        over = a.lo < 0 || b.lo < 0;
        r.mask = (a.mask & b.mask) | (a.mask & ~a.bits) | (b.mask & ~b.bits);
        r.bits = a.bits & b.bits & r.mask;
        r.lo = 0;
        r.hi = a.hi < b.hi ? a.hi : b.hi;
        break;
    case OP_OR:
        over = a.lo < 0 || b.lo < 0;
        r.mask = (a.mask & b.mask) | (a.mask & a.bits) | (b.mask & b.bits);
        r.bits = (a.bits | b.bits) & r.mask;
        r.lo = a.lo > b.lo ? a.lo : b.lo;
        break;
    case OP_SHL:
        over = a.lo < 0 || !sure || b.lo > 62 || a.hi > INT64_MAX >> b.lo;
        if (!over) {
            r.lo = a.lo << b.lo;
            r.hi = a.hi << b.lo;
            r.mask = a.mask << b.lo | ((UINT64_C(1) << b.lo) - 1);
            r.bits = a.bits << b.lo;
        }
        break;
    default: /* OP_SHR */
        over = a.lo < 0 || !sure || b.lo > 63;
        if (!over) {
            r.lo = a.lo >> b.lo;
            r.hi = a.hi >> b.lo;
            r.mask = a.mask >> b.lo | ~(~UINT64_C(0) >> b.lo);
            r.bits = a.bits >> b.lo;
        }
    }
    if (over) {
        r = anything;
        x->nothing = true;
    }
    narrow(&r);
    x->v = r;
}

static enum kt_expr_answer in_set(const struct part *x, const struct expr_const *k)
{
    bool possible = false;
    for (uint32_t i = 0; i < k->n; i++) {
        const struct expr_range *r = &k->range[i];
        if (x->v.hi < r->lo || x->v.lo > r->hi)
            continue;
        if (x->v.lo >= r->lo && x->v.hi <= r->hi && !x->v.never && !x->nothing)
            return KT_EXPR_YES;
        for (int64_t c = r->lo; !possible; c++) {
            possible = r->hi - r->lo > 4096 || !never(&x->v, c);
            if (c == r->hi)
                break;
        }
    }
    return possible ? KT_EXPR_MAYBE : KT_EXPR_NO;
}

static void field(struct part *x, kt_expr_load_part *load, const void *object, unsigned f)
{
    *x = (struct part){.v = anything, .answer = KT_EXPR_MAYBE};
    load(object, f, &x->v);
    if (exact(&x->v)) {
        x->v = exactly(x->v.lo);
        x->answer = x->v.lo ? KT_EXPR_YES : KT_EXPR_NO;
    }
}

enum kt_expr_answer kt_expr_maybe(const struct kt_expr *expr, kt_expr_load_part *load,
                                  const void *object)
{
    struct part stack[EXPR_STACK + 1], *top = stack;
    for (const struct expr_ins *i = expr->code, *end = i + expr->n; i < end; i++) {
        switch ((enum expr_op)i->op) {
        case OP_INT:
            *++top =
                (struct part){.v = exactly(i->imm), .answer = i->imm ? KT_EXPR_YES : KT_EXPR_NO};
            break;
        case OP_CONST:
            *++top = (struct part){.v = anything, .answer = KT_EXPR_MAYBE};
            break;
        case OP_FIELD:
            field(++top, load, object, i->a);
            break;
        case OP_READ:
            field(++top, load, object, i->a);
            top->v = read_part(&top->v, i->c, i->b);
            break;
        case OP_BYTES:
            field(++top, load, object, i->a);
            top->answer = bytes(&top->v, i->k);
            break;
        case OP_NEG:
            top->v = exact(&top->v) && top->v.lo > INT64_MIN ? exactly(-top->v.lo) : anything;
            top->nothing |= !exact(&top->v);
            break;
        case OP_EQ:
        case OP_NE:
        case OP_LT:
        case OP_LE:
        case OP_GT:
        case OP_GE:
            top--;
            top->answer = compare((enum expr_op)i->op, top, top + 1);
            top->v = anything;
            break;
        case OP_CMP:
            top->answer = compare((enum expr_op)i->b, top, &(struct part){.v = exactly(i->imm)});
            top->v = anything;
            break;
        case OP_IN_INT:
            top->answer = in_set(top, i->k);
            top->v = anything;
            break;
        case OP_SEQ:
        case OP_SNE:
        case OP_CONTAINS:
        case OP_STARTS:
        case OP_ENDS:
        case OP_AEQ:
        case OP_ANE:
            top--;
            top->answer = KT_EXPR_MAYBE;
            break;
        case OP_IN_STR:
        case OP_IN_ADDR:
            top->answer = KT_EXPR_MAYBE;
            break;
        case OP_NOT:
            top->answer = negate(top->answer);
            top->v = anything;
            break;
        case OP_JTRUE:
            i += top->answer == KT_EXPR_YES ? i->c : 0;
            break;
        case OP_JFALSE:
            i += top->answer == KT_EXPR_NO ? i->c : 0;
            break;
        case OP_LAND:
            top--;
            if (top[1].answer == KT_EXPR_NO || top->answer == KT_EXPR_YES)
                top->answer = top[1].answer;
            top->v = anything;
            break;
        case OP_LOR:
            top--;
            if (top[1].answer == KT_EXPR_YES || top->answer == KT_EXPR_NO)
                top->answer = top[1].answer;
            top->v = anything;
            break;
        default:
            top--;
            arith((enum expr_op)i->op, top, top + 1);
        }
    }
    return top->answer;
}

bool kt_expr_reads(const struct kt_expr *expr, unsigned f)
{
    for (uint32_t i = 0; i < expr->n; i++) {
        uint8_t op = expr->code[i].op;
        if ((op == OP_FIELD || op == OP_READ || op == OP_BYTES) && expr->code[i].a == f)
            return true;
    }
    return false;
}

uint64_t kt_expr_reads_bytes(const struct kt_expr *expr, unsigned f)
{
    uint64_t map = 0;
    for (uint32_t i = 0; i < expr->n; i++) {
        const struct expr_ins *n = &expr->code[i];
        if (n->a != f)
            continue;
        if (n->op == OP_FIELD)
            map = ~UINT64_C(0);
        for (unsigned j = 0; n->op == OP_READ && j < (n->b & 0x7fu); j++)
            map |= UINT64_C(1) << ((n->c + j) & 63);
        for (unsigned j = 0; n->op == OP_BYTES && j < n->k->len; j++)
            map |= n->k->mask[j] ? UINT64_C(1) << ((n->k->offset + j) & 63) : 0;
    }
    return map;
}

static void mark(uint64_t map[1024], int64_t lo, int64_t hi)
{
    for (int64_t v = lo < 0 ? 0 : lo; v <= hi && v < 65536 && v - lo <= 4096; v++)
        map[v / 64] |= UINT64_C(1) << (v % 64);
}

void kt_expr_edges(const struct kt_expr *expr, uint64_t map[1024])
{
    for (uint32_t i = 0; i < expr->n; i++) {
        const struct expr_ins *n = &expr->code[i];
        if ((n->op == OP_INT || n->op == OP_CMP) && n->imm < 65536)
            mark(map, n->imm, n->imm + 1);
        for (uint32_t j = 0; n->op == OP_IN_INT && j < n->k->n; j++) {
            const struct expr_range *r = &n->k->range[j];
            mark(map, r->lo, r->lo);
            if (r->hi < 65536)
                mark(map, r->hi + 1, r->hi + 1);
        }
    }
}

void kt_expr_numbers(const struct kt_expr *expr, uint64_t map[1024])
{
    for (uint32_t i = 0; i < expr->n; i++) {
        const struct expr_ins *n = &expr->code[i];
        if (n->op == OP_INT || n->op == OP_CMP)
            mark(map, n->imm, n->imm);
        for (uint32_t j = 0; n->op == OP_IN_INT && j < n->k->n; j++) {
            if (n->k->range[j].hi - n->k->range[j].lo <= 4096)
                mark(map, n->k->range[j].lo, n->k->range[j].hi);
        }
    }
}
