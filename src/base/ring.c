/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <kotare/base.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

/* head and tail count for ever; slot = count & mask. Each side keeps a stale copy of the other's
 * counter so that the shared lines move between cores once a lap, not once an item. */
struct kt_ring {
    _Alignas(KT_CACHE_LINE) _Atomic size_t head; /* written by the producer */
    size_t seen_tail;
    _Alignas(KT_CACHE_LINE) _Atomic size_t tail; /* written by the consumer */
    size_t seen_head;
    _Alignas(KT_CACHE_LINE) _Atomic bool closed;
    _Atomic int sleepers;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t mask;
    void *slot[];
};

int kt_ring_new(struct kt_ring **ring, size_t slots)
{
    *ring = NULL;
    if (slots == 0 || (slots & (slots - 1)) != 0 || slots > SIZE_MAX / 2 / sizeof(void *))
        return KT_EINVAL;
    size_t size = sizeof(struct kt_ring) + slots * sizeof(void *);
    size = (size + KT_CACHE_LINE - 1) & ~(size_t)(KT_CACHE_LINE - 1);
    struct kt_ring *r = aligned_alloc(KT_CACHE_LINE, size);
    if (!r)
        return KT_ENOMEM;
    memset(r, 0, size);
    r->mask = slots - 1;
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->changed, NULL);
    *ring = r;
    return KT_OK;
}

void kt_ring_free(struct kt_ring *r)
{
    if (!r)
        return;
    pthread_cond_destroy(&r->changed);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

static void wake(struct kt_ring *r)
{
    atomic_thread_fence(memory_order_seq_cst); /* pairs with the one in sleep_until */
    if (atomic_load_explicit(&r->sleepers, memory_order_relaxed) == 0)
        return;
    pthread_mutex_lock(&r->lock);
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
}

int kt_ring_try_push(struct kt_ring *r, void *item)
{
    if (atomic_load_explicit(&r->closed, memory_order_acquire))
        return KT_END;
    size_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    if (head - r->seen_tail > r->mask) {
        r->seen_tail = atomic_load_explicit(&r->tail, memory_order_acquire);
        if (head - r->seen_tail > r->mask)
            return KT_EBUSY;
    }
    r->slot[head & r->mask] = item;
    atomic_store_explicit(&r->head, head + 1, memory_order_release);
    wake(r);
    return KT_OK;
}

int kt_ring_try_pop(struct kt_ring *r, void **item)
{
    size_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
    if (tail == r->seen_head) {
        bool closed = atomic_load_explicit(&r->closed, memory_order_acquire);
        r->seen_head = atomic_load_explicit(&r->head, memory_order_acquire);
        if (tail == r->seen_head)
            return closed ? KT_END : KT_EBUSY;
    }
    *item = r->slot[tail & r->mask];
    atomic_store_explicit(&r->tail, tail + 1, memory_order_release);
    wake(r);
    return KT_OK;
}

/* Tries a few times, then sleeps until the other side moved. */
static int wait_for(struct kt_ring *r, void **out, void *in)
{
    for (int spin = 0; spin < 64; spin++) {
        int rc = out ? kt_ring_try_pop(r, out) : kt_ring_try_push(r, in);
        if (rc != KT_EBUSY)
            return rc;
    }
    int rc;
    pthread_mutex_lock(&r->lock);
    atomic_fetch_add_explicit(&r->sleepers, 1, memory_order_relaxed);
    for (;;) {
        atomic_thread_fence(memory_order_seq_cst);
        size_t head = atomic_load_explicit(&r->head, memory_order_acquire);
        size_t tail = atomic_load_explicit(&r->tail, memory_order_acquire);
        bool closed = atomic_load_explicit(&r->closed, memory_order_acquire);
        if (closed || (out ? head != tail : head - tail <= r->mask))
            break;
        pthread_cond_wait(&r->changed, &r->lock);
    }
    atomic_fetch_sub_explicit(&r->sleepers, 1, memory_order_relaxed);
    pthread_mutex_unlock(&r->lock);
    rc = out ? kt_ring_try_pop(r, out) : kt_ring_try_push(r, in);
    return rc;
}

int kt_ring_push(struct kt_ring *r, void *item)
{
    int rc;
    do
        rc = wait_for(r, NULL, item);
    while (rc == KT_EBUSY);
    return rc;
}

int kt_ring_pop(struct kt_ring *r, void **item)
{
    int rc;
    do
        rc = wait_for(r, item, NULL);
    while (rc == KT_EBUSY);
    return rc;
}

void kt_ring_close(struct kt_ring *r)
{
    pthread_mutex_lock(&r->lock);
    atomic_store_explicit(&r->closed, true, memory_order_release);
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
}
