/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * The bits: for each of the first bytes of a direction and each value of it, which columns can
 * still hold; the same for lengths and ports. What an expression can do is asked of kt_expr_maybe()
 * with that one thing known, so any expression is indexed as well as it can be, and none wrongly.
 */
#include "ident/rules.h"
#include <stdlib.h>

/* What is known while a row is made. */
struct known {
    int64_t len_lo, len_hi;
    int64_t port[2]; /* client, server; -1: any, -2: none that is named */
    const uint64_t *named;
    uint8_t bytes[KT_IDENT_HEAD], masks[KT_IDENT_HEAD];
};

static void load(const void *object, unsigned field, struct kt_expr_part *v)
{
    const struct known *k = object;
    switch (field) {
    case FIELD_PAYLOAD:
        v->bytes = k->bytes;
        v->known = k->masks;
        v->span = KT_IDENT_HEAD;
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
    const uint64_t *edges; /* for lengths */
};

static void all(const struct range *r, unsigned from, unsigned to)
{
    for (unsigned v = from; v < to; v++)
        set(r->rows, r->words, v, r->bit);
}

static enum kt_expr_answer ask_byte(const struct range *r, unsigned pos, unsigned value,
                                    unsigned mask)
{
    struct known k = nothing();
    k.len_lo = 1;
    k.bytes[pos] = (uint8_t)value;
    k.masks[pos] = (uint8_t)mask;
    return kt_expr_maybe(r->e, load, &k);
}

/* A byte that is only compared with other things: no value of it is ever refused. To set a bit too
 * many is never wrong, so a sample will do. */
static bool unbound(const struct range *r, unsigned pos)
{
    for (unsigned v = 7; v < 256; v += 23) {
        if (ask_byte(r, pos, v, 0xff) == KT_EXPR_NO)
            return false;
    }
    return true;
}

/* Sets the bit for all byte values that agree with `value` in its first `bits` bits. */
static void bytes(const struct range *r, unsigned pos, unsigned value, unsigned bits)
{
    enum kt_expr_answer a = ask_byte(r, pos, value, 0xff00u >> bits);
    if (a == KT_EXPR_NO)
        return;
    if (bits == 8 || a == KT_EXPR_YES) {
        all(r, value, value + (1u << (8 - bits)));
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
    enum kt_expr_answer a = kt_expr_maybe(r->e, load, &k);
    if (a == KT_EXPR_NO)
        return;
    bool same = true;
    for (unsigned v = lo + 1; v < hi && same; v++)
        same = !(r->edges[v / 64] >> (v % 64) & 1);
    if (same || a == KT_EXPR_YES) {
        all(r, lo, hi);
    } else {
        lengths(r, lo, (lo + hi) / 2);
        lengths(r, (lo + hi) / 2, hi);
    }
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
        s->of[v] = (slot[at] - 1) * s->words;
    }
    free(slot);
    s->rows = realloc(rows, s->n * size + 1);
    if (!s->rows)
        s->rows = rows;
    return KT_OK;
}

/* The same expression may stand in many columns: what was found for one is copied. */
static bool copied(const struct index *x, struct range *r, unsigned i, unsigned values)
{
    for (unsigned j = 0; j < i; j++) {
        unsigned side = j >= x->n, column = j - side * x->n;
        if (x->column[column].side[side] != r->e)
            continue;
        unsigned bit = side * x->words * 64 + column;
        for (unsigned v = 0; v < values; v++) {
            if (r->rows[(size_t)v * r->words + bit / 64] >> (bit % 64) & 1)
                set(r->rows, r->words, v, r->bit);
        }
        return true;
    }
    return false;
}

/* Chooses the bytes beyond the first: again and again that which is bound in most of the sides that
 * have none bound among the chosen ones. */
static void choose(struct index *x, uint32_t *bound)
{
    for (unsigned i = 0; i < 2 * x->n; i++) {
        struct range r = {.e = x->column[i % x->n].side[i >= x->n]};
        uint32_t reads = r.e ? (uint32_t)kt_expr_reads_bytes(r.e, FIELD_PAYLOAD) : 0;
        for (unsigned p = 0; p < KT_IDENT_HEAD; p++) {
            if (reads >> p & 1 && !unbound(&r, p))
                bound[i] |= UINT32_C(1) << p;
        }
    }
    uint32_t chosen = 0x3; /* one of the first two bytes tells enough for a start */
    for (unsigned n = 0; n < BYTES_INDEXED; n++) {
        unsigned best = n, count = 0;
        for (unsigned p = BYTES_FIRST; p < KT_IDENT_HEAD && n >= BYTES_FIRST; p++) {
            unsigned hits = 0;
            for (unsigned i = 0; i < 2 * x->n; i++)
                hits += bound[i] >> p & 1 && !(bound[i] & chosen);
            if (hits > count) {
                best = p;
                count = hits;
            }
        }
        x->at[n] = (uint8_t)best;
        chosen |= n < BYTES_FIRST ? 0 : UINT32_C(1) << best;
    }
}

static int byte_rows(struct index *x, unsigned number)
{
    uint64_t *rows;
    unsigned pos = x->at[number];
    if (fill(&x->byte[number], 256, 2 * x->words, &rows) < 0)
        return KT_ENOMEM;
    for (unsigned i = 0; i < 2 * x->n; i++) {
        unsigned side = i >= x->n, column = i - side * x->n;
        struct range r = {.e = x->column[column].side[side],
                          .rows = rows,
                          .words = 2 * x->words,
                          .bit = side * x->words * 64 + column};
        if (!r.e || !(kt_expr_reads_bytes(r.e, FIELD_PAYLOAD) >> pos & 1))
            all(&r, 0, 256);
        else if (copied(x, &r, i, 256))
            continue;
        else if (unbound(&r, pos))
            all(&r, 0, 256);
        else
            bytes(&r, pos, 0, 0);
    }
    return fold(&x->byte[number], rows);
}

static int byte_rows_all(struct index *x)
{
    uint32_t *bound = calloc(2 * x->n + 1, sizeof *bound);
    int rc = bound ? KT_OK : KT_ENOMEM;
    if (bound)
        choose(x, bound);
    free(bound);
    for (unsigned i = 0; i < BYTES_INDEXED && rc == KT_OK; i++)
        rc = byte_rows(x, i);
    return rc;
}

static int len_rows(struct index *x)
{
    uint64_t *rows;
    if (fill(&x->len, LEN_EXACT + 1, 2 * x->words, &rows) < 0)
        return KT_ENOMEM;
    for (unsigned i = 0; i < 2 * x->n; i++) {
        unsigned side = i >= x->n, column = i - side * x->n;
        struct range r = {.e = x->column[column].side[side],
                          .rows = rows,
                          .words = 2 * x->words,
                          .bit = side * x->words * 64 + column};
        if (!r.e || !kt_expr_reads(r.e, FIELD_LEN)) {
            all(&r, 0, LEN_EXACT + 1);
        } else if (!copied(x, &r, i, LEN_EXACT + 1)) {
            uint64_t edges[1024] = {0};
            kt_expr_edges(r.e, edges);
            r.edges = edges;
            lengths(&r, 0, LEN_EXACT + 1);
        }
    }
    return fold(&x->len, rows);
}

static bool reads_ports(const struct kt_expr *e)
{
    return e && (kt_expr_reads(e, FIELD_SERVER) || kt_expr_reads(e, FIELD_CLIENT));
}

/* Can the column hold when all that is known is `k`? */
static bool possible(const struct column *c, const struct known *k)
{
    const struct kt_expr *part[] = {c->when, c->side[0], c->side[1]};
    for (int j = 0; j < 3; j++) {
        if (reads_ports(part[j]) && kt_expr_maybe(part[j], load, k) == KT_EXPR_NO)
            return false;
    }
    return true;
}

/* The ports that a column speaks of. False: of none. */
static bool names(const struct column *c, uint64_t map[1024])
{
    const struct kt_expr *part[] = {c->when, c->side[0], c->side[1]};
    bool any = false;
    for (int j = 0; j < 3; j++) {
        if (reads_ports(part[j])) {
            kt_expr_numbers(part[j], map);
            any = true;
        }
    }
    return any;
}

/* A row for each of the ports `value[1…]` of one end, and row 0 for all others. A port is asked for
 * by itself only in columns that speak of it. */
static int port_rows(struct index *x, struct row_set *s, const uint16_t *value, unsigned n, int end,
                     int64_t other)
{
    struct range r = {.words = x->words};
    if (fill(s, n, x->words, &r.rows) < 0)
        return KT_ENOMEM;
    for (r.bit = 0; r.bit < x->n; r.bit++) {
        const struct column *c = &x->column[r.bit];
        uint64_t own[1024] = {0};
        struct known k = nothing();
        k.named = own;
        k.port[!end] = other;
        k.port[end] = -2;
        if (!names(c, own)) {
            all(&r, 0, n);
            continue;
        }
        bool unnamed = possible(c, &k);
        for (unsigned v = 0; v < n; v++) {
            k.port[end] = value[v];
            if (v && own[value[v] / 64] >> (value[v] % 64) & 1 ? possible(c, &k) : unnamed)
                set(r.rows, r.words, v, r.bit);
        }
    }
    return fold(s, r.rows);
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
    for (unsigned i = 0; i < x->n; i++)
        names(&x->column[i], x->named);
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
            open += s->rows[s->of[v] + bit / 64] >> (bit % 64) & 1;
        unsigned bits = 0; /* whole bits are enough */
        while (open << bits < s->values && bits < 8)
            bits++;
        sum += bits;
    }
    uint64_t beyond = kt_expr_reads_bytes(e, FIELD_PAYLOAD);
    for (unsigned i = 0; i < BYTES_INDEXED; i++)
        beyond &= ~(UINT64_C(1) << x->at[i]);
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
        c->confidence = (uint8_t)(c->rule->confidence ? c->rule->confidence
                                  : sure > 99         ? 99
                                                      : sure);
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
        if (rc == KT_OK)
            rc = byte_rows_all(x);
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
