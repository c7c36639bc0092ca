/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * From a flow to its label: the rows of its bytes, lengths and ports are ANDed word by word, and
 * the candidates are run, lowest column first, until one holds.
 */
#include "ident/rules.h"

void rule_load(const void *object, unsigned field, struct kt_expr_value *v)
{
    const struct rule_view *w = object;
    const struct kt_seen *s = w->seen;
    bool peer = field == FIELD_PEER_PAYLOAD || field == FIELD_PEER_LEN || field == FIELD_PEER_IP4 ||
                field == FIELD_PEER_MIDWAY;
    unsigned side = w->side ^ peer;
    const struct kt_first *d = &s->dir[side];
    switch (field) {
    case FIELD_PAYLOAD:
    case FIELD_PEER_PAYLOAD:
        v->str = (const char *)d->head;
        v->len = d->captured < KT_IDENT_HEAD ? d->captured : KT_IDENT_HEAD;
        break;
    case FIELD_LEN:
    case FIELD_PEER_LEN:
        v->num = d->len;
        break;
    case FIELD_IP4:
    case FIELD_PEER_IP4:
        v->num = s->ip4[side];
        break;
    case FIELD_MIDWAY:
    case FIELD_PEER_MIDWAY:
        v->num = d->midway;
        break;
    case FIELD_SERVER:
        v->num = s->server;
        break;
    default:
        v->num = s->client;
    }
}

static bool holds(const struct kt_expr *e, const struct kt_seen *seen, unsigned side)
{
    struct rule_view view = {seen, side};
    return !e || kt_expr_true(e, rule_load, &view);
}

/* there: side 0 may be the initiator's; back: it may be the other's. */
static bool column_holds(const struct column *c, const struct kt_seen *seen, bool there, bool back)
{
    if (!holds(c->when, seen, 0))
        return false;
    if (there && holds(c->side[0], seen, 0) && holds(c->side[1], seen, 1))
        return true;
    return back && !c->directed && holds(c->side[0], seen, 1) && holds(c->side[1], seen, 0);
}

bool rule_column_holds(const struct column *c, const struct kt_seen *seen)
{
    return column_holds(c, seen, true, true);
}

bool rule_refused(const struct rule *r, const struct kt_seen *seen)
{
    for (unsigned i = 0; i < r->refuses.n; i++) {
        if (rule_column_holds(&r->refuses.v[i], seen))
            return true;
    }
    return false;
}

/* The labels that need no rule; returns the transport's index, or NULL when all is said. */
static const struct index *fixed(const struct kt_rules *r, const struct kt_seen *seen,
                                 struct kt_verdict *v)
{
    bool tcp = seen->proto == KT_PROTO_TCP, udp = seen->proto == KT_PROTO_UDP;
    bool payload = seen->dir[0].len || seen->dir[1].len;
    v->confidence = 100;
    v->accept = 0;
    v->label = !seen->ip                                                        ? KT_LABEL_NOT_IP
               : seen->proto == KT_PROTO_ICMP || seen->proto == KT_PROTO_ICMPV6 ? KT_LABEL_ICMP
               : !tcp && !udp                                                   ? KT_LABEL_OTHER_IP
               : !payload ? KT_LABEL_NO_PAYLOAD
               : tcp      ? KT_LABEL_UNKNOWN_TCP
                          : KT_LABEL_UNKNOWN_UDP;
    if (v->label > KT_LABEL_UNKNOWN_UDP)
        return NULL;
    v->confidence = 0;
    return &r->index[udp];
}

static void verdict(const struct column *c, struct kt_verdict *v)
{
    v->label = (uint16_t)c->rule->label;
    v->confidence = c->confidence;
    v->accept = c->accept;
}

/* Does the flow look as what it was announced as? */
static bool announced(const struct kt_rules *r, const struct kt_seen *seen, struct kt_verdict *v)
{
    for (unsigned i = 0; i < r->announced.n; i++) {
        const struct column *c = &r->announced.v[i];
        if (c->rule->label == seen->announced &&
            (seen->proto == KT_PROTO_UDP ? c->rule->udp : c->rule->tcp) &&
            rule_column_holds(c, seen) && !rule_refused(c->rule, seen)) {
            verdict(c, v);
            return true;
        }
    }
    return false;
}

void rule_match_slowly(const struct kt_rules *r, const struct kt_seen *seen, struct kt_verdict *v)
{
    if (seen->announced && announced(r, seen, v))
        return;
    const struct index *x = fixed(r, seen, v);
    for (unsigned i = 0; x && i < x->n; i++) {
        if (rule_column_holds(&x->column[i], seen) && !rule_refused(x->column[i].rule, seen)) {
            verdict(&x->column[i], v);
            return;
        }
    }
}

static const uint64_t *row(const struct row_set *s, unsigned value)
{
    return s->rows + s->of[value];
}

enum { ROWS = BYTES_INDEXED + 1 };

/* The rows of one direction; a silent one has a length only. */
static void rows_of(const struct index *x, const struct kt_first *d, const uint64_t *rows[ROWS])
{
    rows[0] = row(&x->len, d->len < LEN_EXACT ? d->len : LEN_EXACT);
    for (unsigned i = 0; i < BYTES_INDEXED; i++)
        rows[1 + i] = d->len ? row(&x->byte[i], d->head[x->at[i]]) : rows[0];
}

static bool named(const struct index *x, uint16_t port)
{
    return x->named[port / 64] >> (port % 64) & 1;
}

static void ports_of(const struct index *x, const struct kt_seen *s, const uint64_t *rows[2])
{
    bool server = named(x, s->server), client = named(x, s->client);
    if (server && client) {
        rows[0] = row(&x->server_any, x->port[s->server]);
        rows[1] = row(&x->client_any, x->port[s->client]);
    } else {
        rows[0] = client ? row(&x->client, x->port[s->client])
                         : row(&x->server, server ? x->port[s->server] : 0);
        rows[1] = rows[0];
    }
}

void kt_ident_match(const struct kt_rules *rules, const struct kt_seen *seen, struct kt_verdict *v)
{
    if (KT_UNLIKELY(seen->announced) && announced(rules, seen, v))
        return;
    const struct index *x = fixed(rules, seen, v);
    const uint64_t *a[ROWS], *b[ROWS], *port[2];
    if (!x || !x->n)
        return;
    rows_of(x, &seen->dir[0], a);
    rows_of(x, &seen->dir[1], b);
    ports_of(x, seen, port);
    const unsigned words = x->words;
    for (unsigned w = 0; w < words; w++) {
        unsigned y = w + words;
        uint64_t there = a[0][w] & a[1][w] & a[2][w] & b[0][y] & b[1][y] & b[2][y];
        uint64_t back = a[0][y] & a[1][y] & a[2][y] & b[0][w] & b[1][w] & b[2][w];
        uint64_t candidates = (there | back) & port[0][w] & port[1][w];
        if (!candidates)
            continue;
        for (unsigned i = 3; i < ROWS; i++) {
            there &= a[i][w] & b[i][y];
            back &= a[i][y] & b[i][w];
        }
        candidates &= there | back;
        for (; candidates; candidates &= candidates - 1) {
            unsigned bit = (unsigned)__builtin_ctzll(candidates);
            const struct column *c = &x->column[w * 64 + bit];
            if (column_holds(c, seen, there >> bit & 1, back >> bit & 1) &&
                !rule_refused(c->rule, seen)) {
                verdict(c, v);
                return;
            }
        }
    }
}
