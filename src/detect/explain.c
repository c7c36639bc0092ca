/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Why: which conversations changed, summed by application, client, server, port and flow, compared
 * with their own past.
 */
#include "explain.h"

#include <math.h>
#include <stdlib.h>

static double value_of(const struct kt_incident *in, const struct kt_act *a)
{
    switch (in->class) {
    case KT_C_SCAN:
        return a->failed;
    case KT_C_OUTAGE:
        return a->failed + a->silent;
    case KT_C_PATH:
        if (in->loss.strength > in->best.strength)
            return (double)a->value[KT_M_RETRANSMITS];
        return a->flags & KT_ACT_SLOW ? 1 : 0;
    default:
        return (double)a->value[in->best.measure];
    }
}

static bool concerns(const struct kt_incident *in, const struct kt_talk *t)
{
    if (in->class == KT_C_SCAN)
        return !memcmp(t->key.client, in->best.addr, 16);
    if (in->class != KT_C_OUTAGE)
        return true;
    for (unsigned i = 0; i < in->servers; i++)
        if (!memcmp(t->key.server, in->server[i].addr, 16) && t->key.port == in->server[i].port)
            return true;
    return false;
}

/* What is down was known before under its application: what fails shows none. */
static uint16_t app_of(const struct kt_incident *in, const struct kt_talk *t)
{
    for (unsigned i = 0; in->class == KT_C_OUTAGE && i < in->servers; i++)
        if (!memcmp(t->key.server, in->server[i].addr, 16) && t->key.port == in->server[i].port)
            return in->server[i].app;
    return t->key.app;
}

/* The part of a conversation, made when it is the first time. */
static struct kt_part *part_of(struct kt_change *c, struct kt_talk *t)
{
    if (t->change == c->number)
        return &c->part[t->part];
    struct kt_part *part = kt_array_room(c->part, c->parts + 1, &c->cap, sizeof *part);
    if (!part)
        return NULL;
    c->part = part;
    t->change = c->number;
    t->part = (uint32_t)c->parts;
    c->part[c->parts] = (struct kt_part){.talk = t};
    return &c->part[c->parts++];
}

static int add_acts(struct kt_detect *d, struct kt_change *c, const struct kt_incident *in,
                    const struct kt_acts *acts)
{
    for (uint32_t i = 0; i < acts->n; i++) {
        const struct kt_act *a = &acts->act[i];
        struct kt_talk *t = kt_act_talk(d, a);
        double value = value_of(in, a);
        if ((value <= 0 && !(a->flags & KT_ACT_SLOW)) || !concerns(in, t))
            continue;
        struct kt_part *p = part_of(c, t);
        if (!p)
            return KT_ENOMEM;
        p->after += value;
        if (a->flags & KT_ACT_SLOW) {
            p->ms_before += a->usual_ms;
            p->ms_after += a->rtt_us / 1000.0;
        }
    }
    return KT_OK;
}

/* What was usual: of conversations that are over, too. */
static int add_base(struct kt_detect *d, struct kt_change *c, const struct kt_incident *in)
{
    const struct kt_recent *talks = &d->activity.talks;
    for (uint32_t i = 0; i < talks->used; i++) {
        struct kt_talk *t = kt_recent_at(talks, i);
        double before = kt_talk_base(d, t, in->best.measure);
        if (before <= 0)
            continue;
        struct kt_part *p = part_of(c, t);
        if (!p)
            return KT_ENOMEM;
        p->before = before;
    }
    return KT_OK;
}

int kt_change_take(struct kt_detect *d, struct kt_change *c, const struct kt_incident *in)
{
    *c = (struct kt_change){.number = ++d->activity.changes};
    unsigned intervals = 0;
    int rc = KT_OK;
    for (int r = 0; r < KT_LAG && rc == KT_OK; r++) {
        const struct kt_acts *acts = &d->activity.ring[r];
        if (!acts->used || acts->start < in->began || (in->last && acts->start >= in->last))
            continue;
        intervals++;
        rc = add_acts(d, c, in, acts);
    }
    if (rc == KT_OK && (in->class == KT_C_SURGE || in->class == KT_C_DROP))
        rc = add_base(d, c, in);
    double scale = 1 / fmax(intervals, 1);
    size_t kept = 0;
    for (size_t i = 0; i < c->parts; i++) {
        struct kt_part p = c->part[i];
        if (p.after <= 0 && p.before <= 0)
            continue;
        p.app = app_of(in, p.talk);
        p.after *= scale;
        p.ms_before *= scale;
        p.ms_after *= scale;
        c->before += p.before;
        c->after += p.after;
        c->part[kept++] = p;
    }
    c->parts = kept;
    if (rc != KT_OK)
        kt_change_fini(c);
    return rc;
}

void kt_change_fini(struct kt_change *c)
{
    free(c->part);
    c->part = NULL;
}

double kt_explain_share(struct kt_detect *d, int64_t began, enum kt_measure m,
                        const uint8_t addr[16], bool server)
{
    struct kt_incident in = {.class = KT_C_SURGE, .began = began, .best = {.measure = m}};
    struct kt_change c;
    if (kt_change_take(d, &c, &in) != KT_OK)
        return 0;
    double rise = 0;
    for (size_t i = 0; i < c.parts; i++)
        if (!memcmp(server ? c.part[i].talk->key.server : c.part[i].talk->key.client, addr, 16))
            rise += c.part[i].after - c.part[i].before;
    double all = c.after - c.before;
    kt_change_fini(&c);
    return all > 0 ? rise / all : 0;
}

bool kt_explain_single(struct kt_detect *d, int64_t began, enum kt_measure m)
{
    if (m == KT_M_FLOWS)
        return false;
    struct kt_incident in = {.class = KT_C_SURGE, .began = began, .best = {.measure = m}};
    struct kt_change c;
    if (kt_change_take(d, &c, &in) != KT_OK)
        return false;
    const struct kt_part *top = NULL;
    for (size_t i = 0; i < c.parts; i++)
        if (!top || c.part[i].after - c.part[i].before > top->after - top->before)
            top = &c.part[i];
    bool single = false;
    if (top && top->after - top->before > 0.6 * (c.after - c.before)) {
        uint32_t talk = kt_recent_index(&d->activity.talks, top->talk), slices = 0, seen = 0;
        for (int r = 0; r < KT_LAG; r++) {
            const struct kt_acts *acts = &d->activity.ring[r];
            for (uint32_t i = 0; acts->used && acts->start >= began && i < acts->n; i++) {
                seen += acts->act[i].talk == talk;
                slices += acts->act[i].talk == talk ? acts->act[i].slices : 0;
            }
        }
        single = slices <= seen + seen / 2;
    }
    kt_change_fini(&c);
    return single;
}

/* ---- sums by property ------------------------------------------------------------------------ */

static uint64_t property(enum kt_cause_kind kind, const struct kt_part *p)
{
    const struct kt_talk_key *k = &p->talk->key;
    switch (kind) {
    case KT_BY_APP:
        return p->app;
    case KT_BY_CLIENT:
        return kt_hash(k->client, 16, k->ip);
    case KT_BY_SERVER:
        return kt_hash(k->server, 16, k->ip);
    case KT_BY_PORT:
        return (uint64_t)k->proto << 16 | k->port;
    default:
        return kt_hash(k, sizeof(*k), k->proto);
    }
}

static int by_property(const void *a, const void *b)
{
    const struct kt_cause *x = a, *y = b;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    return x->hash < y->hash ? -1 : x->hash > y->hash;
}

static int by_share(const void *a, const void *b)
{
    const struct kt_cause *x = a, *y = b;
    if (x->share != y->share)
        return x->share > y->share ? -1 : 1;
    return by_property(a, b);
}

static void join(struct kt_part *to, const struct kt_part *p)
{
    to->before += p->before;
    to->after += p->after;
    to->ms_before += p->ms_before;
    to->ms_after += p->ms_after;
}

int kt_causes_of(const struct kt_change *c, struct kt_causes *out)
{
    *out = (struct kt_causes){0};
    struct kt_cause *row = calloc(c->parts * KT_CAUSE_KINDS + 1, sizeof(*row));
    if (!row)
        return KT_ENOMEM;
    size_t n = 0, sums = 0;
    for (size_t i = 0; i < c->parts; i++)
        for (int k = 0; k < KT_CAUSE_KINDS; k++)
            row[n++] = (struct kt_cause){.kind = (enum kt_cause_kind)k,
                                         .hash = property((enum kt_cause_kind)k, &c->part[i]),
                                         .sum = c->part[i]};
    if (n)
        qsort(row, n, sizeof(*row), by_property);
    for (size_t i = 0; i < n; i++) {
        if (sums && by_property(&row[sums - 1], &row[i]) == 0)
            join(&row[sums - 1].sum, &row[i].sum);
        else
            row[sums++] = row[i];
    }
    double change = c->after - c->before;
    for (size_t i = 0; i < sums; i++) {
        double share = change != 0 ? (row[i].sum.after - row[i].sum.before) / change : 0;
        row[i].share = fmax(0, fmin(1, share));
        out->active[row[i].kind] += (change < 0 ? row[i].sum.before : row[i].sum.after) > 0;
    }
    if (sums)
        qsort(row, sums, sizeof(*row), by_share);
    unsigned of[KT_CAUSE_KINDS] = {0}, last[KT_CAUSE_KINDS] = {0};
    for (size_t i = 0; i < sums && row[i].share >= 0.05; i++) {
        enum kt_cause_kind kind = row[i].kind;
        if (of[kind]++ < KT_CAUSES_OF) {
            last[kind] = out->n;
            out->cause[out->n++] = row[i];
        } else
            out->cause[last[kind]].more++;
    }
    free(row);
    return KT_OK;
}

const struct kt_cause *kt_cause_top(const struct kt_causes *c, enum kt_cause_kind kind,
                                    double share)
{
    for (unsigned i = 0; i < c->n; i++)
        if (c->cause[i].kind == kind)
            return c->cause[i].share >= share ? &c->cause[i] : NULL;
    return NULL;
}

double kt_explain_top_client(struct kt_detect *d, int64_t began, enum kt_measure m)
{
    struct kt_incident in = {.class = KT_C_DROP, .began = began, .best = {.measure = m}};
    struct kt_change change;
    struct kt_causes causes = {0};
    int rc = kt_change_take(d, &change, &in);
    if (rc == KT_OK)
        rc = kt_causes_of(&change, &causes);
    kt_change_fini(&change);
    if (rc != KT_OK)
        return 1;
    const struct kt_cause *top = kt_cause_top(&causes, KT_BY_CLIENT, 0);
    return top ? top->share : 0;
}
