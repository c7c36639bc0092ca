/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Live, packets that came to one ring and belong to another one's worker. They travel as views, in
 * parcels that hold the block their bytes lie in. Nobody waits: a worker that is too slow loses
 * packets, and they are counted. */
#include "internal.h"
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    PARCEL = 64,  /* packets */
    PARCELS = 64, /* of each lane, under way or waiting to be worked on */
};

struct kt_parcel {
    struct kt_parcel *next;
    unsigned from, n;
    struct kt_block *block;
    struct kt_packet packet[PARCEL];
};

struct box {
    pthread_mutex_t lock;
    struct kt_parcel *first, **last; /* for this lane */
    struct kt_parcel *idle;          /* this lane's own, to be filled */
    unsigned made;
    int wake;
    bool awake;                             /* wake was written to, and not read */
    struct kt_parcel *open[KT_WORKERS_MAX]; /* by whom they are for; its own thread's */
};

struct kt_handover {
    unsigned lanes;
    struct box box[];
};

struct kt_handover *kt_handover_new(unsigned lanes)
{
    struct kt_handover *h = calloc(1, sizeof *h + lanes * sizeof *h->box);
    if (!h)
        return NULL;
    h->lanes = lanes;
    for (unsigned i = 0; i < lanes; i++) {
        struct box *b = &h->box[i];
        pthread_mutex_init(&b->lock, NULL);
        b->last = &b->first;
        b->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); /* without one it is a little slower */
    }
    return h;
}

static void free_all(struct kt_parcel *p)
{
    while (p) {
        struct kt_parcel *next = p->next;
        if (p->block)
            kt_block_release(p->block);
        free(p);
        p = next;
    }
}

void kt_handover_free(struct kt_handover *h)
{
    if (!h)
        return;
    for (unsigned i = 0; i < h->lanes; i++) {
        struct box *b = &h->box[i];
        free_all(b->first);
        free_all(b->idle);
        for (unsigned to = 0; to < h->lanes; to++)
            free_all(b->open[to]);
        if (b->wake >= 0)
            close(b->wake);
        pthread_mutex_destroy(&b->lock);
    }
    free(h);
}

int kt_handover_wake(const struct kt_handover *h, unsigned lane)
{
    return h->box[lane].wake > 0 ? h->box[lane].wake : 0;
}

static struct kt_parcel *open_parcel(struct box *b, unsigned from, struct kt_block *block)
{
    pthread_mutex_lock(&b->lock);
    struct kt_parcel *p = b->idle;
    if (p)
        b->idle = p->next;
    pthread_mutex_unlock(&b->lock);
    if (!p && b->made < PARCELS && (p = malloc(sizeof *p)))
        b->made++;
    if (!p)
        return NULL;
    p->next = NULL;
    p->from = from;
    p->n = 0;
    p->block = block;
    kt_block_hold(block);
    return p;
}

static void send_parcel(struct kt_handover *h, unsigned from, unsigned to)
{
    struct kt_parcel *p = h->box[from].open[to];
    struct box *b = &h->box[to];
    h->box[from].open[to] = NULL;
    pthread_mutex_lock(&b->lock);
    *b->last = p;
    b->last = &p->next;
    if (!b->awake && b->wake >= 0)
        b->awake = write(b->wake, &(uint64_t){1}, sizeof(uint64_t)) > 0;
    pthread_mutex_unlock(&b->lock);
}

bool kt_handover_give(struct kt_handover *h, unsigned from, unsigned to, const struct kt_packet *p,
                      struct kt_block *block)
{
    struct kt_parcel **open = &h->box[from].open[to];
    if (!*open && !(*open = open_parcel(&h->box[from], from, block)))
        return false;
    (*open)->packet[(*open)->n++] = *p;
    if ((*open)->n == PARCEL)
        send_parcel(h, from, to);
    return true;
}

void kt_handover_send(struct kt_handover *h, unsigned from)
{
    for (unsigned to = 0; to < h->lanes; to++)
        if (h->box[from].open[to])
            send_parcel(h, from, to);
}

static void give_back(struct kt_handover *h, struct kt_parcel *p)
{
    struct box *owner = &h->box[p->from];
    kt_block_release(p->block);
    p->block = NULL;
    pthread_mutex_lock(&owner->lock);
    p->next = owner->idle;
    owner->idle = p;
    pthread_mutex_unlock(&owner->lock);
}

struct kt_packet *kt_handover_take(struct kt_handover *h, unsigned lane, unsigned *n,
                                   struct kt_parcel **held)
{
    struct box *b = &h->box[lane];
    if (*held)
        give_back(h, *held);
    *held = NULL;
    pthread_mutex_lock(&b->lock);
    struct kt_parcel *p = b->first;
    if (p) {
        b->first = p->next;
        if (!b->first)
            b->last = &b->first;
    }
    if (b->awake) {
        uint64_t count;
        b->awake = read(b->wake, &count, sizeof count) < 0;
    }
    pthread_mutex_unlock(&b->lock);
    if (!p)
        return NULL;
    p->next = NULL;
    *held = p;
    *n = p->n;
    return p->packet;
}
