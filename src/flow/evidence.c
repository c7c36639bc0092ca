/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * What identification needs of a flow, and when it is asked: for good when both sides have spoken,
 * provisionally at the end of an interval and of the flow. */
#include "internal.h"
#include <stdlib.h>

/* The segment behind the SYN may never be seen; then any payload must do. */
#define PATIENCE 4
/* A ring hands over what it has after 50 ms; its thread may have to wait for a core. */
#define ASK_LATE (KT_SECOND / 2)

static uint16_t fixed_label(const struct kt_key *k)
{
    if (k->ip == 0)
        return KT_LABEL_NOT_IP;
    switch (k->proto) {
    case KT_PROTO_TCP:
        return KT_LABEL_NO_PAYLOAD;
    case KT_PROTO_UDP:
        return KT_LABEL_UNKNOWN_UDP;
    case KT_PROTO_ICMP:
    case KT_PROTO_ICMPV6:
        return KT_LABEL_ICMP;
    default:
        return KT_LABEL_OTHER_IP;
    }
}

void kt_flow_begin_evidence(struct kt_flow_table *t, uint32_t index)
{
    const struct kt_key *k = &t->flow[index].key;
    struct more *m = &t->more[index];
    memset(&m->seen, 0, sizeof m->seen);
    m->seen.proto = k->proto;
    m->seen.ip = k->ip;
    m->seen.client = k->port[0];
    m->seen.server = k->port[1];
    if (k->ip == 4) {
        m->seen.ip4[0] = kt_be32(k->addr[0]);
        m->seen.ip4[1] = kt_be32(k->addr[1]);
    }
    m->verdict = (struct kt_verdict){.label = fixed_label(k)};
}

void kt_flow_evidence(struct kt_flow_table *t, uint32_t index, unsigned side,
                      const struct kt_packet *p, uint32_t seq)
{
    struct flow *f = &t->flow[index];
    struct more *m = &t->more[index];
    if (p->flags & (KT_PKT_FRAGMENT_LATER | KT_PKT_ICMP_ERROR))
        return;
    bool know_start = f->key.proto == KT_PROTO_TCP && f->tcp_flags[side] & KT_TCP_SYN;
    if (know_start && seq != m->isn[side] + 1 && ++m->early[side] < PATIENCE)
        return;
    struct kt_first *first = &m->seen.dir[side];
    uint32_t captured = kt_payload_captured(p);
    const uint8_t *payload = p->data + p->payload;
    first->len = p->payload_len;
    first->midway = f->key.proto == KT_PROTO_TCP && !(know_start && seq == m->isn[side] + 1);
    first->captured = (uint8_t)(captured < KT_IDENT_HEAD ? captured : KT_IDENT_HEAD);
    memcpy(first->head, payload, first->captured);
    if (m->name_kind == KT_NAME_NONE)
        m->name_kind =
            (uint8_t)kt_ident_name(f->key.proto, payload, captured, m->name, &m->name_len);
    f->state |= (uint8_t)(ST_STALE | ST_FIRST << side);
    if ((f->state & ST_FIRSTS) == ST_FIRSTS)
        kt_flow_match(t, index);
}

/* Another flow announced this one. When it is decided already the clue comes too late: what was
 * told of it stands. */
void kt_flow_announced(struct kt_flow_table *t, uint32_t index, uint64_t clue)
{
    struct flow *f = &t->flow[index];
    struct more *m = &t->more[index];
    if (m->seen.announced || (f->state & ST_FIRSTS) == ST_FIRSTS)
        return;
    m->seen.announced = kt_clue_label(clue);
    m->announcer = kt_clue_packet(clue);
    f->state |= ST_STALE;
}

/* Moves what was told under the old application. */
static void relabel(struct kt_flow_table *t, struct more *m, uint16_t from, uint16_t to)
{
    for (unsigned i = 0; i < m->tolds; i++) {
        struct kt_relabel *r = kt_harvest_relabel(t);
        if (!r)
            return;
        *r = (struct kt_relabel){.interval = m->told[i].interval,
                                 .from = from,
                                 .to = to,
                                 .packets = m->told[i].packets,
                                 .flows = m->told[i].flows,
                                 .bytes = m->told[i].bytes};
    }
}

void kt_flow_match(struct kt_flow_table *t, uint32_t index)
{
    struct flow *f = &t->flow[index];
    struct more *m = &t->more[index];
    if (!(f->state & ST_STALE))
        return;
    f->state &= (uint8_t)~ST_STALE;
    uint16_t before = t->app_of[m->verdict.label];
    kt_ident_match(t->rules, &m->seen, &m->verdict);
    uint16_t now = t->app_of[m->verdict.label];
    if (now != before)
        relabel(t, m, before, now);
    if (kt_flow_decided(t, index))
        m->tolds = 0;
}

/* Was the flow announced? Only those that nobody knows are looked up. */
void kt_flow_ask(struct kt_flow_table *t, uint32_t index)
{
    struct flow *f = &t->flow[index];
    struct more *m = &t->more[index];
    uint64_t clue;
    if (m->seen.announced || m->verdict.label > KT_LABEL_NO_PAYLOAD ||
        !kt_expect_find(t->expect, &f->key, m->first, &clue))
        return;
    m->seen.announced = kt_clue_label(clue);
    m->announcer = kt_clue_packet(clue);
    f->state |= ST_STALE;
    kt_flow_match(t, index);
}

/* An interval closes as soon as one ring has a packet of the next: what another ring has to say of
 * flows that began late in it may still be to come. They are asked for once more an interval on. */
bool kt_flow_ask_first(struct kt_flow_table *t, uint32_t index, int64_t interval)
{
    const struct more *m = &t->more[index];
    kt_flow_ask(t, index);
    if (m->verdict.label > KT_LABEL_NO_PAYLOAD || m->first < interval + t->interval - ASK_LATE)
        return true;
    struct kt_flow_ref *more = kt_array_room(t->ask, t->asks + 1, &t->ask_cap, sizeof *more);
    if (!more)
        return false;
    t->ask = more;
    t->ask[t->asks++] = (struct kt_flow_ref){m->id, index};
    return true;
}

void kt_flow_ask_again(struct kt_flow_table *t)
{
    for (size_t i = 0; i < t->asks; i++)
        if (t->more[t->ask[i].index].id == t->ask[i].id)
            kt_flow_ask(t, t->ask[i].index);
    t->asks = 0;
}
