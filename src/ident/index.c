/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * The bits: for each of the first bytes of a direction and each value of it, which columns can still
 * hold; the same for lengths and ports. What an expression can do is asked of kt_expr_maybe() with
 * that one thing known, so any expression is indexed as well as it can be, and none wrongly.
 */
#include "ident/rules.h"
#include <stdlib.h>

/* What is known while a row is made. */
struct known {
    unsigned byte;        /* position, when mask is not 0 */
    uint8_t value, mask;
    int64_t len_lo, len_hi;
    int64_t port[2];      /* client, server; -1: any, -2: none that has a name */
    const uint64_t *named;
    uint8_t bytes[BYTES_INDEXED], masks[BYTES_INDEXED];
};

static void load(const void *object, unsigned field, struct kt_expr_part *v)
{
    const struct known *k = object;
    switch (field) {
    case FIELD_PAYLOAD:
        v->bytes = k->bytes;
        v->known = k->masks;
        v->span = BYTES_INDEXED;
        break;
    case FIELD_LEN:
        v->lo = k->len_lo;
        v->hi = k->len_hi;
        break;
    case FIELD_PEER_LEN:
    case FIELD_IP4:
    case FIELD_PEER_IP4:
        v->lo = 0;
        v->hi = UINT32_MAX;
        break;
    case FIELD_MIDWAY:
    case FIELD_PEER_MIDWAY:
        v->lo = 0;
        v->hi = 1;
        break;
    case FIELD_SERVER:
    case FIELD_CLIENT: {
        int64_t port = k->port[field == FIELD_SERVER];
        v->lo = port >= 0 ? port : 0;
        v->hi = port >= 0 ? port : 65535;
        v->never = port == -2 ? k->named : NULL;
        break;
    }
    }
}

static struct known nothing(void)
{
    return (struct known){.len_hi = UINT32_MAX, .port = {-1, -1}};
}

static void set(uint64_t *rows, unsigned words, unsigned value, unsigned bit)
{
    rows[(size_t)value * words + bit / 64] |= UINT64_C(1) << (bit % 64);
}

struct range {
    const struct kt_expr *e;
    uint64_t *rows;
    unsigned words, bit;
};

/* Sets the bit for all byte values that agree with `value` in its first `bits` bits. */
static void bytes(const struct range *r, unsigned pos, unsigned value, unsigned bits)
{
    struct known k = nothing();
    k.len_lo = 1;
    k.bytes[pos] = (uint8_t)value;
    k.masks[pos] = (uint8_t)(0xff00u >> bits);
    if (r->e && kt_expr_maybe(r->e, load, &k) == KT_EXPR_NO)
        return;
    if (bits == 8) {
        set(r->rows, r->words, value, r->bit);
    } else {
        bytes(r, pos, value, bits + 1);
        bytes(r, pos, value | 0x80u >> bits, bits + 1);
    }
}

/* The same for lengths in [lo, hi); the value LEN_EXACT stands for all from there on. */
static void lengths(const struct range *r, unsigned lo, unsigned hi)
{
    struct known k = nothing();
    k.len_lo = lo;
    k.len_hi = hi > LEN_EXACT ? UINT32_MAX : hi - 1;
    if (r->e && kt_expr_maybe(r->e, load, &k) == KT_EXPR_NO)
        return;
    if (hi - lo == 1) {
        set(r->rows, r->words, lo, r->bit);
    } else {
        lengths(r, lo, (lo + hi) / 2);
        lengths(r, (lo + hi) / 2, hi);
    }
}

static void all(uint64_t *rows, unsigned words, unsigned values, unsigned bit)
{
    for (unsigned v = 0; v < values; v++)
        set(rows, words, v, bit);
}

static int fill(struct row_set *s, unsigned values, unsigned words, uint64_t **rows)
{
    *s = (struct row_set){.values = values, .words = words};
    s->of = calloc(values, sizeof *s->of);
    *rows = calloc((size_t)values * words + 1, sizeof **rows);
    return s->of && *rows ? KT_OK : KT_ENOMEM;
}

/* Keeps each row once. Equal rows are found by hash. */
static int fold(struct row_set *s, uint64_t *rows)
{
    size_t size = s->words * sizeof *rows;
    unsigned slots = 1;
    while (slots < 2 * s->values)
        slots *= 2;
    uint32_t *slot = calloc(slots, sizeof *slot);
    if (!slot) {
        free(rows);
        return KT_ENOMEM;
    }
    for (unsigned v = 0; v < s->values; v++) {
        const uint64_t *row = rows + (size_t)v * s->words;
        unsigned at = (unsigned)kt_hash(row, size, 0) & (slots - 1);
        while (slot[at] && memcmp(rows + (size_t)(slot[at] - 1) * s->words, row, size))
            at = (at + 1) & (slots - 1);
        if (!slot[at]) {
            memmove(rows + (size_t)s->n * s->words, row, size);
            slot[at] = ++s->n;
        }
        s->of[v] = (uint16_t)(slot[at] - 1);
    }
    free(slot);
    s->rows = realloc(rows, s->n * size + 1);
    if (!s->rows)
        s->rows = rows;
    return KT_OK;
}

static int byte_rows(struct index *x, unsigned pos)
{
    uint64_t *rows;
    if (fill(&x->byte[pos], 256, 2 * x->words, &rows) < 0)
        return KT_ENOMEM;
    for (unsigned i = 0; i < 2 * x->n; i++) {
        unsigned side = i >= x->n, column = i - side * x->n;
        struct range r = {x->column[column].side[side], rows, 2 * x->words,
                          side * x->words * 64 + column};
        if (r.e && !(kt_expr_reads_bytes(r.e, FIELD_PAYLOAD) >> pos & 1))
            r.e = NULL;
        if (r.e)
            bytes(&r, pos, 0, 0);
        else
            all(rows, r.words, 256, r.bit);
    }
    return fold(&x->byte[pos], rows);
}

static int len_rows(struct index *x)
{
    uint64_t *rows;
    if (fill(&x->len, LEN_EXACT + 1, 2 * x->words, &rows) < 0)
        return KT_ENOMEM;
    for (unsigned i = 0; i < 2 * x->n; i++) {
        unsigned side = i >= x->n, column = i - side * x->n;
        struct range r = {x->column[column].side[side], rows, 2 * x->words,
                          side * x->words * 64 + column};
        if (r.e && kt_expr_reads(r.e, FIELD_LEN))
            lengths(&r, 0, LEN_EXACT + 1);
        else
            all(rows, r.words, LEN_EXACT + 1, r.bit);
    }
    return fold(&x->len, rows);
}

static bool reads_ports(const struct kt_expr *e)
{
    return e && (kt_expr_reads(e, FIELD_SERVER) || kt_expr_reads(e, FIELD_CLIENT));
}

static int port_rows(struct index *x, struct row_set *s, const uint16_t *value, unsigned n,
                     int server, int64_t other)
{
    uint64_t *rows;
    if (fill(s, n, x->words, &rows) < 0)
        return KT_ENOMEM;
    for (unsigned i = 0; i < x->n; i++) {
        const struct kt_expr *part[] = {x->column[i].when, x->column[i].side[0],
                                        x->column[i].side[1]};
        for (unsigned v = 0; v < n; v++) {
            struct known k = nothing();
            k.named = x->named;
            k.port[server] = v ? value[v] : -2; /* number 0: the ports without a name */
            k.port[!server] = other;
            bool no = false;
            for (int j = 0; j < 3 && !no; j++)
                no = reads_ports(part[j]) && kt_expr_maybe(part[j], load, &k) == KT_EXPR_NO;
            if (!no)
                set(rows, x->words, v, i);
        }
    }
    return fold(s, rows);
}

/* A port that no rule speaks of is like any other such port: they share number 0. */
static int ports(struct index *x)
{
    unsigned n = 1;
    uint16_t *value = calloc(65537, sizeof *value);
    x->port = calloc(65536, sizeof *x->port);
    if (!value || !x->port) {
        free(value);
        return KT_ENOMEM;
    }
    for (unsigned i = 0; i < x->n; i++) {
        const struct kt_expr *part[] = {x->column[i].when, x->column[i].side[0],
                                        x->column[i].side[1]};
        for (int j = 0; j < 3; j++) {
            if (reads_ports(part[j]))
                kt_expr_numbers(part[j], x->named);
        }
    }
    for (unsigned p = 0; p < 65536; p++) {
        if (x->named[p / 64] >> (p % 64) & 1) {
            x->port[p] = (uint16_t)n;
            value[n++] = (uint16_t)p;
        }
    }
    int rc = port_rows(x, &x->server, value, n, 1, -2);
    if (rc == KT_OK)
        rc = port_rows(x, &x->client, value, n, 0, -2);
    if (rc == KT_OK)
        rc = port_rows(x, &x->server_any, value, n, 1, -1);
    if (rc == KT_OK)
        rc = port_rows(x, &x->client_any, value, n, 0, -1);
    free(value);
    return rc;
}

/* How many bits of chance a side leaves out: the share of values that its rows let through. */
static double evidence(const struct index *x, unsigned column, unsigned side)
{
    const struct kt_expr *e = x->column[column].side[side];
    unsigned bit = side * x->words * 64 + column;
    double sum = 0;
    struct known some = nothing();
    if (!e || kt_expr_maybe(e, load, &some) == KT_EXPR_YES)
        return 0;
    for (unsigned i = 0; i <= BYTES_INDEXED; i++) {
        const struct row_set *s = i < BYTES_INDEXED ? &x->byte[i] : &x->len;
        unsigned open = 0;
        for (unsigned v = 0; v < s->values; v++)
            open += s->rows[(size_t)s->of[v] * s->words + bit / 64] >> (bit % 64) & 1;
        unsigned bits = 0; /* whole bits are enough */
        while (open << bits < s->values && bits < 8)
            bits++;
        sum += bits;
    }
    uint64_t beyond = kt_expr_reads_bytes(e, FIELD_PAYLOAD) >> BYTES_INDEXED;
    return sum + 4.0 * __builtin_popcountll(beyond);
}

/* Half of the doubt goes with every 8 bits; a condition on ports counts as 8. */
static void confidence(struct index *x)
{
    for (unsigned i = 0; i < x->n; i++) {
        struct column *c = &x->column[i];
        double doubt = 60, bits = evidence(x, i, 0) + evidence(x, i, 1);
        for (bits += reads_ports(c->when) ? 8 : 0; bits >= 8; bits -= 8)
            doubt /= 2;
        int sure = (int)(100 - doubt);
        c->confidence = (uint8_t)(c->rule->confidence ? c->rule->confidence : sure > 99 ? 99 : sure);
    }
}

static int by_priority(const void *a, const void *b)
{
    const struct column *x = a, *y = b;
    const struct rule *p = x->rule, *q = y->rule;
    if (p->priority != q->priority)
        return p->priority < q->priority ? -1 : 1;
    if (p->order != q->order)
        return p->order < q->order ? -1 : 1;
    return x->accept < y->accept ? -1 : x->accept > y->accept;
}

static int gather(const struct kt_rules *r, struct index *x, bool udp)
{
    unsigned n = 0;
    for (const struct rule *p = r->rules; p; p = p->next)
        n += !p->shared && p->enabled && (udp ? p->udp : p->tcp) ? p->accepts.n : 0;
    x->column = calloc(n + 1, sizeof *x->column);
    if (!x->column)
        return KT_ENOMEM;
    for (const struct rule *p = r->rules; p; p = p->next) {
        for (unsigned i = 0; i < p->accepts.n && !p->shared && p->enabled; i++) {
            if (udp ? p->udp : p->tcp)
                x->column[x->n++] = p->accepts.v[i];
        }
    }
    qsort(x->column, x->n, sizeof *x->column, by_priority);
    x->words = (x->n + 63) / 64;
    return KT_OK;
}

int rule_index(struct kt_rules *r, struct kt_error *err)
{
    for (int udp = 0; udp < 2; udp++) {
        struct index *x = &r->index[udp];
        int rc = gather(r, x, udp);
        for (unsigned i = 0; i < BYTES_INDEXED && rc == KT_OK; i++)
            rc = byte_rows(x, i);
        if (rc == KT_OK)
            rc = len_rows(x);
        if (rc == KT_OK)
            rc = ports(x);
        if (rc < 0)
            return kt_fail(err, rc, 0, "no memory for the index of the rules");
        confidence(x);
    }
    return KT_OK;
}

void rule_index_free(struct index *x)
{
    struct row_set *sets[] = {&x->len, &x->server, &x->client, &x->server_any, &x->client_any};
    for (size_t i = 0; i < KT_ARRAY_LEN(sets); i++) {
        free(sets[i]->of);
        free(sets[i]->rows);
    }
    for (unsigned i = 0; i < BYTES_INDEXED; i++) {
        free(x->byte[i].of);
        free(x->byte[i].rows);
    }
    free(x->port);
    free(x->column);
}
