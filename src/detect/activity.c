/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "internal.h"

#include <math.h>
#include <stdlib.h>

enum { AHEAD = 8 }; /* entries whose memory is asked for before they are needed */

static void prefetch(const struct kt_talk *t)
{
    __builtin_prefetch(t);
    __builtin_prefetch((const char *)t + KT_CACHE_LINE);
}

int kt_activity_init(struct kt_detect *d)
{
    for (int i = 0; i < KT_DECAYS - 1; i++)
        d->activity.decay[i] = exp(-(double)i / KT_MEMORY);
    return kt_recent_init(&d->activity.talks, sizeof(struct kt_talk), sizeof(struct kt_talk_key),
                          KT_TALKS);
}

void kt_activity_fini(struct kt_detect *d)
{
    kt_recent_fini(&d->activity.talks);
    for (int i = 0; i < KT_LAG; i++) {
        free(d->activity.ring[i].act);
        d->activity.ring[i] = (struct kt_acts){0};
    }
}

struct kt_acts *kt_activity_now(struct kt_detect *d)
{
    return &d->activity.ring[d->now % KT_LAG];
}

void kt_acts_prefetch(const struct kt_detect *d, const struct kt_recent *t,
                      const struct kt_acts *acts, uint32_t i, int hint)
{
    if (i + 2 * AHEAD < acts->n)
        prefetch(kt_act_talk(d, &acts->act[i + 2 * AHEAD]));
    if (i + AHEAD < acts->n)
        kt_recent_prefetch(t, kt_act_talk(d, &acts->act[i + AHEAD])->hint[hint]);
}

static double decay(const struct kt_detect *d, uint32_t intervals)
{
    return d->activity.decay[intervals < KT_DECAYS ? intervals : KT_DECAYS - 1];
}

double kt_talk_base(const struct kt_detect *d, const struct kt_talk *t, enum kt_measure m)
{
    if (d->weight <= 0 || t->base[m] <= 0)
        return 0;
    return t->base[m] * decay(d, (uint32_t)d->accepted - t->decayed) / d->weight;
}

void kt_activity_taint(struct kt_detect *d, int64_t began)
{
    for (int i = 0; i < KT_LAG; i++) {
        struct kt_acts *acts = &d->activity.ring[i];
        if (acts->used && acts->start >= began)
            acts->tainted = true;
    }
}

/* The interval that is KT_LAG old leaves the ring, into the baseline if it was normal. */
static void retire(struct kt_detect *d, struct kt_acts *acts)
{
    d->accepting = acts->used && !acts->tainted;
    if (d->accepting) {
        d->block = (uint32_t)(d->accepted / KT_BLOCK % KT_BLOCKS);
        d->accepted++;
        d->weight = d->weight * decay(d, 1) + 1;
    }
    for (uint32_t i = 0; i < acts->n; i++) {
        struct kt_act *a = &acts->act[i];
        struct kt_talk *t = kt_act_talk(d, a);
        if (i + AHEAD < acts->n)
            prefetch(kt_act_talk(d, &acts->act[i + AHEAD]));
        t->node.refs--;
        if (!d->accepting)
            continue;
        double f = decay(d, (uint32_t)d->accepted - t->decayed);
        for (int m = 0; m < KT_MEASURES; m++)
            t->base[m] = t->base[m] * f + (double)a->value[m];
        t->decayed = (uint32_t)d->accepted;
    }
    acts->n = 0;
}

static struct kt_act *act_new(struct kt_acts *acts)
{
    struct kt_act *act = kt_array_room(acts->act, acts->n + 1, &acts->cap, sizeof *act);
    if (!act)
        return NULL;
    acts->act = act;
    struct kt_act *a = &acts->act[acts->n++];
    memset(a, 0, sizeof(*a));
    return a;
}

static void key_of(struct kt_talk_key *k, const struct kt_slice *s)
{
    memset(k, 0, sizeof(*k));
    memcpy(k->client, s->addr[0], 16);
    memcpy(k->server, s->addr[1], 16);
    if (s->proto == KT_PROTO_TCP || s->proto == KT_PROTO_UDP)
        k->port = s->port[1];
    k->app = s->app;
    k->proto = s->proto;
    k->ip = s->ip;
}

static void add(struct kt_act *a, const struct kt_slice *s)
{
    bool tcp = s->proto == KT_PROTO_TCP, opened = s->flags & KT_SLICE_NEW;
    bool back = s->packets[1] > 0, refused = s->flags & KT_SLICE_REFUSED;
    a->slices++;
    a->opened += opened;
    a->refused += refused;
    if (refused)
        a->failed++;
    else if (opened && s->flags & KT_SLICE_UNANSWERED) {
        /* More than a SYN (or a few datagrams) without an answer: only one way is seen here. */
        if (tcp ? !(s->tcp_flags & KT_TCP_ACK) : s->packets[0] <= 4)
            a->failed++;
    } else if (!back && s->packets[0] && (!tcp || s->retransmits))
        a->silent++;
    else if (back && (!(s->tcp_flags & KT_TCP_RST) || s->packets[1] > 2))
        a->answered++;
    if (tcp && back && !refused) {
        a->tcp_packets += s->packets[0] + s->packets[1];
        a->hits += s->retransmits > 0;
        a->value[KT_M_RETRANSMITS] += s->retransmits;
    }
    if (s->rtt_us && (!a->rtt_us || s->rtt_us < a->rtt_us))
        a->rtt_us = s->rtt_us;
    a->value[KT_M_BYTES] += s->bytes[0] + s->bytes[1];
    a->value[KT_M_PACKETS] += (uint64_t)s->packets[0] + s->packets[1];
    a->value[KT_M_FLOWS] += opened;
}

/* A slice on its way: its entry is looked up AHEAD slices later, when memory has answered. */
struct coming {
    struct kt_talk_key key;
    uint32_t hash;
};

static int take(struct kt_detect *d, struct kt_acts *acts, const struct kt_slice *s,
                const struct coming *c, uint64_t total)
{
    struct kt_recent *talks = &d->activity.talks;
    /* The first ones all count; when there are too many, only those that weigh. */
    uint64_t bytes = s->bytes[0] + s->bytes[1];
    bool room =
        acts->n < KT_ACTS_LIGHT || (acts->n < KT_ACTS && bytes * (KT_ACTS - KT_ACTS_LIGHT) > total);
    struct kt_talk *t = kt_recent_get(talks, &c->key, c->hash, room);
    if (!t)
        return KT_OK;
    bool here = t->node.refs && t->seen == (uint32_t)d->now;
    if (!here && !room)
        return KT_OK;
    if (!here) {
        t->act = acts->n;
        struct kt_act *a = act_new(acts);
        if (!a)
            return KT_ENOMEM;
        a->talk = kt_recent_index(talks, t);
        t->seen = (uint32_t)d->now;
        t->node.refs++;
    }
    add(&acts->act[t->act], s);
    return KT_OK;
}

int kt_activity_step(struct kt_detect *d, const struct kt_interval *iv)
{
    struct kt_recent *talks = &d->activity.talks;
    struct kt_acts *acts = kt_activity_now(d);
    struct coming coming[2 * AHEAD];
    retire(d, acts);
    acts->used = true;
    acts->tainted = false;
    acts->start = iv->start;
    uint64_t total = 0;
    for (size_t i = 0; i < iv->slice_count; i++)
        total += iv->slices[i].bytes[0] + iv->slices[i].bytes[1];
    for (size_t i = 0; i < iv->slice_count + 2 * AHEAD; i++) {
        struct coming *c = &coming[i % (2 * AHEAD)];
        if (i >= 2 * AHEAD && take(d, acts, &iv->slices[i - 2 * AHEAD], c, total) < 0)
            return KT_ENOMEM;
        if (i < iv->slice_count) {
            key_of(&c->key, &iv->slices[i]);
            c->hash = kt_recent_hash(talks, &c->key);
            __builtin_prefetch(&talks->bucket[c->hash & talks->mask]);
        }
        if (i >= AHEAD && i - AHEAD < iv->slice_count) {
            uint32_t number = talks->bucket[coming[(i - AHEAD) % (2 * AHEAD)].hash & talks->mask];
            if (number)
                prefetch(kt_recent_at(talks, number - 1));
        }
    }
    return KT_OK;
}
