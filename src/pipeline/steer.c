/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * A later fragment has no ports: it gets the key of the datagram's first fragment, from a small
 * table; in a tunnel, the key of the packet inside. When the first fragment comes last or never,
 * the fragment stands as a flow without ports. The table forgets the oldest in a bucket: a flood of
 * fragments costs memory to nobody. */
#include "internal.h"
#include <stdlib.h>

enum { BUCKETS = 1024, WAYS = 8 };
#define FRAGMENT_LIFE (30 * KT_SECOND) /* RFC 791 advises 15 s, Linux keeps 30 s */

struct datagram {
    uint64_t id; /* kt_datagram() */
    int64_t ts;
    struct kt_key key;
    uint32_t hash;  /* 0: a free place */
    uint16_t flags; /* KT_PKT_TUNNEL */
};

struct kt_steer {
    uint64_t seed;
    struct datagram seen[BUCKETS][WAYS];
};

struct kt_steer *kt_steer_new(uint64_t seed)
{
    struct kt_steer *s = calloc(1, sizeof *s);
    if (s)
        s->seed = seed;
    return s;
}

void kt_steer_free(struct kt_steer *s)
{
    free(s);
}

static void first(struct kt_steer *s, const struct kt_packet *p, uint64_t id)
{
    struct datagram *bucket = s->seen[id % BUCKETS], *where = bucket;
    for (int i = 0; i < WAYS; i++) {
        struct datagram *d = &bucket[i];
        if (d->hash && d->id == id) {
            where = d;
            break;
        }
        if (d->ts < where->ts)
            where = d;
    }
    *where = (struct datagram){
        .id = id, .ts = p->ts, .key = p->key, .hash = p->hash, .flags = p->flags & KT_PKT_TUNNEL};
}

static void later(struct kt_steer *s, struct kt_packet *p, uint64_t id)
{
    const struct datagram *bucket = s->seen[id % BUCKETS];
    for (int i = 0; i < WAYS; i++) {
        const struct datagram *d = &bucket[i];
        if (d->hash && d->id == id && p->ts - d->ts < FRAGMENT_LIFE) {
            p->key = d->key;
            p->proto = d->key.proto;
            p->hash = d->hash;
            p->flags |= d->flags;
            return;
        }
    }
}

static void fragment(struct kt_steer *s, struct kt_packet *p)
{
    if (p->flags & KT_PKT_FRAGMENT_LATER)
        later(s, p, kt_datagram(&p->key, p->frag_id));
    else if (p->flags & KT_PKT_FRAGMENT)
        first(s, p, kt_datagram(&p->key, p->frag_id));
    if (p->flags & KT_PKT_FRAGMENT_OUTER)
        first(s, p, p->clue);
}

void kt_steer_decode(struct kt_steer *s, struct kt_packet *p, unsigned n,
                     struct kt_pipeline_stats *stats)
{
    uint64_t bytes = 0, not_ip = 0, malformed = 0;
    int64_t first = n ? p[0].ts : 0, last = first; /* time may run backwards */
    for (unsigned i = 0; i < n; i++) {
        struct kt_packet *q = &p[i];
        first = q->ts < first ? q->ts : first;
        last = q->ts > last ? q->ts : last;
        kt_decode_headers(q);
        q->hash = kt_key_hash_seeded(&q->key, s->seed);
        bytes += q->wirelen;
        not_ip += !(q->flags & KT_PKT_IP);
        malformed += !!(q->flags & KT_PKT_MALFORMED);
        if (KT_UNLIKELY(q->flags & (KT_PKT_FRAGMENT | KT_PKT_FRAGMENT_OUTER)))
            fragment(s, q);
    }
    kt_count_add(&stats->packets, n);
    kt_count_add(&stats->bytes, bytes);
    kt_count_add(&stats->not_ip, not_ip);
    kt_count_add(&stats->malformed, malformed);
    if (n == 0)
        return;
    int64_t before = (int64_t)kt_count_get(&stats->first);
    if (before == 0 || first < before)
        kt_count_set(&stats->first, (uint64_t)first);
    if (last > (int64_t)kt_count_get(&stats->last))
        kt_count_set(&stats->last, (uint64_t)last);
}
