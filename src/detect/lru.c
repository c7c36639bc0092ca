/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "internal.h"

#include <stdlib.h>

int kt_lru_init(struct kt_lru *t, size_t entry_size, size_t key_size, uint32_t cap)
{
    *t = (struct kt_lru){.entry = (entry_size + 7) / 8 * 8, .key = key_size, .cap = cap};
    uint32_t buckets = 16;
    while (buckets < cap)
        buckets *= 2;
    t->mask = buckets - 1;
    t->mem = calloc(cap, t->entry); /* large ones stay untouched pages until used */
    t->bucket = calloc(buckets, sizeof(*t->bucket));
    return t->mem && t->bucket ? KT_OK : KT_ENOMEM;
}

void kt_lru_fini(struct kt_lru *t)
{
    free(t->mem);
    free(t->bucket);
    *t = (struct kt_lru){0};
}

static struct kt_lru_node *node_at(const struct kt_lru *t, uint32_t number)
{
    return kt_lru_at(t, number - 1);
}

static void unlink_age(struct kt_lru *t, struct kt_lru_node *n)
{
    if (n->newer)
        node_at(t, n->newer)->older = n->older;
    else
        t->newest = n->older;
    if (n->older)
        node_at(t, n->older)->newer = n->newer;
    else
        t->oldest = n->newer;
}

static void link_newest(struct kt_lru *t, struct kt_lru_node *n, uint32_t number)
{
    n->newer = 0;
    n->older = t->newest;
    if (t->newest)
        node_at(t, t->newest)->newer = number;
    t->newest = number;
    if (!t->oldest)
        t->oldest = number;
}

/* Takes the oldest entry that nobody holds out of the table. 0: there is none near the end. */
static uint32_t evict(struct kt_lru *t)
{
    uint32_t number = t->oldest;
    for (int i = 0; number && node_at(t, number)->refs; i++) {
        if (i == 64)
            return 0;
        number = node_at(t, number)->newer;
    }
    if (!number)
        return 0;
    struct kt_lru_node *n = node_at(t, number);
    uint32_t *at = &t->bucket[n->hash & t->mask];
    while (*at != number)
        at = &node_at(t, *at)->next;
    *at = n->next;
    unlink_age(t, n);
    return number;
}

void *kt_lru_get(struct kt_lru *t, const void *key, bool make)
{
    uint32_t hash = (uint32_t)kt_hash(key, t->key, 0x6b6f74617265);
    uint32_t *head = &t->bucket[hash & t->mask];
    for (uint32_t i = *head; i; i = node_at(t, i)->next) {
        struct kt_lru_node *n = node_at(t, i);
        if (n->hash == hash && !memcmp(n + 1, key, t->key)) {
            if (t->newest != i) {
                unlink_age(t, n);
                link_newest(t, n, i);
            }
            return n;
        }
    }
    if (!make)
        return NULL;
    uint32_t number = t->used < t->cap ? ++t->used : evict(t);
    if (!number)
        return NULL;
    struct kt_lru_node *n = node_at(t, number);
    memset(n, 0, t->entry);
    memcpy(n + 1, key, t->key);
    n->hash = hash;
    n->next = *head;
    *head = number;
    link_newest(t, n, number);
    return n;
}
