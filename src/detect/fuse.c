/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Fusion: signals that belong together become one incident, which is told as one event. What an
 * incident at hand explains (the refusals of a scan, the rebound after an outage) is none.
 */
#include "internal.h"

#include <math.h>
#include <stdlib.h>

#define TOGETHER 15 /* intervals within which beginnings belong together */

static int64_t gap(int64_t a, int64_t b)
{
    return a < b ? b - a : a - b;
}

struct kt_incident *kt_fuse_recent(struct kt_detect *d, enum kt_class class, unsigned after)
{
    for (unsigned i = d->incidents; i-- > 0;) {
        struct kt_incident *in = &d->incident[i];
        if (in->class == class && (in->open || in->last + (int64_t)after * d->length > d->start))
            return in;
    }
    return NULL;
}

static bool same_addr(const uint8_t a[16], const uint8_t b[16])
{
    return !memcmp(a, b, 16);
}

static bool belongs(const struct kt_detect *d, const struct kt_incident *in,
                    const struct kt_signal *s)
{
    if (in->class != s->class || d->now > in->raised_at + KT_QUIET + KT_REOPEN)
        return false;
    bool together = gap(in->began, s->began) <= TOGETHER * d->length;
    switch (s->class) {
    case KT_C_SCAN:
        return same_addr(in->best.addr, s->addr);
    case KT_C_OUTAGE:
        for (unsigned i = 0; i < in->servers; i++)
            if (same_addr(in->server[i].addr, s->addr))
                return true;
        return in->open && together;
    case KT_C_SURGE:
        if (in->open || s->stream_kind != KT_STREAM_APP)
            return true;
        for (unsigned i = 0; i < in->streams; i++)
            if (in->stream[i] == (uint32_t)s->stream)
                return true;
        return in->best.stream_kind != KT_STREAM_APP;
    default:
        return true;
    }
}

/* The incident that already explains this signal. */
static struct kt_incident *explained(struct kt_detect *d, const struct kt_signal *s)
{
    struct kt_incident *scan = kt_fuse_recent(d, KT_C_SCAN, 20);
    struct kt_incident *outage = kt_fuse_recent(d, KT_C_OUTAGE, 30);
    struct kt_incident *path = kt_fuse_recent(d, KT_C_PATH, 20);
    struct kt_incident *surge = kt_fuse_recent(d, KT_C_SURGE, 20);
    struct kt_incident *drop = kt_fuse_recent(d, KT_C_DROP, 20);
    switch (s->class) {
    case KT_C_SURGE:
        if (scan && (s->measure == KT_M_FLOWS ||
                     kt_explain_share(d, s->began, s->measure, scan->best.addr, false) > 0.4))
            return scan;
        if (outage && (s->measure == KT_M_FLOWS ||
                       kt_explain_share(d, s->began, s->measure, outage->best.addr, true) > 0.4))
            return outage;
        /* What was held up comes all at once. */
        if (path && s->began > path->began + 5 * d->length && s->strength < 2)
            return path;
        return drop && (s->measure == KT_M_FLOWS || s->strength < 2) ? drop : NULL;
    case KT_C_PATH:
        return surge && gap(s->began, surge->began) <= 8 * d->length ? surge : NULL;
    case KT_C_DROP:
        if (s->after == 0 && s->stream_kind == KT_STREAM_TOTAL)
            return NULL; /* that nothing comes through at all is news, whatever was before */
        return outage ? outage : path ? path : surge ? surge : scan;
    default:
        return NULL;
    }
}

static void add_stream(struct kt_incident *in, int stream)
{
    if (stream < 0 || in->streams == KT_ARRAY_LEN(in->stream))
        return;
    for (unsigned i = 0; i < in->streams; i++)
        if (in->stream[i] == (uint32_t)stream)
            return;
    in->stream[in->streams++] = (uint32_t)stream;
}

static double combined(const struct kt_incident *in)
{
    double best = 0, rest = 1;
    for (unsigned i = 0; i < KT_ARRAY_LEN(in->confidence); i++)
        best = fmax(best, in->confidence[i]);
    /* Detectors see the same traffic: what a second one adds is discounted. */
    bool first = true;
    for (unsigned i = 0; i < KT_ARRAY_LEN(in->confidence); i++) {
        if (in->confidence[i] == best && first)
            first = false;
        else
            rest *= 1 - in->confidence[i] / 2;
    }
    return fmin(0.99, 1 - (1 - best) * rest);
}

static const char *kind_of(const struct kt_incident *in)
{
    switch (in->class) {
    case KT_C_SCAN:
        return "scan";
    case KT_C_OUTAGE:
        return "outage";
    case KT_C_PATH:
        return in->best.strength >= in->loss.strength ? "latency" : "loss";
    case KT_C_SURGE:
        return "surge";
    default:
        return "drop";
    }
}

static int tell(struct kt_detect *d, struct kt_incident *in, int64_t ended)
{
    /* Once it has ceased, what came since says nothing of it. */
    bool news = in->told_at == UINT64_MAX;
    bool fresh = d->iv && ended == 0 && (news || in->last > in->explained);
    int rc = kt_explain(d, in, fresh);
    if (rc != KT_OK)
        return rc;
    in->told_at = d->now;
    struct kt_event e = {
        .id = in->id,
        .began = in->began,
        .noticed = in->noticed,
        .ended = ended,
        .confidence = combined(in),
        .severity = in->severity,
        .causes = in->causes,
        .filter = in->filter,
        .streams = in->stream_text,
    };
    memcpy(e.kind, kind_of(in), strlen(kind_of(in)) + 1);
    memcpy(e.title, in->title, sizeof(e.title));
    return d->fn ? d->fn(d->ctx, &e) : KT_OK;
}

static void drop_incident(struct kt_detect *d, unsigned i)
{
    free(d->incident[i].causes);
    free(d->incident[i].filter);
    free(d->incident[i].stream_text);
    d->incidents--;
    memmove(&d->incident[i], &d->incident[i + 1], (d->incidents - i) * sizeof(d->incident[0]));
}

static struct kt_incident *incident_new(struct kt_detect *d, const struct kt_signal *s)
{
    for (unsigned i = 0; d->incidents == KT_INCIDENTS && i < KT_INCIDENTS; i++)
        if (!d->incident[i].open)
            drop_incident(d, i);
    if (d->incidents == KT_INCIDENTS)
        return NULL;
    struct kt_incident *in = &d->incident[d->incidents++];
    *in = (struct kt_incident){
        .id = ++d->last_id,
        .class = s->class,
        .open = true,
        .noticed_at = d->now,
        .noticed = d->start + d->length,
        .began = s->began,
    };
    return in;
}

static void add_server(struct kt_incident *in, const struct kt_signal *s)
{
    for (unsigned i = 0; i < in->servers; i++) {
        if (same_addr(in->server[i].addr, s->addr) && in->server[i].port == s->port) {
            in->server[i] = *s;
            return;
        }
    }
    if (in->servers < KT_ARRAY_LEN(in->server))
        in->server[in->servers++] = *s;
}

static bool better(const struct kt_signal *a, const struct kt_signal *b)
{
    if (a->class == KT_C_SURGE && a->measure != b->measure)
        return a->measure < b->measure; /* bytes say most */
    return a->strength > b->strength;
}

static void merge(struct kt_incident *in, const struct kt_signal *s)
{
    if (s->class == in->class) {
        if (s->by & KT_BY_LOSS) {
            if (s->strength >= in->loss.strength)
                in->loss = *s;
        } else if (!in->best.by || in->class == KT_C_SCAN || better(s, &in->best))
            in->best = *s;
        if (s->class == KT_C_OUTAGE)
            add_server(in, s);
        /* Round trips tell the beginning of a fault sharper than losses do. */
        bool vague = s->by & KT_BY_LOSS && in->by & KT_BY_LATENCY;
        bool sharper = s->by & KT_BY_LATENCY && in->by == KT_BY_LOSS;
        if ((s->began < in->began && !vague) || sharper)
            in->began = s->began;
        for (int i = 0; i < 4; i++)
            if (s->by & 1u << i)
                in->confidence[i] = fmax(in->confidence[i], s->confidence);
        in->severity = fmax(in->severity, s->severity);
    }
    in->by |= s->by;
    add_stream(in, s->stream);
}

/* A surge that brings delay and loss with it is a surge: it takes over what was told as those. */
static struct kt_incident *take_over(struct kt_detect *d, const struct kt_signal *s)
{
    if (s->class != KT_C_SURGE)
        return NULL;
    struct kt_incident *path = kt_fuse_recent(d, KT_C_PATH, 0);
    if (!path || gap(path->began, s->began) > 5 * d->length)
        return NULL;
    path->class = KT_C_SURGE;
    memset(path->confidence, 0, sizeof(path->confidence));
    path->best = (struct kt_signal){0};
    path->severity = 0;
    return path;
}

int kt_fuse_raise(struct kt_detect *d, const struct kt_signal *s)
{
    struct kt_incident *in = NULL;
    for (unsigned i = d->incidents; i-- > 0 && !in;)
        if (belongs(d, &d->incident[i], s))
            in = &d->incident[i];
    bool news = false;
    if (!in && (in = take_over(d, s)))
        news = true;
    if (!in) {
        struct kt_incident *why = explained(d, s);
        if (why) {
            add_stream(why, s->stream);
            kt_activity_taint(d, s->began);
            return KT_OK;
        }
        in = incident_new(d, s);
        if (!in)
            return KT_OK;
        news = true;
    }
    if (!in->open) {
        in->open = true; /* it was a dip only */
        news = true;
    }
    unsigned by = in->by, streams = in->streams, servers = in->servers;
    merge(in, s);
    in->raised_at = d->now;
    if (s->last > in->last)
        in->last = s->last;
    if (!in->accepted)
        kt_activity_taint(d, in->began - d->length);
    if (by != in->by || streams != in->streams || servers != in->servers)
        news = true;
    if (news)
        in->told_at = UINT64_MAX; /* at the end of this step, when all have spoken */
    return KT_OK;
}

static bool due(const struct kt_detect *d, const struct kt_incident *in)
{
    uint64_t age = d->now - in->noticed_at;
    return in->told_at == UINT64_MAX || age == 3 || age == 8 || age == 15 ||
           (age % 60 == 0 && in->told_at != d->now);
}

int kt_fuse_step(struct kt_detect *d)
{
    for (unsigned i = 0; i < d->incidents; i++) {
        struct kt_incident *in = &d->incident[i];
        if (!in->open)
            continue;
        int rc = KT_OK;
        if (d->now >= in->raised_at + KT_QUIET) {
            in->open = false;
            rc = tell(d, in, in->last);
        } else if (in->raised_at == d->now && due(d, in))
            rc = tell(d, in, 0);
        if (rc != KT_OK)
            return rc;
        if (in->open && !in->accepted)
            kt_activity_now(d)->tainted = true;
        if (d->now >= in->noticed_at + KT_NORMAL && kt_activity_now(d)->n)
            in->accepted = true;
    }
    return KT_OK;
}

int kt_fuse_end(struct kt_detect *d)
{
    for (unsigned i = 0; i < d->incidents; i++) {
        struct kt_incident *in = &d->incident[i];
        if (!in->open)
            continue;
        in->open = false;
        int rc = tell(d, in, in->last);
        if (rc != KT_OK)
            return rc;
    }
    return KT_OK;
}

void kt_fuse_forget(struct kt_detect *d)
{
    while (d->incidents)
        drop_incident(d, d->incidents - 1);
}
