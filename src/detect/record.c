/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "internal.h"

#include <math.h>

void kt_record_init(struct kt_record *r, const struct kt_detect *d, bool low)
{
    memset(r, 0, sizeof(*r));
    /* What begins late was silent before: that is no steady low. */
    if (low && d->accepted == 0) {
        for (int i = 0; i < KT_BLOCKS; i++)
            r->block[i] = INFINITY;
        for (int i = 0; i < KT_LAG; i++)
            r->pending[i] = INFINITY;
        r->best = INFINITY;
    }
}

static float better(float a, float b, bool low)
{
    return low ? fminf(a, b) : fmaxf(a, b);
}

/* Starts a block anew: its values are an hour and more old (at 1 s). */
static void turn(struct kt_record *r, const struct kt_detect *d, bool low)
{
    float nothing = low ? INFINITY : 0;
    r->block[d->block] = nothing;
    r->best = nothing;
    for (int i = 0; i < KT_BLOCKS; i++)
        r->best = better(r->best, r->block[i], low);
}

void kt_record_push(struct kt_record *r, const struct kt_detect *d, float value, bool low)
{
    float *slot = &r->pending[d->now % KT_LAG];
    if (d->accepting) {
        uint64_t before = d->accepted - 1;
        if (before % KT_BLOCK == 0 && before / KT_BLOCK >= KT_BLOCKS)
            turn(r, d, low);
        r->block[d->block] = better(r->block[d->block], *slot, low);
        r->best = better(r->best, *slot, low);
    }
    *slot = value;
}

float kt_record_best(const struct kt_record *r, const struct kt_detect *d, bool low)
{
    (void)d;
    return low && isinf(r->best) ? 0 : r->best;
}

void kt_rank(float *sorted, unsigned n, float out, float in)
{
    unsigned i = 0;
    if (in == out)
        return;
    while (i + 1 < n && sorted[i] != out)
        i++;
    for (; i + 1 < n && sorted[i + 1] < in; i++)
        sorted[i] = sorted[i + 1];
    for (; i > 0 && sorted[i - 1] > in; i--)
        sorted[i] = sorted[i - 1];
    sorted[i] = in;
}

float kt_kth(const float *v, unsigned n, unsigned k)
{
    float s[32]; /* the k + 1 smallest so far, in order */
    if (n == 0)
        return 0;
    if (k >= n)
        k = n - 1;
    for (unsigned i = 0; i < n && i < 32; i++) {
        unsigned j = i < k ? i : k;
        if (i > k && v[i] >= s[k])
            continue;
        for (; j > 0 && s[j - 1] > v[i]; j--)
            s[j] = s[j - 1];
        s[j] = v[i];
    }
    return s[k];
}
