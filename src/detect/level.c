/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Rates: surges and drops. Traffic comes in bursts with heavy tails, so neither a mean nor a
 * deviation says what is unusual. What is compared instead is the level a stream *holds*: what 4 of
 * the last 5 intervals (or 8 of 15, or 13 of 15) reached, with the highest it held so in the past.
 */
#include "internal.h"

#include <math.h>
#include <stdlib.h>

#define RECENT 16
#define STREAMS 2048 /* bound: about 3 KiB each */
#define MEASURES 3   /* bytes, packets, flows */

#define MATTERS 1.5 /* a rise in means of the total */
#define SINGLE 2.5  /* … when a single flow makes it */
#define LASTING 3.0 /* … when what is unusual is only that it lasts */
#define FELT 1.6    /* the total over its own record, for a part of it to be told */

/* The least that matters, per second. */
static const double least[MEASURES] = {25000, 40, 8};

#define LOW 0.3 /* a drop goes below so much of the lowest level held before */

/* What a stream must always have held, per second, to be able to drop. */
static const double steady[MEASURES] = {0, 20, 3};

struct level {
    float recent[RECENT];
    float pending[KT_LAG];
    double sum;                             /* decayed, of the accepted past */
    float rank5[5], rank10[10], rank15[15]; /* the newest so many values in order */
    struct kt_record high5, high15, long15, low10;
    bool on;
    float threshold; /* while on: what was exceeded */
    float before, peak;
    uint64_t on_since;
    int64_t began, last;
    bool down; /* the same for a drop */
    float down_before;
    uint64_t down_since;
    int64_t down_began, down_last;
};

struct levels {
    struct level *of[STREAMS]; /* MEASURES each */
    double total_mean[MEASURES];
    double total_rise[MEASURES]; /* level of the total over its record */
};

static int init(struct kt_detect *d, void **state)
{
    (void)d;
    *state = calloc(1, sizeof(struct levels));
    return *state ? KT_OK : KT_ENOMEM;
}

static void fini(void *state)
{
    struct levels *l = state;
    for (int i = 0; i < STREAMS; i++)
        free(l->of[i]);
    free(l);
}

static struct level *level_of(struct kt_detect *d, struct levels *l, uint32_t stream)
{
    if (stream >= STREAMS)
        return NULL;
    if (!l->of[stream]) {
        l->of[stream] = calloc(MEASURES, sizeof(struct level));
        for (int m = 0; l->of[stream] && m < MEASURES; m++) {
            kt_record_init(&l->of[stream][m].high5, d, false);
            kt_record_init(&l->of[stream][m].high15, d, false);
            kt_record_init(&l->of[stream][m].long15, d, false);
            kt_record_init(&l->of[stream][m].low10, d, true);
        }
    }
    return l->of[stream];
}

/* What the newest n values held: all but `less` of them reached it. */
static float held(const struct kt_detect *d, const struct level *l, unsigned n, unsigned less)
{
    float v[RECENT];
    for (unsigned i = 0; i < n; i++)
        v[i] = l->recent[(d->now - i) % RECENT];
    return kt_kth(v, n, less);
}

static double mean(const struct kt_detect *d, const struct level *l)
{
    return d->weight > 0 ? l->sum / d->weight : 0;
}

/* A short history knows few bursts: ask for more. Of parts there are many, so ask more of them. */
static float margin(const struct kt_detect *d, bool total)
{
    return (total ? 1.7f : 2.2f) * (1 + 30.0f / (float)(d->accepted + 1));
}

struct window {
    float held5, held15, long15, low10;
};

static struct window take(struct kt_detect *d, struct level *l, int64_t value)
{
    float x = value > 0 ? (float)value : 0;
    kt_rank(l->rank5, 5, l->recent[(d->now - 5) % RECENT], x);
    kt_rank(l->rank10, 10, l->recent[(d->now - 10) % RECENT], x);
    kt_rank(l->rank15, 15, l->recent[(d->now - 15) % RECENT], x);
    l->recent[d->now % RECENT] = x;
    float *slot = &l->pending[d->now % KT_LAG];
    if (d->accepting)
        l->sum = l->sum * exp(-1.0 / KT_MEMORY) + *slot;
    *slot = x;
    return (struct window){l->rank5[1], l->rank15[7], l->rank15[2], l->rank10[7]};
}

static void remember(struct kt_detect *d, struct level *l, const struct window *w)
{
    kt_record_push(&l->high5, d, w->held5, false);
    kt_record_push(&l->high15, d, w->held15, false);
    kt_record_push(&l->long15, d, w->long15, false);
    kt_record_push(&l->low10, d, d->now < 20 ? INFINITY : w->low10, true);
}

/* How far the level lies over what would be unusual; 1 is enough. *threshold in units of values. */
static double excess(const struct kt_detect *d, const struct levels *ls, const struct level *l,
                     const struct window *w, int m, bool total, float *threshold)
{
    float floor = (float)(least[m] * (double)d->length / KT_SECOND);
    const float level[] = {w->held5, w->held15, w->long15};
    const struct kt_record *record[] = {&l->high5, &l->high15, &l->long15};
    bool lasting = w->long15 - mean(d, l) >= LASTING * ls->total_mean[m];
    double best = -1;
    for (int i = 0; i < (lasting ? 3 : 2); i++) {
        float t = fmaxf(margin(d, total) * kt_record_best(record[i], d, false), floor);
        if (level[i] / t <= best)
            continue;
        best = level[i] / t;
        *threshold = t;
    }
    return best;
}

static int64_t start_of(const struct kt_detect *d, unsigned back)
{
    return d->start - (int64_t)back * d->length;
}

/* Half way between what was usual and what is: where a change begins and ends. */
static float half_way(const struct level *l)
{
    return fmaxf(l->threshold / 2, 0.8f * (l->before + l->peak) / 2);
}

/* Back to where the values were less than half way, one dip allowed. */
static int64_t began_at(const struct kt_detect *d, const struct level *l)
{
    unsigned first = 0, dips = 0;
    for (unsigned i = 0; i < RECENT && i <= d->now && dips < 2; i++) {
        if (l->recent[(d->now - i) % RECENT] >= half_way(l))
            first = i;
        else
            dips++;
    }
    return start_of(d, first);
}

static bool unusual(struct kt_detect *d, const struct levels *ls, const struct level *l,
                    const struct window *w, int m, const struct kt_stream *st, double e)
{
    if (e < 1 || d->accepted < KT_WARM_UP)
        return false;
    float level = fmaxf(w->held5, w->held15);
    if (level - mean(d, l) < MATTERS * ls->total_mean[m])
        return false; /* too little of the whole to matter */
    /* One bursty application among many proves little unless the whole feels it, too. */
    return st->kind == KT_STREAM_TOTAL || ls->total_rise[m] >= FELT;
}

/* A single bulk transfer is everyday: it has to be big and to last to be told. */
static bool everyday(struct kt_detect *d, const struct levels *ls, const struct level *l, int m)
{
    float level = held(d, l, 10, 2);
    if (level >= l->threshold && level - mean(d, l) >= SINGLE * ls->total_mean[m])
        return false;
    return kt_explain_single(d, l->began, (enum kt_measure)m);
}

static int surge(struct kt_detect *d, struct levels *ls, struct level *l, const struct window *w,
                 int m, const struct kt_stream *st, uint32_t stream)
{
    float threshold = 0;
    double e = excess(d, ls, l, w, m, st->kind == KT_STREAM_TOTAL, &threshold);
    float x = l->recent[d->now % RECENT];
    if (!l->on) {
        if (!unusual(d, ls, l, w, m, st, e))
            return KT_OK;
        l->threshold = threshold;
        l->before = (float)mean(d, l);
        l->peak = fmaxf(w->held5, w->held15);
        l->began = began_at(d, l);
        if (everyday(d, ls, l, m))
            return KT_OK;
        l->on = true;
        l->on_since = d->now;
    }
    l->peak = fmaxf(l->peak, w->held5);
    if (x >= half_way(l))
        l->last = d->start + d->length;
    bool settled = e < 1 && d->now > l->on_since + KT_NORMAL; /* the new normal */
    if (held(d, l, 5, 2) < half_way(l) || settled) {
        l->on = false;
        return KT_OK;
    }
    double s = KT_SECOND / (double)d->length;
    double strength = fmax(e, 1);
    struct kt_signal sig = {
        .class = KT_C_SURGE,
        .by = KT_BY_LEVEL,
        .began = l->began,
        .last = l->last,
        .confidence = 1 - 0.3 / strength,
        .severity = fmin(0.9, 0.35 + 0.2 * log10(1 + strength)),
        .before = l->before * s,
        .after = held(d, l, 5, 2) * s,
        .measure = (enum kt_measure)m,
        .stream = (int)stream,
        .stream_kind = st->kind,
        .strength = strength,
    };
    return kt_fuse_raise(d, &sig);
}

/* A drop is judged by what stays away: new flows, and for the total also packets. A conversation
 * that ends is none, so bytes do not count; a client that goes home is none, either. */
static bool falls(struct kt_detect *d, const struct levels *ls, struct level *l,
                  const struct window *w, int m, float low)
{
    if (m == KT_M_BYTES || d->accepted < 2 * KT_WARM_UP ||
        low < steady[m] * (double)d->length / KT_SECOND || w->low10 >= LOW * low ||
        mean(d, l) < 0.1 * ls->total_mean[m])
        return false;
    unsigned back = 0;
    while (back + 1 < RECENT && back < d->now && l->recent[(d->now - back - 1) % RECENT] < low / 2)
        back++;
    l->down_began = start_of(d, back);
    l->down_before = (float)mean(d, l);
    l->down_since = d->now;
    return kt_explain_top_client(d, l->down_began, (enum kt_measure)m) < 0.8;
}

static int drop(struct kt_detect *d, const struct levels *ls, struct level *l,
                const struct window *w, int m, const struct kt_stream *st, uint32_t stream)
{
    if (st->kind != KT_STREAM_TOTAL && (st->kind != KT_STREAM_APP || m != KT_M_FLOWS))
        return KT_OK;
    float low = kt_record_best(&l->low10, d, true), x = l->recent[d->now % RECENT];
    l->down = l->down || falls(d, ls, l, w, m, low);
    float after = held(d, l, 5, 2);
    bool settled = d->now > l->down_since + KT_NORMAL && after > 0; /* nothing is never normal */
    if (after >= 0.6f * fminf(low, l->down_before) || settled)
        l->down = false;
    if (!l->down)
        return KT_OK;
    if (x < low / 2)
        l->down_last = d->start + d->length;
    double s = KT_SECOND / (double)d->length;
    struct kt_signal sig = {
        .class = KT_C_DROP,
        .by = KT_BY_LEVEL,
        .began = l->down_began,
        .last = l->down_last,
        .confidence = 0.9,
        .severity = st->kind == KT_STREAM_TOTAL ? 0.8 : 0.5,
        .before = l->down_before * s,
        .after = after * s,
        .measure = (enum kt_measure)m,
        .stream = (int)stream,
        .stream_kind = st->kind,
        .strength = low / fmaxf(w->low10, 1),
    };
    return kt_fuse_raise(d, &sig);
}

static int step(struct kt_detect *d, void *state)
{
    struct levels *ls = state;
    const struct kt_interval *iv = d->iv;
    for (int pass = 0; pass < 2; pass++) { /* the totals first: others need them */
        for (size_t i = 0; i < iv->sample_count; i++) {
            const struct kt_sample *sample = &iv->samples[i];
            if (sample->stream >= iv->stream_count)
                continue;
            const struct kt_stream *st = &iv->streams[sample->stream];
            if (st->kind == KT_STREAM_HEALTH || (st->kind == KT_STREAM_TOTAL) != (pass == 0))
                continue;
            struct level *l = level_of(d, ls, sample->stream);
            if (!l)
                continue;
            for (int m = 0; m < MEASURES; m++) {
                struct window w = take(d, &l[m], sample->value[m]);
                if (pass == 0) {
                    float record = kt_record_best(&l[m].high5, d, false);
                    ls->total_mean[m] = mean(d, &l[m]);
                    ls->total_rise[m] = record > 0 ? w.held5 / record : 0;
                }
                int rc = surge(d, ls, &l[m], &w, m, st, sample->stream);
                if (rc == KT_OK)
                    rc = drop(d, ls, &l[m], &w, m, st, sample->stream);
                remember(d, &l[m], &w);
                if (rc != KT_OK)
                    return rc;
            }
        }
    }
    return KT_OK;
}

const struct kt_detector kt_detector_level = {"level", init, step, fini};
