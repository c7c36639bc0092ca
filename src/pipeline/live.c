/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * A capture ring and a thread per worker. The kernel puts nearly every packet on the ring of the
 * worker that owns its flow; who finds another's (a fragment, a packet deep in tunnels) hands it
 * on. The wall clock closes an interval a little after its end, when a ring had time to hand over
 * its last packets. */
#include "internal.h"
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define LATENESS (KT_SECOND * 3 / 10)

/* The end that all lanes agree on. */
struct finish {
    struct kt_flag ending; /* a lane stopped: all do */
    int64_t start;         /* of the last interval that any lane has opened */
    unsigned lanes, here;
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

struct lane {
    struct kt_run *run;
    struct finish *finish;
    unsigned number;
    void *worker;
    struct kt_source *src;
    struct kt_steer *steer;
    struct kt_handover *handover; /* all lanes' */
    struct kt_ring *results;
    struct kt_intervals iv;
    uint64_t lost;
    struct kt_error fault;
    pthread_t thread;
    bool started;
};

static void tick_until(struct lane *l, int64_t now)
{
    struct kt_tick tick;
    while (kt_intervals_due(&l->iv, now, &tick))
        if (tick.closes) /* lanes fill at different speeds: only the clock may tick here */
            kt_worker_tick(l->run, l->worker, &tick, l->results);
}

static void count_lost(struct lane *l)
{
    struct kt_trace_stats st;
    kt_source_stats(l->src, &st);
    uint64_t lost = st.lost_nic + st.lost_ring;
    kt_count_add(&l->run->stats->lost, lost - l->lost);
    l->lost = lost;
}

/* Hands packets to the lane's worker in runs that no tick cuts. */
static void work(struct lane *l, const struct kt_packet *p, unsigned n)
{
    struct kt_run *r = l->run;
    unsigned from = 0;
    for (unsigned i = 0; i < n; i++) {
        if (p[i].ts - l->iv.start >= l->iv.length) {
            if (i > from)
                kt_worker_packets(r, l->worker, p + from, i - from);
            from = i;
            tick_until(l, p[i].ts);
        }
    }
    if (n > from)
        kt_worker_packets(r, l->worker, p + from, n - from);
}

/* Keeps the packets of this lane's flows and gives the others to whose they are. Returns how many
 * stay. */
static unsigned share(struct lane *l, struct kt_packet *p, unsigned n, struct kt_block *block)
{
    struct kt_run *r = l->run;
    unsigned kept = 0, lost = 0;
    for (unsigned i = 0; i < n; i++) {
        unsigned owner = kt_fanout_lane(&p[i].key, r->workers);
        if (KT_UNLIKELY(owner != l->number))
            lost += !kt_handover_give(l->handover, l->number, owner, &p[i], block);
        else if (kept++ != i)
            p[kept - 1] = p[i];
    }
    if (kept < n)
        kt_handover_send(l->handover, l->number);
    if (lost) {
        kt_count_add(&r->stats->lost_handover, lost);
        kt_count_add(&r->stats->lost, lost);
    }
    return kept;
}

static void take(struct lane *l, struct kt_batch *b)
{
    struct kt_run *r = l->run;
    unsigned n = b->n;
    kt_steer_decode(l->steer, b->packet, n, r->stats);
    for (unsigned i = 0; i < n; i++)
        b->packet[i].seq = b->packet[i].seq * r->workers + l->number; /* unique among the lanes */
    kt_run_look(r, b->packet, n);
    if (r->workers > 1 && n)
        n = share(l, b->packet, n, b->block);
    work(l, b->packet, n);
}

/* Works on what other lanes gave. */
static void take_given(struct lane *l)
{
    struct kt_parcel *held = NULL;
    const struct kt_packet *p;
    unsigned n;
    while ((p = kt_handover_take(l->handover, l->number, &n, &held)))
        work(l, p, n);
}

/* All lanes close the same number of intervals, whenever each saw the end. */
static void finish(struct lane *l)
{
    struct finish *f = l->finish;
    kt_flag_set(&f->ending);
    pthread_mutex_lock(&f->lock);
    if (l->iv.start > f->start)
        f->start = l->iv.start;
    f->here++;
    pthread_cond_broadcast(&f->changed);
    while (f->here < f->lanes)
        pthread_cond_wait(&f->changed, &f->lock);
    pthread_mutex_unlock(&f->lock);
    take_given(l); /* nobody gives any more */
    tick_until(l, f->start);
    struct kt_tick last = kt_intervals_last(&l->iv);
    kt_worker_tick(l->run, l->worker, &last, l->results);
    kt_ring_close(l->results);
}

static void *run_lane(void *arg)
{
    struct lane *l = arg;
    struct kt_run *r = l->run;
    struct kt_packet packets[KT_BATCH];
    struct kt_batch batch = {.packet = packets};
    while (!kt_run_stopped(r) && !kt_flag_get(&l->finish->ending)) {
        int rc = kt_source_read(l->src, &batch, &l->fault);
        if (rc != KT_OK)
            break;
        take(l, &batch);
        take_given(l);
        if (batch.n < KT_BATCH) {
            tick_until(l, kt_now() - LATENESS);
            count_lost(l);
        }
    }
    finish(l);
    return NULL;
}

static int lane_init(struct lane *l, struct kt_run *r, unsigned number, int64_t now,
                     struct kt_error *err)
{
    struct kt_source_options so = {.streams = r->workers,
                                   .stream = number,
                                   .fanout = (int)getpid() & 0xffff,
                                   .wake = kt_handover_wake(l->handover, number),
                                   .filter = r->opt->filter};
    l->run = r;
    l->number = number;
    l->iv = (struct kt_intervals){
        .length = r->interval, .start = now - now % r->interval, .live = true};
    int rc = kt_source_open(&l->src, r->opt->registry, r->opt->inputs[0], &so, err);
    if (rc < 0)
        return rc;
    l->steer = kt_steer_new(r->seed);
    if (!l->steer || kt_ring_new(&l->results, 64) < 0 ||
        !(l->worker = r->ops->worker_new(r->ctx, number)))
        return kt_fail(err, KT_ENOMEM, 0, "no memory for a worker");
    return KT_OK;
}

static void lane_fini(struct lane *l)
{
    if (l->worker)
        l->run->ops->worker_free(l->worker);
    kt_ring_free(l->results);
    kt_steer_free(l->steer);
    kt_source_close(l->src);
}

int kt_run_live(struct kt_run *r, struct kt_error *err)
{
    struct lane lane[KT_WORKERS_MAX] = {0};
    int64_t now = kt_now();
    int rc = KT_OK;
    struct finish end = {.lanes = r->workers,
                         .lock = PTHREAD_MUTEX_INITIALIZER,
                         .changed = PTHREAD_COND_INITIALIZER};
    struct kt_handover *handover = kt_handover_new(r->workers);
    if (!handover)
        return kt_fail(err, KT_ENOMEM, 0, "no memory for %u workers", r->workers);
    for (unsigned w = 0; w < r->workers && rc == KT_OK; w++) {
        lane[w].handover = handover;
        rc = lane_init(&lane[w], r, w, now, err);
    }
    for (unsigned w = 0; w < r->workers && rc == KT_OK; w++) {
        lane[w].finish = &end;
        lane[w].started = pthread_create(&lane[w].thread, NULL, run_lane, &lane[w]) == 0;
        if (lane[w].started)
            continue;
        rc = kt_fail(err, KT_ENOMEM, 0, "no thread for a worker");
        pthread_mutex_lock(&end.lock);
        end.lanes = w;
        pthread_cond_broadcast(&end.changed);
        pthread_mutex_unlock(&end.lock);
    }
    if (rc == KT_OK) {
        kt_count_set(&r->stats->inputs, 1);
        struct kt_ring *results[KT_WORKERS_MAX];
        for (unsigned w = 0; w < r->workers; w++)
            results[w] = lane[w].results;
        kt_report_loop(r, results);
        rc = r->code;
    } else {
        kt_run_fail(r, rc);
    }
    for (unsigned w = 0; w < r->workers; w++)
        if (lane[w].started)
            pthread_join(lane[w].thread, NULL);
    kt_handover_free(handover);
    for (unsigned w = 0; w < r->workers; w++) {
        if (rc == KT_OK && lane[w].fault.code) {
            rc = lane[w].fault.code;
            if (err)
                *err = lane[w].fault;
        }
        if (lane[w].run)
            lane_fini(&lane[w]);
    }
    return rc;
}
