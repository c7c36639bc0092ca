/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "internal.h"

int kt_recent_init(struct kt_recent *t, size_t entry_size, size_t key_size, uint32_t cap)
{
    *t = (struct kt_recent){.entry = (entry_size + 7) / 8 * 8, .key = key_size, .cap = cap};
    uint32_t buckets = 16; /* many: what is not there shall be told by an empty one */
    while (buckets < 4 * cap)
        buckets *= 2;
    t->mask = buckets - 1;
    t->mem = kt_pages_new(cap * t->entry);
    t->bucket = kt_pages_new(buckets * sizeof(*t->bucket));
    return t->mem && t->bucket ? KT_OK : KT_ENOMEM;
}

void kt_recent_fini(struct kt_recent *t)
{
    kt_pages_free(t->mem, t->cap * t->entry);
    kt_pages_free(t->bucket, (t->mask + (size_t)1) * sizeof(*t->bucket));
    *t = (struct kt_recent){0};
}

static void unlink_bucket(struct kt_recent *t, const struct kt_recent_node *n, uint32_t number)
{
    uint32_t *at = &t->bucket[n->hash & t->mask];
    while (*at != number) {
        struct kt_recent_node *before = kt_recent_at(t, *at - 1);
        at = &before->next;
    }
    *at = n->next;
}

/* Takes an entry that nobody holds out of the table; its number, 0: none was found in two rounds'
 * worth of patience. */
static uint32_t evict(struct kt_recent *t)
{
    for (uint32_t i = 0; i < 2 * t->cap; i++) {
        struct kt_recent_node *n = kt_recent_at(t, t->hand);
        uint32_t number = t->hand + 1;
        t->hand = number == t->cap ? 0 : number;
        if (!n->used && !n->refs) {
            unlink_bucket(t, n, number);
            return number;
        }
        n->used = false;
    }
    return 0;
}

uint32_t kt_recent_hash(const struct kt_recent *t, const void *key)
{
    return (uint32_t)kt_hash(key, t->key, 0x6b6f74617265);
}

void *kt_recent_get(struct kt_recent *t, const void *key, uint32_t hash, bool make)
{
    uint32_t *head = &t->bucket[hash & t->mask];
    for (uint32_t i = *head; i;) {
        struct kt_recent_node *n = kt_recent_at(t, i - 1);
        if (n->hash == hash && !memcmp(n + 1, key, t->key)) {
            n->used = true;
            return n;
        }
        i = n->next;
    }
    if (!make)
        return NULL;
    uint32_t number = t->used < t->cap ? ++t->used : evict(t);
    if (!number)
        return NULL;
    struct kt_recent_node *n = kt_recent_at(t, number - 1);
    memset(n, 0, t->entry);
    memcpy(n + 1, key, t->key);
    *n = (struct kt_recent_node){.hash = hash, .next = *head, .used = true};
    *head = number;
    return n;
}

void *kt_recent_again(struct kt_recent *t, uint32_t *hint, const void *key, bool make)
{
    if (*hint) {
        struct kt_recent_node *n = kt_recent_at(t, *hint - 1);
        if (!memcmp(n + 1, key, t->key)) { /* an entry that went has another's key now */
            n->used = true;
            return n;
        }
    }
    void *entry = kt_recent_get(t, key, kt_recent_hash(t, key), make);
    *hint = entry ? kt_recent_index(t, entry) + 1 : 0;
    return entry;
}
