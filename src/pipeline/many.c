/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * One thread reads, decodes and deals packets out to N workers in parcels. A parcel carries copies
 * of the packets' views and holds the blocks their bytes lie in; it goes back to the reader empty.
 * All queues are bounded: a slow worker slows the reader. */
#include "internal.h"
#include <pthread.h>
#include <stdlib.h>

enum {
    PARCELS = 16,      /* on their way to one worker */
    PARCEL_BLOCKS = 4, /* blocks that one parcel may hold */
};

struct parcel {
    unsigned n, blocks;
    bool has_tick;
    struct kt_tick tick;
    struct kt_block *block[PARCEL_BLOCKS];
    struct kt_packet packet[KT_BATCH];
};

struct hand {
    struct kt_run *run;
    void *worker;
    struct kt_ring *work, *back, *results;
    struct parcel *open;
    struct parcel *all;
    pthread_t thread;
    bool started;
};

struct dealer {
    struct kt_run *run;
    struct kt_feed feed;
    struct kt_steer *steer;
    struct hand *hand;
};

static void *work(void *arg)
{
    struct hand *h = arg;
    void *item;
    while (kt_ring_pop(h->work, &item) == KT_OK) {
        struct parcel *p = item;
        if (p->n)
            kt_worker_packets(h->run, h->worker, p->packet, p->n);
        for (unsigned i = 0; i < p->blocks; i++)
            kt_block_release(p->block[i]);
        if (p->has_tick)
            kt_worker_tick(h->run, h->worker, &p->tick, h->results);
        if (kt_ring_push(h->back, p) != KT_OK)
            break;
    }
    kt_ring_close(h->results);
    return NULL;
}

static struct parcel *open_parcel(struct hand *h)
{
    void *item;
    if (!h->open && kt_ring_pop(h->back, &item) == KT_OK) {
        h->open = item;
        h->open->n = h->open->blocks = 0;
        h->open->has_tick = false;
    }
    return h->open;
}

static void send_parcel(struct hand *h)
{
    if (h->open && kt_ring_push(h->work, h->open) == KT_OK)
        h->open = NULL;
}

static void deal(struct hand *h, const struct kt_packet *p, struct kt_block *block)
{
    struct parcel *parcel = open_parcel(h);
    if (!parcel)
        return;
    if (parcel->blocks == 0 || parcel->block[parcel->blocks - 1] != block) {
        if (parcel->blocks == PARCEL_BLOCKS) {
            send_parcel(h);
            parcel = open_parcel(h);
            if (!parcel)
                return;
        }
        kt_block_hold(block);
        parcel->block[parcel->blocks++] = block;
    }
    parcel->packet[parcel->n++] = *p;
    if (parcel->n == KT_BATCH)
        send_parcel(h);
}

static void tick_all(struct dealer *d, const struct kt_tick *tick)
{
    for (unsigned w = 0; w < d->run->workers; w++) {
        struct parcel *p = open_parcel(&d->hand[w]);
        if (!p)
            continue;
        p->has_tick = true;
        p->tick = *tick;
        send_parcel(&d->hand[w]);
    }
}

static void *read_all(void *arg)
{
    struct dealer *d = arg;
    struct kt_run *r = d->run;
    struct kt_packet packets[KT_BATCH];
    struct kt_batch batch = {.packet = packets};
    struct kt_intervals iv = {.length = r->interval, .silence = r->opt->silence, .start = -1};
    struct kt_tick tick;
    while (!kt_run_stopped(r) && kt_feed_read(&d->feed, &batch) == KT_OK) {
        kt_steer_decode(d->steer, packets, batch.n, r->stats);
        kt_run_look(r, packets, batch.n);
        for (unsigned i = 0; i < batch.n; i++) {
            while (!kt_run_stopped(r) && kt_intervals_due(&iv, packets[i].ts, &tick))
                tick_all(d, &tick);
            iv.since++;
            deal(&d->hand[kt_steer_owner(&packets[i], r->workers)], &packets[i], batch.block);
        }
    }
    tick = kt_intervals_last(&iv);
    tick_all(d, &tick);
    for (unsigned w = 0; w < r->workers; w++)
        kt_ring_close(d->hand[w].work);
    return NULL;
}

static int hand_init(struct hand *h, struct kt_run *r, unsigned number)
{
    h->run = r;
    h->all = calloc(PARCELS, sizeof *h->all);
    if (!h->all || kt_ring_new(&h->work, PARCELS) < 0 || kt_ring_new(&h->back, PARCELS) < 0 ||
        kt_ring_new(&h->results, 4) < 0)
        return KT_ENOMEM;
    for (int i = 0; i < PARCELS; i++)
        if (kt_ring_push(h->back, &h->all[i]) != KT_OK)
            return KT_ENOMEM;
    h->worker = r->ops->worker_new(r->ctx, number);
    return h->worker ? KT_OK : KT_ENOMEM;
}

static void hand_fini(struct hand *h)
{
    if (h->worker)
        h->run->ops->worker_free(h->worker);
    kt_ring_free(h->work);
    kt_ring_free(h->back);
    kt_ring_free(h->results);
    free(h->all);
}

static int start(struct dealer *d, pthread_t *reader)
{
    struct kt_run *r = d->run;
    for (unsigned w = 0; w < r->workers; w++)
        if (hand_init(&d->hand[w], r, w) < 0)
            return KT_ENOMEM;
    for (unsigned w = 0; w < r->workers; w++) {
        struct hand *h = &d->hand[w];
        h->started = pthread_create(&h->thread, NULL, work, h) == 0;
        if (!h->started)
            return KT_ENOMEM;
    }
    return pthread_create(reader, NULL, read_all, d) == 0 ? KT_OK : KT_ENOMEM;
}

int kt_run_many(struct kt_run *r, struct kt_error *err)
{
    struct hand hand[KT_WORKERS_MAX] = {0};
    struct dealer d = {
        .run = r,
        /* A parcel that is not full yet pins PARCEL_BLOCKS at most: with more blocks than that a
         * reader that waits for one can count on a worker to give it back. */
        .feed = {.run = r,
                 .source = {.blocks = (r->workers * 2 + 2) * PARCEL_BLOCKS, .stop = r->opt->stop}},
        .steer = kt_steer_new(r->seed),
        .hand = hand};
    pthread_t reader;
    int rc = d.steer ? start(&d, &reader) : KT_ENOMEM;
    if (rc == KT_OK) {
        struct kt_ring *results[KT_WORKERS_MAX];
        for (unsigned w = 0; w < r->workers; w++)
            results[w] = hand[w].results;
        kt_report_loop(r, results);
        pthread_join(reader, NULL);
    } else {
        kt_fail(err, rc, 0, "no memory or no threads for %u workers", r->workers);
        for (unsigned w = 0; w < r->workers; w++)
            if (hand[w].started)
                kt_ring_close(hand[w].work);
    }
    for (unsigned w = 0; w < r->workers; w++)
        if (hand[w].started)
            pthread_join(hand[w].thread, NULL);
    kt_feed_close(&d.feed);
    for (unsigned w = 0; w < r->workers; w++)
        if (hand[w].run)
            hand_fini(&hand[w]);
    kt_steer_free(d.steer);
    if (rc == KT_OK)
        rc = r->code;
    if (rc == KT_OK && d.feed.fault.code) {
        if (err)
            *err = d.feed.fault;
        rc = d.feed.fault.code;
    }
    return rc;
}
