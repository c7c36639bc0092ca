/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "internal.h"
#include <stdlib.h>

int kt_health_init(struct health *h, struct streams *s)
{
    h->rtt = kt_streams_get(s, KT_STREAM_HEALTH, "rtt");
    h->retransmits = kt_streams_get(s, KT_STREAM_HEALTH, "retransmits");
    h->refused = kt_streams_get(s, KT_STREAM_HEALTH, "refused");
    h->unanswered = kt_streams_get(s, KT_STREAM_HEALTH, "unanswered");
    h->fanout = kt_streams_get(s, KT_STREAM_HEALTH, "fanout");
    h->seed = kt_random_seed();
    return h->fanout == NO_STREAM ? KT_ENOMEM : KT_OK;
}

void kt_health_fini(struct health *h)
{
    free(h->rtt_us);
    free(h->opened);
    free(h->slot);
}

int kt_health_slice(struct health *h, struct streams *s, const struct kt_slice *slice)
{
    bool began = slice->flags & KT_SLICE_NEW;
    if (slice->proto == KT_PROTO_TCP)
        kt_streams_add(s, h->retransmits, slice->retransmits,
                       (int64_t)slice->packets[0] + slice->packets[1], 0);
    kt_streams_add(s, h->refused, !!(slice->flags & KT_SLICE_REFUSED), began, 0);
    kt_streams_add(s, h->unanswered, !!(slice->flags & KT_SLICE_UNANSWERED), began, 0);
    if (slice->rtt_us) {
        void *array = kt_array_room(h->rtt_us, h->rtts + 1, &h->rtt_cap, sizeof *h->rtt_us);
        if (!array)
            return KT_ENOMEM;
        h->rtt_us = array;
        h->rtt_us[h->rtts++] = slice->rtt_us;
    }
    if (began && slice->ip) {
        void *array = kt_array_room(h->opened, h->opens + 1, &h->open_cap, sizeof *h->opened);
        if (!array)
            return KT_ENOMEM;
        h->opened = array;
        h->opened[h->opens++] =
            (struct opened){.from = kt_hash(slice->addr[0], 16, h->seed ^ slice->ip),
                            .to = kt_hash(slice->addr[1], 16, h->seed ^ slice->port[1])};
    }
    return KT_OK;
}

/* The k-th smallest; the order of the others is lost (C. A. R. Hoare, Algorithm 65: Find, 1961). */
static uint32_t kth(uint32_t *v, size_t n, size_t k)
{
    size_t low = 0, high = n - 1;
    while (low < high) {
        uint32_t pivot = v[low + (high - low) / 2];
        size_t i = low, j = high;
        for (;;) {
            while (v[i] < pivot)
                i++;
            while (v[j] > pivot)
                j--;
            if (i >= j)
                break;
            uint32_t t = v[i];
            v[i++] = v[j];
            v[j--] = t;
        }
        if (k <= j)
            high = j;
        else
            low = j + 1;
    }
    return v[k];
}

/* The slot of an initiator, or of one with a target, in a table of a power of two with room left.
 */
static uint32_t *slot_of(const struct health *h, uint32_t *table, size_t mask, size_t i,
                         bool target)
{
    const struct opened *o = h->opened, *me = &o[i];
    size_t at = (target ? me->from ^ me->to : me->from) & mask;
    while (table[at] &&
           (o[table[at] - 1].from != me->from || (target && o[table[at] - 1].to != me->to)))
        at = (at + 1) & mask;
    return &table[at];
}

/* To how many addresses and ports the busiest initiator went, in *best. */
static int widest(struct health *h, int64_t *best)
{
    size_t size = 1;
    while (size < 2 * h->opens)
        size *= 2;
    uint32_t *slot = kt_array_room(h->slot, 2 * size, &h->slot_cap, sizeof *slot);
    if (!slot)
        return KT_ENOMEM;
    h->slot = slot;
    memset(slot, 0, 2 * size * sizeof *slot);
    *best = 0;
    for (size_t i = 0; i < h->opens; i++) {
        uint32_t *pair = slot_of(h, slot, size - 1, i, true);
        if (*pair)
            continue;
        *pair = (uint32_t)i + 1;
        uint32_t *host = slot_of(h, slot + size, size - 1, i, false);
        if (!*host)
            *host = (uint32_t)i + 1;
        int64_t targets = ++h->opened[*host - 1].targets;
        if (targets > *best)
            *best = targets;
    }
    return KT_OK;
}

int kt_health_close(struct health *h, struct streams *s, bool *has_rtt)
{
    int64_t fanout;
    if (widest(h, &fanout) < 0)
        return KT_ENOMEM;
    *has_rtt = h->rtts > 0;
    if (h->rtts)
        kt_streams_add(s, h->rtt, kth(h->rtt_us, h->rtts, h->rtts / 2), (int64_t)h->rtts, 1);
    kt_streams_add(s, h->fanout, fanout, (int64_t)h->opens, 0);
    h->rtts = h->opens = 0;
    return KT_OK;
}
