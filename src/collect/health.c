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
    return h->fanout == NO_STREAM ? KT_ENOMEM : KT_OK;
}

void kt_health_fini(struct health *h)
{
    free(h->rtt_us);
    free(h->opened);
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
        h->opened[h->opens++] = (struct opened){.from = kt_hash(slice->addr[0], 16, slice->ip),
                                                .to = kt_hash(slice->addr[1], 16, slice->port[1])};
    }
    return KT_OK;
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static int by_opened(const void *a, const void *b)
{
    const struct opened *x = a, *y = b;
    if (x->from != y->from)
        return x->from < y->from ? -1 : 1;
    return x->to < y->to ? -1 : x->to > y->to;
}

static int64_t widest(const struct opened *o, size_t n)
{
    int64_t best = 0, distinct = 0;
    for (size_t i = 0; i < n; i++) {
        bool same_from = i && o[i].from == o[i - 1].from;
        if (!same_from)
            distinct = 1;
        else if (o[i].to != o[i - 1].to)
            distinct++;
        if (distinct > best)
            best = distinct;
    }
    return best;
}

void kt_health_close(struct health *h, struct streams *s, bool *has_rtt)
{
    *has_rtt = h->rtts > 0;
    if (h->rtts) {
        qsort(h->rtt_us, h->rtts, sizeof *h->rtt_us, by_value);
        kt_streams_add(s, h->rtt, h->rtt_us[h->rtts / 2], (int64_t)h->rtts, 1);
    }
    if (h->opens)
        qsort(h->opened, h->opens, sizeof *h->opened, by_opened);
    kt_streams_add(s, h->fanout, widest(h->opened, h->opens), (int64_t)h->opens, 0);
    h->rtts = h->opens = 0;
}
