/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "internal.h"
#include <pthread.h>
#include <stdlib.h>

struct kt_pool {
    pthread_mutex_t lock;
    pthread_cond_t back;
    unsigned limit, out;
    bool over; /* freed as soon as nothing is out */
    unsigned idle_count;
    struct kt_block **idle;
};

void kt_block_hold(struct kt_block *b)
{
    __atomic_fetch_add(&b->refs, 1, __ATOMIC_RELAXED);
}

void kt_block_release(struct kt_block *b)
{
    if (__atomic_fetch_sub(&b->refs, 1, __ATOMIC_ACQ_REL) == 1 && b->recycle)
        b->recycle(b);
}

static void destroy(struct kt_pool *p)
{
    for (unsigned i = 0; i < p->idle_count; i++) {
        free(p->idle[i]->data);
        free(p->idle[i]);
    }
    free(p->idle);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->back);
    free(p);
}

static void recycle(struct kt_block *b)
{
    struct kt_pool *p = b->owner;
    pthread_mutex_lock(&p->lock);
    p->idle[p->idle_count++] = b;
    p->out--;
    bool last = p->over && p->out == 0;
    pthread_cond_signal(&p->back);
    pthread_mutex_unlock(&p->lock);
    if (last)
        destroy(p);
}

struct kt_pool *kt_pool_new(unsigned limit)
{
    struct kt_pool *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->limit = limit < 2 ? 2 : limit;
    p->idle = calloc(p->limit, sizeof(struct kt_block *));
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->back, NULL);
    if (!p->idle) {
        destroy(p);
        return NULL;
    }
    return p;
}

void kt_pool_free(struct kt_pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->over = true;
    bool last = p->out == 0;
    pthread_mutex_unlock(&p->lock);
    if (last)
        destroy(p);
}

static bool resize(struct kt_block *b, size_t size)
{
    if (b->size >= size)
        return true;
    uint8_t *data = realloc(b->data, size);
    if (!data)
        return false;
    b->data = data;
    b->size = size;
    return true;
}

struct kt_block *kt_pool_take(struct kt_pool *p, size_t size)
{
    pthread_mutex_lock(&p->lock);
    while (p->out >= p->limit)
        pthread_cond_wait(&p->back, &p->lock);
    p->out++;
    struct kt_block *b = p->idle_count ? p->idle[--p->idle_count] : NULL;
    pthread_mutex_unlock(&p->lock);
    if (!b && (b = calloc(1, sizeof *b)))
        *b = (struct kt_block){.recycle = recycle, .owner = p};
    if (b && resize(b, size < KT_BLOCK_SIZE ? KT_BLOCK_SIZE : size)) {
        b->refs = 1;
        return b;
    }
    pthread_mutex_lock(&p->lock);
    p->out--;
    if (b)
        p->idle[p->idle_count++] = b;
    pthread_mutex_unlock(&p->lock);
    return NULL;
}
