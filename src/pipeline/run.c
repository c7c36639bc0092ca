/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "internal.h"

static int tick_inline(struct kt_run *r, void *worker, const struct kt_tick *tick)
{
    void *result = NULL;
    int rc = r->ops->tick(worker, tick, &result);
    return rc == KT_OK ? r->ops->report(r->ctx, tick, &result, 1) : rc;
}

/* Passes on the packets of a batch in the longest runs that no tick cuts. */
static int batch_inline(struct kt_run *r, void *worker, struct kt_intervals *iv,
                        const struct kt_batch *batch)
{
    struct kt_tick tick;
    unsigned from = 0;
    int rc = KT_OK;
    for (unsigned i = 0; i < batch->n && rc == KT_OK; i++) {
        while (rc == KT_OK && !kt_intervals_inside(iv, batch->packet[i].ts) && !kt_run_stopped(r) &&
               kt_intervals_due(iv, batch->packet[i].ts, &tick)) {
            if (i > from)
                rc = r->ops->packets(worker, batch->packet + from, i - from);
            from = i;
            if (rc == KT_OK)
                rc = tick_inline(r, worker, &tick);
        }
        iv->since++;
    }
    if (rc == KT_OK && batch->n > from)
        rc = r->ops->packets(worker, batch->packet + from, batch->n - from);
    return rc;
}

int kt_run_inline(struct kt_run *r, struct kt_error *err)
{
    struct kt_packet packets[KT_BATCH];
    struct kt_batch batch = {.packet = packets};
    struct kt_feed feed = {.run = r, .source = {.stop = r->opt->stop}};
    struct kt_intervals iv = {.length = r->interval, .silence = r->opt->silence, .start = -1};
    struct kt_steer *steer = kt_steer_new(r->seed);
    void *worker = steer ? r->ops->worker_new(r->ctx, 0) : NULL;
    int rc = worker ? KT_OK : kt_fail(err, KT_ENOMEM, 0, "no memory for a worker");
    while (rc == KT_OK && !kt_run_stopped(r) && kt_feed_read(&feed, &batch) == KT_OK) {
        kt_steer_decode(steer, packets, batch.n, r->stats);
        kt_run_look(r, packets, batch.n);
        rc = batch_inline(r, worker, &iv, &batch);
    }
    if (rc == KT_OK) {
        struct kt_tick last = kt_intervals_last(&iv);
        rc = tick_inline(r, worker, &last);
    }
    kt_feed_close(&feed);
    if (worker)
        r->ops->worker_free(worker);
    kt_steer_free(steer);
    if (rc == KT_OK && feed.fault.code) {
        if (err)
            *err = feed.fault;
        rc = feed.fault.code;
    }
    return rc;
}

static uint64_t total_size(const struct kt_pipeline_options *o)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < o->input_count; i++)
        sum += kt_source_size(o->registry, o->inputs[i]);
    return sum;
}

int kt_pipeline_run(const struct kt_pipeline_options *o, const struct kt_pipeline_ops *ops,
                    void *ctx, struct kt_pipeline_stats *stats, struct kt_error *err)
{
    struct kt_run run = {.opt = o,
                         .ops = ops,
                         .ctx = ctx,
                         .stats = stats,
                         .workers = o->workers ? o->workers : 1,
                         .interval = o->interval ? o->interval : KT_SECOND};
    if (o->input_count == 0)
        return kt_fail(err, KT_EINVAL, 0, "no input given");
    if (run.workers > KT_WORKERS_MAX)
        return kt_fail(err, KT_EINVAL, 0, "%u workers asked for, at most %d can be had",
                       run.workers, KT_WORKERS_MAX);
    if (run.interval < KT_SECOND)
        return kt_fail(err, KT_EINVAL, 0, "an interval must last a second at least");
    run.seed = kt_random_seed();
    bool live = false;
    for (unsigned i = 0; i < o->input_count; i++)
        live |= kt_source_is_live(o->registry, o->inputs[i]);
    if (live && o->input_count > 1)
        return kt_fail(err, KT_EINVAL, 0, "%s: a live interface can't be joined with other inputs",
                       o->inputs[0]);
    if (live)
        return kt_run_live(&run, err);
    kt_count_set(&stats->bytes_total, total_size(o));
    return run.workers == 1 ? kt_run_inline(&run, err) : kt_run_many(&run, err);
}
