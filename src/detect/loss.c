/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Loss: retransmissions of answered TCP flows against their packets. One transfer that fills its
 * bottleneck loses packets by design; several conversations at once do not.
 */
#include "internal.h"

#include <math.h>
#include <stdlib.h>

#define WINDOW 8
#define SEVERAL 3    /* conversations that must have lost something */
#define TALKS 64     /* conversations remembered an interval */
#define SMOOTH 500.0 /* packets: a lost one of few is no rate */
#define LEAST 0.005  /* smoothed share of packets */

struct one {
    double retransmits, packets;
    unsigned hits, talks;
    uint32_t talk[TALKS];
    int64_t start;
};

struct loss {
    struct one one[WINDOW];
    struct kt_record rate, hits;
    double packets, retransmits; /* decayed, of calm times */
    bool on;
    int64_t began;
};

static int init(struct kt_detect *d, void **state)
{
    (void)d;
    *state = calloc(1, sizeof(struct loss));
    return *state ? KT_OK : KT_ENOMEM;
}

static void take(struct kt_detect *d, struct one *o)
{
    struct kt_acts *acts = kt_activity_now(d);
    *o = (struct one){.start = d->start};
    for (uint32_t i = 0; i < acts->n; i++) {
        const struct kt_act *a = &acts->act[i];
        if (a->flags & (KT_ACT_SCANNER | KT_ACT_DOWN))
            continue;
        o->packets += a->tcp_packets;
        o->retransmits += (double)a->value[KT_M_RETRANSMITS];
        o->hits += a->hits;
        if (a->hits && o->talks < TALKS)
            o->talk[o->talks++] = a->talk;
    }
}

struct sum {
    double retransmits, packets;
    unsigned hits, intervals;
    unsigned talks; /* different ones, counted up to SEVERAL */
    uint32_t talk[SEVERAL];
    int64_t last;
};

static struct sum sum_of(const struct loss *l)
{
    struct sum s = {0};
    for (int w = 0; w < WINDOW; w++) {
        const struct one *o = &l->one[w];
        s.retransmits += o->retransmits;
        s.packets += o->packets;
        s.hits += o->hits;
        s.intervals += o->hits > 0;
        if (o->hits && o->start > s.last)
            s.last = o->start;
        for (unsigned i = 0; i < o->talks && s.talks < SEVERAL; i++) {
            bool known = false;
            for (unsigned k = 0; k < s.talks; k++)
                known |= s.talk[k] == o->talk[i];
            if (!known)
                s.talk[s.talks++] = o->talk[i];
        }
    }
    return s;
}

/* Back over intervals with retransmissions, one without allowed. */
static int64_t began_at(const struct kt_detect *d, const struct loss *l)
{
    int64_t began = d->start;
    unsigned without = 0;
    for (unsigned back = 0; back < WINDOW && back <= d->now && without < 2; back++) {
        const struct one *o = &l->one[(d->now - back) % WINDOW];
        if (o->hits)
            began = o->start;
        without = o->hits ? 0 : without + 1;
    }
    return began;
}

static int step(struct kt_detect *d, void *state)
{
    struct loss *l = state;
    take(d, &l->one[d->now % WINDOW]);
    struct sum s = sum_of(l);
    double rate = s.retransmits / (s.packets + SMOOTH);
    double margin = 2.5 * (1 + 15.0 / ((double)d->accepted + 1));
    double usual = kt_record_best(&l->rate, d, false), hits = kt_record_best(&l->hits, d, false);
    bool fires = d->accepted >= KT_WARM_UP && s.retransmits >= 6 && s.hits >= 4 &&
                 s.intervals >= 3 && s.talks == SEVERAL && rate >= LEAST &&
                 rate >= margin * usual && s.hits >= 1.5 * hits + 2;
    kt_record_push(&l->rate, d, (float)rate, false);
    kt_record_push(&l->hits, d, (float)s.hits, false);
    if (l->on)
        l->on = s.hits >= 3 && s.intervals >= 2 && rate >= fmax(LEAST / 2, 1.2 * usual);
    else if (fires) {
        l->on = true;
        l->began = began_at(d, l);
    }
    if (!l->on) {
        l->packets = l->packets * 0.99 + l->one[d->now % WINDOW].packets;
        l->retransmits = l->retransmits * 0.99 + l->one[d->now % WINDOW].retransmits;
        return KT_OK;
    }
    struct kt_signal sig = {
        .class = KT_C_PATH,
        .by = KT_BY_LOSS,
        .began = l->began,
        .last = s.last + d->length,
        .confidence = 1 - 1.0 / (1 + s.hits),
        .severity = fmin(0.9, 0.4 + 5 * rate),
        .before = l->packets > 0 ? 100 * l->retransmits / l->packets : 0,
        .after = s.packets > 0 ? 100 * s.retransmits / s.packets : 0,
        .stream = -1,
        .strength = rate / fmax(LEAST, margin * usual),
    };
    return kt_fuse_raise(d, &sig);
}

const struct kt_detector kt_detector_loss = {"loss", init, step, free};
