/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "internal.h"
#include <kotare/pipeline.h>
#include <stdlib.h>

#define FLOWS_AT_ONCE 256

/* Ids beside the records, so that sorting looks at nothing else. */
struct ended {
    uint64_t id;
    const struct kt_flow_record *record;
};

struct kt_collect {
    struct kt_collect_options opt;
    struct streams streams;
    struct ports ports;
    struct health health;
    uint32_t total, up, down;
    uint32_t *app_stream, *category_stream; /* by app */
    struct kt_app_total *totals;
    int64_t first_interval;
    bool begun;
    struct kt_slice *merged; /* the slices of several workers in trace order */
    size_t merged_cap;
    struct kt_sample *samples; /* what the callback gets: rtt only when sampled */
    size_t samples_cap;
    struct kt_point *points;
    size_t points_n, points_cap;
    struct announcers *announcers;
    struct ended *order;
    size_t order_cap;
    struct kt_relabel *relabels; /* of all workers */
    size_t relabels_cap;
    struct kt_flow_record flows[FLOWS_AT_ONCE];
    size_t flows_n;
};

int kt_collect_new(struct kt_collect **collect, const struct kt_collect_options *opt,
                   struct kt_error *err)
{
    struct kt_collect *c = *collect = calloc(1, sizeof *c);
    if (!c)
        return kt_fail(err, KT_ENOMEM, 0, "no memory for the collector");
    c->opt = *opt;
    unsigned apps = kt_rules_apps(opt->rules);
    c->app_stream = malloc(apps * sizeof *c->app_stream);
    c->category_stream = malloc(apps * sizeof *c->category_stream);
    c->totals = calloc(apps, sizeof *c->totals);
    kt_ports_init(&c->ports);
    c->total = kt_streams_get(&c->streams, KT_STREAM_TOTAL, "");
    c->up = kt_streams_get(&c->streams, KT_STREAM_DIRECTION, "up");
    c->down = kt_streams_get(&c->streams, KT_STREAM_DIRECTION, "down");
    int rc = kt_health_init(&c->health, &c->streams);
    if (!c->app_stream || !c->category_stream || !c->totals || rc < 0) {
        kt_collect_free(c);
        *collect = NULL;
        return kt_fail(err, KT_ENOMEM, 0, "no memory for the collector");
    }
    memset(c->app_stream, 0xff, apps * sizeof *c->app_stream);
    memset(c->category_stream, 0xff, apps * sizeof *c->category_stream);
    return KT_OK;
}

void kt_collect_free(struct kt_collect *c)
{
    if (!c)
        return;
    kt_streams_fini(&c->streams);
    kt_health_fini(&c->health);
    free(c->app_stream);
    free(c->category_stream);
    free(c->totals);
    free(c->merged);
    free(c->samples);
    free(c->points);
    free(c->order);
    free(c->announcers);
    free(c->relabels);
    free(c);
}

const struct kt_app_total *kt_collect_totals(const struct kt_collect *c)
{
    return c->totals;
}

/* ---- slices ---- */

static int app_streams(struct kt_collect *c, uint16_t app)
{
    if (c->category_stream[app] != NO_STREAM)
        return KT_OK;
    const struct kt_rules *rules = c->opt.rules;
    c->app_stream[app] = kt_streams_get(&c->streams, KT_STREAM_APP, kt_rules_app_name(rules, app));
    c->category_stream[app] =
        kt_streams_get(&c->streams, KT_STREAM_CATEGORY, kt_rules_app_category(rules, app));
    return c->app_stream[app] == NO_STREAM || c->category_stream[app] == NO_STREAM ? KT_ENOMEM
                                                                                   : KT_OK;
}

static int add_slice(struct kt_collect *c, const struct kt_slice *s)
{
    uint32_t port = kt_ports_stream(&c->ports, &c->streams, s);
    if (port == NO_STREAM || app_streams(c, s->app) < 0)
        return KT_ENOMEM;
    int64_t bytes = (int64_t)(s->bytes[0] + s->bytes[1]);
    int64_t packets = (int64_t)s->packets[0] + s->packets[1];
    int64_t began = !!(s->flags & KT_SLICE_NEW);
    kt_streams_add(&c->streams, c->total, bytes, packets, began);
    kt_streams_add(&c->streams, c->up, (int64_t)s->bytes[0], s->packets[0], began);
    kt_streams_add(&c->streams, c->down, (int64_t)s->bytes[1], s->packets[1], 0);
    kt_streams_add(&c->streams, c->app_stream[s->app], bytes, packets, began);
    kt_streams_add(&c->streams, c->category_stream[s->app], bytes, packets, began);
    kt_streams_add(&c->streams, port, bytes, packets, began);
    struct kt_app_total *t = &c->totals[s->app];
    t->bytes += (uint64_t)bytes;
    t->packets += (uint64_t)packets;
    t->flows += (uint64_t)began;
    return kt_health_slice(&c->health, &c->streams, s);
}

/* All workers' slices in the order of the trace. */
static const struct kt_slice *merge(struct kt_collect *c, struct kt_harvest *const *h, unsigned n,
                                    size_t *count)
{
    size_t all = 0, at[KT_WORKERS_MAX] = {0};
    for (unsigned w = 0; w < n; w++)
        all += h[w]->slices;
    *count = all;
    if (n == 1)
        return h[0]->slice;
    void *array = kt_array_room(c->merged, all + 1, &c->merged_cap, sizeof *c->merged);
    if (!array)
        return NULL;
    c->merged = array;
    for (size_t i = 0; i < all; i++) {
        unsigned best = n;
        for (unsigned w = 0; w < n; w++)
            if (at[w] < h[w]->slices &&
                (best == n || h[w]->slice_seq[at[w]] < h[best]->slice_seq[at[best]]))
                best = w;
        c->merged[i] = h[best]->slice[at[best]++];
    }
    return c->merged;
}

/* ---- points ---- */

static int add_point(struct kt_collect *c, uint32_t stream, int64_t ts, const int64_t *value,
                     struct kt_error *err)
{
    uint32_t *id = &c->streams.id[stream];
    if (!c->opt.store)
        return KT_OK;
    if (*id == 0) { /* the store's numbers are kept one higher: 0 is "not asked yet" */
        int rc = kt_store_stream(c->opt.store, &c->streams.stream[stream], id, err);
        if (rc < 0)
            return rc;
        ++*id;
    }
    void *array = kt_array_room(c->points, c->points_n + 1, &c->points_cap, sizeof *c->points);
    if (!array)
        return kt_fail(err, KT_ENOMEM, 0, "no memory for points");
    c->points = array;
    struct kt_point *p = &c->points[c->points_n++];
    *p = (struct kt_point){.stream = *id - 1, .ts = ts};
    memcpy(p->value, value, sizeof p->value);
    return KT_OK;
}

static int send_points(struct kt_collect *c, struct kt_error *err)
{
    int rc = KT_OK;
    if (c->opt.store && c->points_n)
        rc = kt_store_add_points(c->opt.store, c->points, c->points_n, err);
    c->points_n = 0;
    return rc;
}

static int move(struct kt_collect *c, const struct kt_relabel *r, struct kt_error *err)
{
    if (app_streams(c, r->from) < 0 || app_streams(c, r->to) < 0)
        return kt_fail(err, KT_ENOMEM, 0, "no memory for streams");
    int64_t plus[KT_VALUES] = {(int64_t)r->bytes, r->packets, r->flows};
    int64_t minus[KT_VALUES] = {-(int64_t)r->bytes, -(int64_t)r->packets, -(int64_t)r->flows};
    c->totals[r->from].bytes -= r->bytes;
    c->totals[r->from].packets -= r->packets;
    c->totals[r->from].flows -= r->flows;
    c->totals[r->to].bytes += r->bytes;
    c->totals[r->to].packets += r->packets;
    c->totals[r->to].flows += r->flows;
    int rc = add_point(c, c->app_stream[r->from], r->interval, minus, err);
    if (rc == KT_OK)
        rc = add_point(c, c->app_stream[r->to], r->interval, plus, err);
    if (rc < 0 || c->category_stream[r->from] == c->category_stream[r->to])
        return rc;
    rc = add_point(c, c->category_stream[r->from], r->interval, minus, err);
    if (rc == KT_OK)
        rc = add_point(c, c->category_stream[r->to], r->interval, plus, err);
    return rc;
}

static int close_interval(struct kt_collect *c, int64_t start, int64_t length,
                          const struct kt_slice *slices, size_t n, struct kt_error *err)
{
    struct streams *s = &c->streams;
    bool has_rtt;
    int rc = KT_OK;
    for (size_t i = 0; i < n && rc == KT_OK; i++)
        rc = add_slice(c, &slices[i]);
    if (rc < 0)
        return kt_fail(err, rc, 0, "no memory for streams");
    if (kt_health_close(&c->health, s, &has_rtt) < 0)
        return kt_fail(err, KT_ENOMEM, 0, "no memory for streams");
    if (!c->begun)
        c->first_interval = start;
    c->begun = true;
    void *array = kt_array_room(c->samples, s->n, &c->samples_cap, sizeof *c->samples);
    if (!array)
        return kt_fail(err, KT_ENOMEM, 0, "no memory for samples");
    c->samples = array;
    size_t samples = 0;
    for (uint32_t i = 0; i < s->n && rc == KT_OK; i++) {
        const int64_t *v = s->sample[i].value;
        if (i != c->health.rtt || has_rtt)
            c->samples[samples++] = s->sample[i];
        if (i == c->total || v[0] || v[1] || v[2]) /* a total says: this interval was watched */
            rc = add_point(c, i, start, v, err);
    }
    struct kt_interval interval = {.start = start,
                                   .length = length,
                                   .streams = s->stream,
                                   .stream_count = s->n,
                                   .samples = c->samples,
                                   .sample_count = samples,
                                   .slices = slices,
                                   .slice_count = n,
                                   .first_interval = c->first_interval};
    if (rc == KT_OK && c->opt.interval)
        rc = c->opt.interval(c->opt.ctx, &interval);
    for (uint32_t i = 0; i < s->n; i++)
        s->sample[i] = (struct kt_sample){.stream = i};
    return rc;
}

/* ---- flows ---- */

static int by_id(const void *a, const void *b)
{
    const struct ended *x = a, *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

static int send_flows(struct kt_collect *c)
{
    size_t n = c->flows_n;
    c->flows_n = 0;
    return n && c->opt.flows ? c->opt.flows(c->opt.ctx, c->flows, n) : KT_OK;
}

/* The record at flows[flows_n] is there. */
static int add_flow(struct kt_collect *c)
{
    struct kt_flow_record *r = &c->flows[c->flows_n++];
    if (KT_UNLIKELY(r->seen.announced))
        kt_announcers_find(c->announcers, &r->announcer);
    return c->flows_n == FLOWS_AT_ONCE ? send_flows(c) : KT_OK;
}

static int ended_flows(struct kt_collect *c, struct kt_harvest *const *h, unsigned n)
{
    size_t all = 0;
    for (unsigned w = 0; w < n; w++)
        all += h[w]->records;
    void *array = kt_array_room(c->order, all, &c->order_cap, sizeof *c->order);
    if (!array)
        return KT_ENOMEM;
    c->order = array;
    all = 0;
    for (unsigned w = 0; w < n; w++)
        for (size_t i = 0; i < h[w]->records; i++)
            c->order[all++] = (struct ended){h[w]->record[i].id, &h[w]->record[i]};
    if (all)
        qsort(c->order, all, sizeof *c->order, by_id);
    int rc = KT_OK;
    for (size_t i = 0; i < all && rc == KT_OK; i++) {
        c->flows[c->flows_n] = *c->order[i].record;
        rc = add_flow(c);
    }
    return rc == KT_OK ? send_flows(c) : rc;
}

/* The flows that are left at the end, by id over all workers. */
static int rest_flows(struct kt_collect *c, struct kt_harvest *const *h, unsigned n)
{
    uint32_t at[KT_WORKERS_MAX] = {0};
    int rc = KT_OK;
    while (rc == KT_OK) {
        unsigned best = n;
        for (unsigned w = 0; w < n; w++)
            if (at[w] < h[w]->rests &&
                (best == n || h[w]->rest[at[w]].id < h[best]->rest[at[best]].id))
                best = w;
        if (best == n)
            break;
        kt_flow_rest(h[best], at[best]++, &c->flows[c->flows_n]);
        rc = add_flow(c);
    }
    return rc == KT_OK ? send_flows(c) : rc;
}

/* ---- a tick ---- */

static int by_interval(const void *a, const void *b)
{
    const struct kt_relabel *x = a, *y = b;
    if (x->interval != y->interval)
        return x->interval < y->interval ? -1 : 1;
    if (x->from != y->from)
        return x->from < y->from ? -1 : 1;
    return x->to < y->to ? -1 : x->to > y->to;
}

/* In an order that does not tell how many workers there were; equal ones become one. */
static int relabels(struct kt_collect *c, struct kt_harvest *const *h, unsigned n,
                    struct kt_error *err)
{
    size_t all = 0;
    for (unsigned w = 0; w < n; w++)
        all += h[w]->relabels;
    if (all == 0)
        return KT_OK;
    void *array = kt_array_room(c->relabels, all, &c->relabels_cap, sizeof *c->relabels);
    if (!array)
        return kt_fail(err, KT_ENOMEM, 0, "no memory for relabels");
    c->relabels = array;
    all = 0;
    for (unsigned w = 0; w < n; w++)
        for (size_t i = 0; i < h[w]->relabels; i++)
            c->relabels[all++] = h[w]->relabel[i];
    qsort(c->relabels, all, sizeof *c->relabels, by_interval);
    int rc = KT_OK;
    for (size_t i = 0; i < all && rc == KT_OK;) {
        struct kt_relabel sum = c->relabels[i++];
        for (; i < all && by_interval(&sum, &c->relabels[i]) == 0; i++) {
            sum.bytes += c->relabels[i].bytes;
            sum.packets += c->relabels[i].packets;
            sum.flows += c->relabels[i].flows;
        }
        rc = move(c, &sum, err);
    }
    return rc;
}

int kt_collect_take(struct kt_collect *c, int64_t start, int64_t length, bool closes,
                    struct kt_harvest *const *h, unsigned n, struct kt_error *err)
{
    int rc = KT_OK;
    if (closes) {
        size_t count;
        const struct kt_slice *slices = merge(c, h, n, &count);
        if (!slices && count)
            return kt_fail(err, KT_ENOMEM, 0, "no memory for slices");
        rc = close_interval(c, start, length, slices, count, err);
    }
    if (rc == KT_OK)
        rc = relabels(c, h, n, err);
    for (unsigned w = 0; w < n && rc == KT_OK; w++)
        rc = kt_announcers_put(&c->announcers, h[w]->announcer, h[w]->announcers);
    if (rc == KT_OK)
        rc = send_points(c, err);
    if (rc == KT_OK)
        rc = ended_flows(c, h, n);
    if (rc == KT_OK)
        rc = rest_flows(c, h, n);
    return rc;
}
