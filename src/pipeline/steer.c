/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * A later fragment has no ports: it gets those of the datagram's first fragment, from a small
 * table. When the first fragment comes last or never, the fragment stands as a flow without ports.
 * The table forgets the oldest in a bucket: a flood of fragments costs memory to nobody. */
#include "internal.h"
#include <stdlib.h>

enum { BUCKETS = 1024, WAYS = 8 };
#define FRAGMENT_LIFE (30 * KT_SECOND) /* RFC 791 advises 15 s, Linux keeps 30 s */

struct datagram {
    struct kt_key id; /* addresses, protocol, VLANs, tunnel; ports zero */
    uint32_t frag_id;
    int64_t ts;
    uint16_t port[2];
    uint32_t hash;
};

struct kt_steer {
    struct datagram seen[BUCKETS][WAYS];
};

struct kt_steer *kt_steer_new(void)
{
    return calloc(1, sizeof(struct kt_steer));
}

void kt_steer_free(struct kt_steer *s)
{
    free(s);
}

static void fragment(struct kt_steer *s, struct kt_packet *p)
{
    struct kt_key id = p->key;
    id.port[0] = id.port[1] = 0;
    uint64_t h = kt_hash(&id, sizeof id, p->frag_id);
    struct datagram *bucket = s->seen[h % BUCKETS], *oldest = bucket;
    for (int i = 0; i < WAYS; i++) {
        struct datagram *d = &bucket[i];
        if (d->hash && d->frag_id == p->frag_id && kt_key_equal(&d->id, &id) &&
            p->ts - d->ts < FRAGMENT_LIFE) {
            if (p->flags & KT_PKT_FRAGMENT_LATER) {
                memcpy(p->key.port, d->port, sizeof d->port);
                p->hash = d->hash;
                return;
            }
            oldest = d;
            break;
        }
        if (d->ts < oldest->ts)
            oldest = d;
    }
    if (!(p->flags & KT_PKT_FRAGMENT_LATER))
        *oldest = (struct datagram){.id = id,
                                    .frag_id = p->frag_id,
                                    .ts = p->ts,
                                    .port = {p->key.port[0], p->key.port[1]},
                                    .hash = p->hash};
}

void kt_steer_decode(struct kt_steer *s, struct kt_packet *p, unsigned n,
                     struct kt_pipeline_stats *stats)
{
    uint64_t bytes = 0, not_ip = 0, malformed = 0;
    for (unsigned i = 0; i < n; i++) {
        struct kt_packet *q = &p[i];
        kt_decode(q);
        bytes += q->wirelen;
        not_ip += !(q->flags & KT_PKT_IP);
        malformed += !!(q->flags & KT_PKT_MALFORMED);
        if (KT_UNLIKELY(q->flags & KT_PKT_FRAGMENT))
            fragment(s, q);
    }
    kt_count_add(&stats->packets, n);
    kt_count_add(&stats->bytes, bytes);
    kt_count_add(&stats->not_ip, not_ip);
    kt_count_add(&stats->malformed, malformed);
    if (n == 0)
        return;
    if (kt_count_get(&stats->first) == 0)
        kt_count_set(&stats->first, (uint64_t)p[0].ts);
    if (p[n - 1].ts > (int64_t)kt_count_get(&stats->last))
        kt_count_set(&stats->last, (uint64_t)p[n - 1].ts);
}
