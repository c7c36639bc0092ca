/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "internal.h"
#include <stdlib.h>

/* ---- finding ---- */

#define SLOTS_MIN (1u << 12)

static inline uint64_t load64(const void *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return v;
}

/* 0 when the key is the flow's, 1 when it is its reverse, -1 when neither. */
static inline int side_of(const struct kt_key *f, const struct kt_key *k)
{
    uint64_t f0 = load64(f->addr[0]), f1 = load64(f->addr[0] + 8);
    uint64_t f2 = load64(f->addr[1]), f3 = load64(f->addr[1] + 8);
    uint64_t k0 = load64(k->addr[0]), k1 = load64(k->addr[0] + 8);
    uint64_t k2 = load64(k->addr[1]), k3 = load64(k->addr[1] + 8);
    if (load64(&f->ip) != load64(&k->ip)) /* ip, proto, VLANs, tunnel */
        return -1;
    if (((f0 ^ k0) | (f1 ^ k1) | (f2 ^ k2) | (f3 ^ k3)) == 0 && f->port[0] == k->port[0] &&
        f->port[1] == k->port[1])
        return 0;
    if (((f0 ^ k2) | (f1 ^ k3) | (f2 ^ k0) | (f3 ^ k1)) == 0 && f->port[0] == k->port[1] &&
        f->port[1] == k->port[0])
        return 1;
    return -1;
}
_Static_assert(offsetof(struct kt_key, ip) + 8 == sizeof(struct kt_key), "the last eight bytes");

/* The index of the flow, or NONE. */
static inline uint32_t find(const struct kt_flow_table *t, const struct kt_packet *p, int *side)
{
    for (uint32_t at = p->hash & t->mask;; at = (at + 1) & t->mask) {
        struct slot s = t->slot[at];
        if (s.index == 0)
            return NONE;
        if (s.tag != p->hash)
            continue;
        *side = side_of(&t->flow[s.index - 1].key, &p->key);
        if (*side >= 0)
            return s.index - 1;
    }
}

static void put(struct slot *slot, uint32_t mask, struct slot s)
{
    uint32_t at = s.tag & mask;
    while (slot[at].index)
        at = (at + 1) & mask;
    slot[at] = s;
}

static bool grow_slots(struct kt_flow_table *t)
{
    uint32_t mask = t->mask * 2 + 1;
    struct slot *slot = kt_pages_new(((size_t)mask + 1) * sizeof *slot);
    if (!slot)
        return false;
    for (uint32_t i = 0; i <= t->mask; i++)
        if (t->slot[i].index)
            put(slot, mask, t->slot[i]);
    kt_pages_free(t->slot, ((size_t)t->mask + 1) * sizeof *slot);
    t->slot = slot;
    t->mask = mask;
    return true;
}

/* Deletes by moving later entries of the run up, so that no tombstones slow the search. */
static void unslot(struct kt_flow_table *t, uint32_t index, uint32_t at)
{
    while (t->slot[at].index != index + 1)
        at = (at + 1) & t->mask;
    for (uint32_t next = at;;) {
        next = (next + 1) & t->mask;
        if (t->slot[next].index == 0)
            break;
        uint32_t home = t->slot[next].tag & t->mask;
        if (((next - home) & t->mask) >= ((next - at) & t->mask)) {
            t->slot[at] = t->slot[next];
            at = next;
        }
    }
    t->slot[at].index = 0;
}

/* ---- beginning and ending ---- */

void kt_flow_end(struct kt_flow_table *t, uint32_t index, enum kt_flow_end why)
{
    struct flow *f = &t->flow[index];
    uint32_t home = t->more[index].hash & t->mask;
    __builtin_prefetch(&t->slot[home]);
    kt_flow_match(t, index);
    if (KT_UNLIKELY(t->expect != NULL))
        kt_flow_ask(t, index);
    if (f->slice != NO_SLICE)
        kt_flow_make_slice(t, index, 0); /* no later label will ask for the interval */
    struct kt_flow_record *r = kt_harvest_record(t);
    if (r)
        kt_flow_record(t, index, why, r);
    t->more[index].id = KT_FLOW_NONE;
    kt_wheel_remove(t, index);
    unslot(t, index, home);
    f->older = t->free_list;
    t->free_list = index;
    t->used--;
}

static uint32_t take_index(struct kt_flow_table *t)
{
    if (t->used == t->max) {
        kt_flow_end(t, kt_wheel_first(t), KT_FLOW_EVICTED);
        t->evicted++;
    }
    uint32_t index = t->free_list;
    if (index == NONE)
        return t->fresh++;
    t->free_list = t->flow[index].older;
    if (t->free_list != NONE) { /* the next one will be wanted soon */
        kt_flow_prefetch(t, t->free_list);
        __builtin_prefetch(&t->more[t->free_list]);
    }
    return index;
}

/* Was the first packet seen sent by the responder? */
static bool from_responder(const struct kt_packet *p)
{
    if (p->proto == KT_PROTO_TCP && p->tcp_flags & KT_TCP_SYN)
        return p->tcp_flags & KT_TCP_ACK;
    if (p->flags & KT_PKT_ICMP_ERROR || (p->proto != KT_PROTO_TCP && p->proto != KT_PROTO_UDP))
        return false;
    return p->key.port[0] < 1024 && p->key.port[1] >= 1024 && p->key.port[0] != 0;
}

static uint32_t begin(struct kt_flow_table *t, const struct kt_packet *p, int *side)
{
    uint32_t index = take_index(t);
    if (t->used * 2 > t->mask && !grow_slots(t)) {
        t->no_memory = true;
        return NONE;
    }
    struct flow *f = &t->flow[index];
    struct more *m = &t->more[index];
    memset(f, 0, sizeof *f);
    uint32_t due_next = m->due_next;
    bool queued = m->queued;
    memset(m, 0, offsetof(struct more, told));
    m->due_next = due_next;
    m->queued = queued;
    f->key = p->key;
    *side = from_responder(p);
    if (*side)
        kt_key_reverse(&f->key);
    f->last = p->ts;
    f->slice = NO_SLICE;
    if (p->proto == KT_PROTO_TCP && !(p->tcp_flags & KT_TCP_SYN))
        f->state = ST_OPEN;
    else if (p->proto == KT_PROTO_TCP && !*side)
        f->state = ST_SYN; /* now, for the wheel: it may stay unanswered */
    m->id = p->seq;
    m->hash = p->hash;
    m->first = p->ts;
    m->iface = p->iface;
    kt_flow_begin_evidence(t, index);
    if (KT_UNLIKELY(t->begun == 0))
        t->began_at = p->ts / WHEEL_TURN;
    put(t->slot, t->mask, (struct slot){p->hash, index + 1});
    t->used++;
    t->begun++;
    kt_wheel_add(t, index);
    if (t->active)
        kt_due_begin(t, index, p->ts);
    return index;
}

/* ---- a packet ---- */

/* Does this SYN open another connection on the tuple of `f`? A repeated SYN does not. */
static bool reuses(const struct flow *f, const struct more *m, int side, uint32_t seq)
{
    if (kt_flow_closed(f))
        return true;
    return side == 0 && (!(f->state & ST_SYN) || seq != m->isn[0]) && f->packets[1] != 0;
}

static void tcp_syn(struct flow *f, struct more *m, unsigned side, const struct kt_packet *p,
                    uint32_t seq)
{
    bool again = f->tcp_flags[side] & KT_TCP_SYN && m->isn[side] == seq;
    if (again) {
        m->retransmits[side]++;
    } else {
        m->isn[side] = seq;
        f->next_seq[side] = seq + 1;
        f->state |= (uint8_t)(ST_SEQ << side);
    }
    if (side == 0 && !(p->tcp_flags & KT_TCP_ACK)) {
        f->state |= ST_SYN;
        f->flags |= KT_FLOW_SYN;
        m->syn_ts = p->ts;
    } else if (side == 1 && p->tcp_flags & KT_TCP_ACK) {
        f->state |= ST_SYNACK;
        f->flags |= KT_FLOW_SYN;
    }
}

static void tcp(struct kt_flow_table *t, uint32_t index, unsigned side, const struct kt_packet *p,
                uint32_t seq)
{
    struct flow *f = &t->flow[index];
    uint8_t flags = p->tcp_flags;
    if (KT_UNLIKELY(flags & (KT_TCP_SYN | KT_TCP_RST | KT_TCP_FIN) || !(f->state & ST_OPEN))) {
        struct more *m = &t->more[index];
        if (flags & KT_TCP_SYN)
            tcp_syn(f, m, side, p, seq);
        else if (side == 0 && (f->state & (ST_SYN | ST_SYNACK)) == (ST_SYN | ST_SYNACK) &&
                 flags & KT_TCP_ACK && !(f->state & ST_OPEN)) {
            int64_t us = (p->ts - m->syn_ts) / 1000;
            m->rtt_us = us < 1 ? 1 : us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
            m->rtt_new = true;
            f->state |= ST_OPEN;
        } else if (side == 0 && flags & KT_TCP_ACK) {
            f->state |= ST_OPEN;
        }
        if (flags & KT_TCP_RST && side == 1 && f->state & ST_SYN && !(f->state & ST_SYNACK)) {
            f->flags |= KT_FLOW_REFUSED;
            f->slice_flags |= KT_SLICE_REFUSED;
        }
        bool was_closed = kt_flow_closed(f);
        f->tcp_flags[side] |= flags;
        if (!was_closed && kt_flow_closed(f)) { /* it times out much sooner now */
            kt_wheel_remove(t, index);
            f->last = p->ts > f->last ? p->ts : f->last;
            kt_wheel_add(t, index);
        }
    } else {
        f->tcp_flags[side] |= flags;
    }
    if (p->payload_len == 0)
        return;
    bool syn = flags & KT_TCP_SYN; /* which takes a number itself (data in it: RFC 7413) */
    uint32_t end = seq + syn + p->payload_len;
    /* a keep-alive repeats one byte; it is no loss */
    if (f->state & ST_SEQ << side && (int32_t)(end - f->next_seq[side]) <= 0) {
        if (p->payload_len > 1 && !syn)
            t->more[index].retransmits[side]++;
    } else {
        f->next_seq[side] = end;
        f->state |= (uint8_t)(ST_SEQ << side);
    }
}

/* Port or host unreachable, not the other things that ICMP has to say about a packet. */
static bool refuses(const struct kt_packet *p)
{
    if (p->key.ip == 6)
        return p->icmp_type == 1;
    return p->icmp_type == 3 && p->icmp_code != 4;
}

/* What few packets have: an ICMP error tells of the flow it quotes, some tell of other flows, and
 * of some others told. Returns the side of the sender, -1 without memory. */
static __attribute__((noinline)) int special(struct kt_flow_table *t, uint32_t index,
                                             const struct kt_packet *p, int side)
{
    struct flow *f = &t->flow[index];
    if (p->flags & KT_PKT_ICMP_ERROR) {
        side = !side; /* told to the quoted packet's sender */
        f->flags |= KT_FLOW_ICMP_ERROR;
        if (refuses(p))
            f->slice_flags |= KT_SLICE_REFUSED;
    }
    if (p->flags & KT_PKT_ANNOUNCED)
        kt_flow_announced(t, index, p->clue);
    if (p->flags & KT_PKT_ANNOUNCES) {
        struct kt_announcer *a = kt_harvest_announcer(t);
        if (!a)
            return -1;
        *a = (struct kt_announcer){p->seq, t->more[index].id};
    }
    return side;
}

static inline bool one(struct kt_flow_table *t, const struct kt_packet *p)
{
    int side = 0;
    uint32_t seq = 0;
    bool segment = p->proto == KT_PROTO_TCP && p->flags & KT_PKT_TRANSPORT &&
                   !(p->flags & (KT_PKT_ICMP_ERROR | KT_PKT_FRAGMENT_LATER));
    if (segment)
        seq = kt_be32(p->data + p->l4 + 4);
    uint32_t index = find(t, p, &side);
    if (KT_LIKELY(index != NONE)) {
        struct flow *f = &t->flow[index];
        int64_t silent = p->ts - f->last;
        if (KT_UNLIKELY(silent >= KT_FLOW_TIMEOUT_LEAST && silent >= kt_flow_timeout(f))) {
            kt_flow_end(t, index, kt_flow_why_over(f));
            index = NONE;
        } else if (KT_UNLIKELY(segment && p->tcp_flags & KT_TCP_SYN &&
                               !(p->tcp_flags & KT_TCP_ACK) &&
                               reuses(f, &t->more[index], side, seq))) {
            kt_flow_end(t, index, kt_flow_closed(f) ? kt_flow_why_over(f) : KT_FLOW_REUSED);
            index = NONE;
        }
    }
    bool fresh = index == NONE;
    if (KT_UNLIKELY(fresh) && (index = begin(t, p, &side)) == NONE)
        return false;
    struct flow *f = &t->flow[index];
    if (f->slice == NO_SLICE && !kt_flow_touch(t, index, p->seq))
        return false;
    if (KT_UNLIKELY(fresh))
        f->slice_flags |= KT_SLICE_NEW;
    if (KT_UNLIKELY(p->flags & (KT_PKT_ICMP_ERROR | KT_PKT_ANNOUNCES | KT_PKT_ANNOUNCED)) &&
        (side = special(t, index, p, side)) < 0)
        return false;
    if (segment) {
        tcp(t, index, (unsigned)side, p, seq);
        f->slice_tcp_flags |= p->tcp_flags;
    }
    f->packets[side]++;
    f->bytes[side] += p->wirelen;
    if (p->ts > f->last)
        f->last = p->ts;
    if (f->packets[!side])
        f->flags |= KT_FLOW_ANSWERED;
    if (p->payload_len && !(p->flags & KT_PKT_ICMP_ERROR)) {
        f->payload[side] += p->payload_len;
        if (KT_UNLIKELY(!(f->state & ST_FIRST << side)) &&
            (p->proto == KT_PROTO_TCP || p->proto == KT_PROTO_UDP))
            kt_flow_evidence(t, index, (unsigned)side, p, seq + !!(p->tcp_flags & KT_TCP_SYN));
    }
    return true;
}

/* Looks ahead, first at the slots, then at the flows they name, so that memory answers while others
 * are worked on. */
int kt_flow_table_packets(struct kt_flow_table *t, const struct kt_packet *p, unsigned n)
{
    enum { SLOTS_AHEAD = 24, FLOWS_AHEAD = 12 };
    for (unsigned i = 0; i < n + SLOTS_AHEAD; i++) {
        if (i < n)
            __builtin_prefetch(&t->slot[p[i].hash & t->mask]);
        unsigned f = i - (SLOTS_AHEAD - FLOWS_AHEAD), now = i - SLOTS_AHEAD;
        if (f < n && t->slot[p[f].hash & t->mask].index)
            kt_flow_prefetch(t, t->slot[p[f].hash & t->mask].index - 1);
        if (now < n && !one(t, &p[now]))
            return KT_ENOMEM;
    }
    return t->no_memory ? KT_ENOMEM : KT_OK;
}

/* ---- the whole ---- */

int kt_flow_table_new(struct kt_flow_table **table, const struct kt_flow_options *opt,
                      struct kt_error *err)
{
    *table = NULL;
    struct kt_flow_table *t = calloc(1, sizeof *t);
    if (!t)
        return kt_fail(err, KT_ENOMEM, 0, "no memory for a flow table");
    t->max = opt->max_flows ? opt->max_flows : 1u << 20;
    if (t->max > 1u << 28)
        t->max = 1u << 28;
    t->rules = opt->rules;
    t->expect = opt->expect;
    t->interval = opt->interval ? opt->interval : KT_SECOND;
    t->mask = SLOTS_MIN - 1;
    t->slot = kt_pages_new(SLOTS_MIN * sizeof *t->slot);
    t->flow = kt_pages_new(t->max * sizeof *t->flow);
    t->more = kt_pages_new(t->max * sizeof *t->more);
    t->free_list = NONE;
    t->wheel_at = -1;
    t->active = opt->active < 0 ? 0 : opt->active;
    t->due_at = -1;
    for (int i = 0; i < WHEEL; i++)
        t->wheel[i] = t->due[i] = NONE;
    unsigned labels = kt_rules_labels(opt->rules);
    t->app_of = calloc(labels ? labels : 1, sizeof *t->app_of);
    t->out = kt_harvest_new(t);
    if (!t->slot || !t->flow || !t->more || !t->app_of || !t->out) {
        kt_flow_table_free(t);
        return kt_fail(err, KT_ENOMEM, 0, "no memory for a table of %u flows", t->max);
    }
    for (unsigned i = 0; i < labels; i++)
        t->app_of[i] = kt_rules_label(opt->rules, i)->app;
    *table = t;
    return KT_OK;
}

void kt_flow_table_free(struct kt_flow_table *t)
{
    if (!t)
        return;
    kt_pages_free(t->slot, ((size_t)t->mask + 1) * sizeof *t->slot);
    kt_pages_free(t->flow, t->max * sizeof *t->flow);
    kt_pages_free(t->more, t->max * sizeof *t->more);
    free(t->app_of);
    free(t->slice_flow);
    free(t->ask);
    kt_harvest_free(t->out);
    kt_harvest_free(t->spare);
    free(t);
}
