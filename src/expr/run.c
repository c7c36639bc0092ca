/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * The machine: a stack of values and one pass over the code. What has no value (overflow, division
 * by zero, an absent address) equals nothing: comparisons with it are false, and != is true.
 */
#include "expr/expr.h"

#define NOTHING 255 /* in .ip of a number */

/* Reading past the end of what is known gives zeros. */
int64_t expr_read(const uint8_t *data, uint32_t len, unsigned offset, unsigned width)
{
    bool little = width & 0x80;
    uint64_t v = 0;
    width &= 0x7f;
    for (unsigned i = 0; i < width; i++) {
        unsigned at = offset + (little ? width - 1 - i : i);
        v = v << 8 | (at < len ? data[at] : 0);
    }
    return (int64_t)v;
}

static bool bytes(const struct kt_expr_value *v, const struct expr_const *k)
{
    if (v->len < k->offset + k->len)
        return false;
    const uint8_t *at = (const uint8_t *)v->str + k->offset, *want = (const uint8_t *)k->str;
    unsigned differ = 0;
    for (uint32_t i = 0; i < k->len; i++)
        differ |= (at[i] ^ want[i]) & k->mask[i];
    return !differ;
}

static void arith(enum expr_op op, struct kt_expr_value *a, const struct kt_expr_value *b)
{
    int64_t x = a->num, y = b->num;
    bool bad = a->ip == NOTHING || b->ip == NOTHING;
    switch (op) {
    case OP_ADD:
        bad |= __builtin_add_overflow(x, y, &a->num);
        break;
    case OP_SUB:
        bad |= __builtin_sub_overflow(x, y, &a->num);
        break;
    case OP_MUL:
        bad |= __builtin_mul_overflow(x, y, &a->num);
        break;
    case OP_AND:
        a->num = x & y;
        break;
    case OP_OR:
        a->num = x | y;
        break;
    case OP_SHL:
        if (y < 0 || y > 62 || x < 0 || x > INT64_MAX >> y)
            bad = true;
        else
            a->num = x << y;
        break;
    case OP_SHR:
        if (y < 0 || y > 63)
            bad = true;
        else
            a->num = x >> y;
        break;
    default: /* division and remainder */
        if (y == 0 || (y == -1 && x == INT64_MIN))
            bad = true;
        else
            a->num = op == OP_DIV ? x / y : x % y;
    }
    a->ip = bad ? NOTHING : 0;
}

static bool compare(enum expr_op op, int64_t a, int64_t b, bool nothing)
{
    if (nothing)
        return op == OP_NE;
    switch (op) {
    case OP_EQ:
        return a == b;
    case OP_NE:
        return a != b;
    case OP_LT:
        return a < b;
    case OP_LE:
        return a <= b;
    case OP_GT:
        return a > b;
    default:
        return a >= b;
    }
}

static int lower(char c)
{
    return c >= 'A' && c <= 'Z' ? c + 32 : c;
}

static bool same_text(const char *a, const char *b, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (lower(a[i]) != lower(b[i]))
            return false;
    }
    return true;
}

static bool text(enum expr_op op, const struct kt_expr_value *a, const char *b, uint32_t n)
{
    switch (op) {
    case OP_SEQ:
        return a->len == n && same_text(a->str, b, n);
    case OP_SNE:
        return a->len != n || !same_text(a->str, b, n);
    case OP_STARTS:
        return a->len >= n && same_text(a->str, b, n);
    case OP_ENDS:
        return a->len >= n && same_text(a->str + (a->len - n), b, n);
    default:
        for (uint32_t i = 0; i + n <= a->len; i++) {
            if (same_text(a->str + i, b, n))
                return true;
        }
        return false;
    }
}

/* Addresses are equal up to the shorter of their prefixes (kept in len). */
static bool same_addr(const struct kt_expr_value *a, const uint8_t *addr, uint8_t ip, uint32_t bits)
{
    if (!a->ip || a->ip != ip)
        return false;
    if (a->len < bits)
        bits = a->len;
    if (memcmp(a->addr, addr, bits / 8))
        return false;
    return bits % 8 == 0 || ((a->addr[bits / 8] ^ addr[bits / 8]) >> (8 - bits % 8)) == 0;
}

static bool in_set(enum expr_op op, const struct kt_expr_value *v, const struct expr_const *k)
{
    if (op == OP_IN_INT) {
        if (v->ip == NOTHING)
            return false;
        uint32_t lo = 0, hi = k->n;
        while (lo < hi) {
            uint32_t mid = (lo + hi) / 2;
            if (k->range[mid].hi < v->num)
                lo = mid + 1;
            else
                hi = mid;
        }
        return lo < k->n && k->range[lo].lo <= v->num;
    }
    for (uint32_t i = 0; i < k->n; i++) {
        const struct expr_const *m = &k->member[i];
        if (op == OP_IN_STR ? text(OP_SEQ, v, m->str, m->len)
                            : same_addr(v, m->prefix.addr, m->prefix.ip, m->prefix.bits))
            return true;
    }
    return false;
}

static void constant(struct kt_expr_value *v, const struct expr_const *k)
{
    v->str = k->str;
    v->len = k->str ? k->len : k->prefix.bits;
    v->ip = k->prefix.ip;
    memcpy(v->addr, k->prefix.addr, 16);
}

static void field(struct kt_expr_value *v, kt_expr_load *load, const void *object, unsigned f)
{
    v->ip = 0;
    v->len = 0;
    v->str = NULL;
    load(object, f, v);
    if (v->ip == 4 || v->ip == 6)
        v->len = v->ip == 4 ? 32 : 128;
}

bool kt_expr_true(const struct kt_expr *expr, kt_expr_load *load, const void *object)
{
    struct kt_expr_value stack[EXPR_STACK + 1], *top = stack; /* *top is the newest value */
    for (const struct expr_ins *i = expr->code, *end = i + expr->n; i < end; i++) {
        switch ((enum expr_op)i->op) {
        case OP_INT:
            top++;
            top->num = i->imm;
            top->ip = 0;
            break;
        case OP_CONST:
            constant(++top, i->k);
            break;
        case OP_FIELD:
            field(++top, load, object, i->a);
            break;
        case OP_READ:
            field(++top, load, object, i->a);
            top->num = expr_read((const uint8_t *)top->str, top->len, i->c, i->b);
            break;
        case OP_BYTES:
            field(++top, load, object, i->a);
            top->num = bytes(top, i->k);
            break;
        case OP_NEG:
            top->ip = top->num == INT64_MIN ? NOTHING : top->ip;
            top->num = top->ip ? 0 : -top->num;
            break;
        case OP_EQ:
        case OP_NE:
        case OP_LT:
        case OP_LE:
        case OP_GT:
        case OP_GE:
            top--;
            top->num = compare((enum expr_op)i->op, top->num, top[1].num,
                               top->ip == NOTHING || top[1].ip == NOTHING);
            top->ip = 0;
            break;
        case OP_CMP:
            top->num = compare((enum expr_op)i->b, top->num, i->imm, top->ip == NOTHING);
            top->ip = 0;
            break;
        case OP_SEQ:
        case OP_SNE:
        case OP_CONTAINS:
        case OP_STARTS:
        case OP_ENDS:
            top--;
            top->num = text((enum expr_op)i->op, top, top[1].str, top[1].len);
            top->ip = 0;
            break;
        case OP_AEQ:
        case OP_ANE:
            top--;
            top->num = same_addr(top, top[1].addr, top[1].ip, top[1].len) == (i->op == OP_AEQ);
            top->ip = 0;
            break;
        case OP_IN_INT:
        case OP_IN_STR:
        case OP_IN_ADDR:
            top->num = in_set((enum expr_op)i->op, top, i->k);
            top->ip = 0;
            break;
        case OP_NOT:
            top->num = !top->num;
            break;
        case OP_JTRUE:
            i += top->num ? i->c : 0;
            break;
        case OP_JFALSE:
            i += top->num ? 0 : i->c;
            break;
        case OP_LAND:
            top--;
            top->num = top->num && top[1].num;
            break;
        case OP_LOR:
            top--;
            top->num = top->num || top[1].num;
            break;
        default:
            top--;
            arith((enum expr_op)i->op, top, top + 1);
        }
    }
    return top->num != 0;
}
