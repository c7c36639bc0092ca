/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "internal.h"
#include <stdlib.h>

/* ---- room ---- */

struct kt_flow_record *kt_harvest_record(struct kt_flow_table *t)
{
    struct kt_harvest *h = t->out;
    void *array = kt_array_room(h->record, h->records + 1, &h->record_cap, sizeof *h->record);
    if (!array) {
        t->no_memory = true;
        return NULL;
    }
    h->record = array;
    return &h->record[h->records++];
}

struct kt_relabel *kt_harvest_relabel(struct kt_flow_table *t)
{
    struct kt_harvest *h = t->out;
    void *array = kt_array_room(h->relabel, h->relabels + 1, &h->relabel_cap, sizeof *h->relabel);
    if (!array) {
        t->no_memory = true;
        return NULL;
    }
    h->relabel = array;
    return &h->relabel[h->relabels++];
}

struct kt_announcer *kt_harvest_announcer(struct kt_flow_table *t)
{
    struct kt_harvest *h = t->out;
    void *array =
        kt_array_room(h->announcer, h->announcers + 1, &h->announcer_cap, sizeof *h->announcer);
    if (!array) {
        t->no_memory = true;
        return NULL;
    }
    h->announcer = array;
    return &h->announcer[h->announcers++];
}

static bool grow_slices(struct kt_flow_table *t)
{
    struct kt_harvest *h = t->out;
    size_t cap = h->slice_cap ? (size_t)h->slice_cap * 2 : 1024;
    struct kt_slice *slice = realloc(h->slice, cap * sizeof *slice);
    if (slice)
        h->slice = slice;
    uint64_t *seq = realloc(h->slice_seq, cap * sizeof *seq);
    if (seq)
        h->slice_seq = seq;
    if (!slice || !seq || cap > UINT32_MAX / 2)
        return false;
    h->slice_cap = (uint32_t)cap;
    return true;
}

struct kt_harvest *kt_harvest_new(struct kt_flow_table *t)
{
    struct kt_harvest *h = __atomic_exchange_n(&t->spare, NULL, __ATOMIC_ACQUIRE);
    if (!h)
        h = calloc(1, sizeof *h);
    if (!h)
        return NULL;
    h->table = t;
    h->slices = h->rests = 0;
    h->records = h->relabels = h->announcers = 0;
    return h;
}

void kt_harvest_free(struct kt_harvest *h)
{
    if (!h)
        return;
    free(h->slice);
    free(h->slice_seq);
    free(h->record);
    free(h->relabel);
    free(h->announcer);
    free(h->rest);
    free(h);
}

void kt_harvest_done(struct kt_harvest *h)
{
    if (h)
        kt_harvest_free(__atomic_exchange_n(&h->table->spare, h, __ATOMIC_ACQ_REL));
}

/* ---- slices ---- */

/* The first packet of a flow in the open interval: its slice gets its place, in trace order. */
bool kt_flow_touch(struct kt_flow_table *t, uint32_t index, uint64_t seq)
{
    struct kt_harvest *h = t->out;
    if (h->slices == h->slice_cap && !grow_slices(t))
        return false;
    if (h->slices >= t->slice_flow_cap) {
        uint32_t *owner = realloc(t->slice_flow, h->slice_cap * sizeof *owner);
        if (!owner)
            return false;
        t->slice_flow = owner;
        t->slice_flow_cap = h->slice_cap;
    }
    t->slice_flow[h->slices] = index;
    h->slice_seq[h->slices] = seq;
    t->flow[index].slice = h->slices++;
    t->flow[index].slice_flags = 0;
    t->flow[index].slice_tcp_flags = 0;
    return true;
}

static uint32_t saturate(uint64_t v)
{
    return v < UINT32_MAX ? (uint32_t)v : UINT32_MAX;
}

/* Keeps what was told, in TOLD_MAX places: the oldest two become one when there are more. */
static void remember(struct more *m, int64_t interval, uint64_t bytes, uint32_t packets,
                     uint32_t flows)
{
    if (m->tolds == TOLD_MAX) {
        struct told *a = &m->told[0], *b = &m->told[1];
        a->bytes += b->bytes;
        a->packets += b->packets;
        a->flows += b->flows;
        memmove(b, b + 1, (TOLD_MAX - 2) * sizeof *b);
        m->tolds--;
    }
    m->told[m->tolds++] = (struct told){interval, bytes, packets, flows};
}

void kt_flow_make_slice(struct kt_flow_table *t, uint32_t index, int64_t interval)
{
    struct flow *f = &t->flow[index];
    struct more *m = &t->more[index];
    struct kt_slice *s = &t->out->slice[f->slice];
    kt_flow_match(t, index);
    if (KT_UNLIKELY(t->expect != NULL) && f->slice_flags & KT_SLICE_NEW && interval &&
        !kt_flow_ask_first(t, index, interval))
        t->no_memory = true;
    memset(s, 0, sizeof *s);
    memcpy(s->addr, f->key.addr, sizeof s->addr);
    memcpy(s->port, f->key.port, sizeof s->port);
    s->ip = f->key.ip;
    s->proto = f->key.proto;
    s->flags = f->slice_flags;
    s->tcp_flags = f->slice_tcp_flags;
    s->app = t->app_of[m->verdict.label];
    for (int side = 0; side < 2; side++) {
        s->bytes[side] = f->bytes[side] - m->told_bytes[side];
        s->packets[side] = saturate(f->packets[side] - m->told_packets[side]);
        m->told_bytes[side] = f->bytes[side];
        m->told_packets[side] = f->packets[side];
    }
    uint32_t retransmits = m->retransmits[0] + m->retransmits[1];
    uint32_t more = retransmits - m->told_retransmits;
    s->retransmits = (uint16_t)(more < UINT16_MAX ? more : UINT16_MAX);
    m->told_retransmits = retransmits;
    if (m->rtt_new)
        s->rtt_us = m->rtt_us;
    m->rtt_new = false;
    if (s->flags & KT_SLICE_NEW && s->packets[1] == 0)
        s->flags |= KT_SLICE_UNANSWERED;
    t->slice_flow[f->slice] = NONE;
    f->slice = NO_SLICE;
    if (!kt_flow_decided(t, index))
        remember(m, interval, s->bytes[0] + s->bytes[1], s->packets[0] + s->packets[1],
                 !!(s->flags & KT_SLICE_NEW));
}

/* ---- records ---- */

void kt_flow_record(const struct kt_flow_table *t, uint32_t index, enum kt_flow_end why,
                    struct kt_flow_record *r)
{
    const struct flow *f = &t->flow[index];
    const struct more *m = &t->more[index];
    r->key = f->key;
    r->id = m->id;
    r->first = m->first;
    r->last = f->last;
    memcpy(r->packets, f->packets, sizeof r->packets);
    memcpy(r->bytes, f->bytes, sizeof r->bytes);
    memcpy(r->told_packets, m->recorded_packets, sizeof r->told_packets);
    memcpy(r->told_bytes, m->recorded_bytes, sizeof r->told_bytes);
    memcpy(r->payload, f->payload, sizeof r->payload);
    r->rtt_us = m->rtt_us;
    memcpy(r->retransmits, m->retransmits, sizeof r->retransmits);
    r->seen = m->seen;
    r->verdict = m->verdict;
    r->announcer = (struct kt_announcer){m->announcer, KT_FLOW_NONE};
    memcpy(r->tcp_flags, f->tcp_flags, sizeof r->tcp_flags);
    r->end = (uint8_t)why;
    r->flags = f->flags;
    r->iface = m->iface;
    r->name_kind = m->name_kind;
    r->name_len = m->name_len;
    memcpy(r->name, m->name, m->name_len);
}

static int by_id(const void *a, const void *b)
{
    const struct kt_flow_ref *x = a, *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

static bool list_rest(struct kt_flow_table *t)
{
    struct kt_harvest *h = t->out;
    free(h->rest);
    h->rest = malloc(t->used ? t->used * sizeof *h->rest : 1);
    if (!h->rest)
        return false;
    for (uint32_t i = 0; i <= t->mask; i++) {
        if (t->slot[i].index == 0)
            continue;
        uint32_t index = t->slot[i].index - 1;
        kt_flow_match(t, index);
        h->rest[h->rests++] = (struct kt_flow_ref){t->more[index].id, index};
    }
    qsort(h->rest, h->rests, sizeof *h->rest, by_id);
    return true;
}

void kt_flow_rest(const struct kt_harvest *h, uint32_t i, struct kt_flow_record *record)
{
    enum { AHEAD = 4 };
    if (i + AHEAD < h->rests) {
        kt_flow_prefetch(h->table, h->rest[i + AHEAD].index);
        kt_more_prefetch(h->table, h->rest[i + AHEAD].index);
    }
    uint32_t index = h->rest[i].index;
    const struct flow *f = &h->table->flow[index];
    enum kt_flow_end why = KT_FLOW_ACTIVE;
    if ((f->tcp_flags[0] | f->tcp_flags[1]) & KT_TCP_RST)
        why = KT_FLOW_RESET;
    else if (kt_flow_closed(f))
        why = KT_FLOW_CLOSED;
    kt_flow_record(h->table, index, why, record);
}

/* ---- the tick ---- */

static void make_slices(struct kt_flow_table *t, int64_t start)
{
    enum { AHEAD = 8 };
    const uint32_t *owner = t->slice_flow;
    for (uint32_t i = 0, n = t->out->slices; i < n; i++) {
        if (i + AHEAD < n && owner[i + AHEAD] != NONE) {
            kt_flow_prefetch(t, owner[i + AHEAD]);
            __builtin_prefetch(&t->more[owner[i + AHEAD]]);
        }
        if (owner[i] != NONE)
            kt_flow_make_slice(t, owner[i], start);
    }
}

int kt_flow_table_tick(struct kt_flow_table *t, int64_t start, bool closes, bool last,
                       struct kt_harvest **harvest)
{
    struct kt_harvest *h = t->out;
    *harvest = NULL;
    if (closes) {
        kt_flow_ask_again(t);
        make_slices(t, start);
        if (!last) {
            kt_wheel_expire(t, start + t->interval);
            kt_due_tell(t, start + t->interval);
        }
    }
    if (last && !list_rest(t))
        return KT_ENOMEM;
    struct kt_harvest *next = kt_harvest_new(t);
    if (!next || t->no_memory) {
        kt_harvest_free(next);
        return KT_ENOMEM;
    }
    if (!closes) { /* the open interval goes on: its slices stay here */
        struct kt_harvest swap = *h;
        h->slice = next->slice;
        h->slice_seq = next->slice_seq;
        h->slice_cap = next->slice_cap;
        h->slices = 0;
        next->slice = swap.slice;
        next->slice_seq = swap.slice_seq;
        next->slice_cap = swap.slice_cap;
        next->slices = swap.slices;
    }
    h->flows = t->begun;
    h->evicted = t->evicted;
    t->out = next;
    *harvest = h;
    return KT_OK;
}
