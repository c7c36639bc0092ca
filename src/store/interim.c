/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Where interim records of flows lie: a table by (id, first packet's time), from which the flow's
 * next record learns which row it replaces.
 */
#include "internal.h"
#include <stdlib.h>

/* Flows under way at once; beyond that, old records stay visible. */
#define MOST ((size_t)1 << 21)

static size_t home(const struct kt_interims *t, uint64_t id, int64_t first)
{
    return (size_t)kt_mix64(id ^ UINT64_C(0x9e3779b97f4a7c15), (uint64_t)first | 1) & (t->cap - 1);
}

/* The entry of a flow, or the free one where it belongs. */
static struct kt_interim *find(const struct kt_interims *t, uint64_t id, int64_t first)
{
    for (size_t i = home(t, id, first);; i = (i + 1) & (t->cap - 1)) {
        struct kt_interim *e = &t->entry[i];
        if (!e->chunk || (e->id == id && e->first == first))
            return e;
    }
}

static int grow(struct kt_interims *t)
{
    struct kt_interims more = {.cap = t->cap ? t->cap * 2 : 1024, .used = t->used};
    more.entry = calloc(more.cap, sizeof *more.entry);
    if (!more.entry)
        return KT_ENOMEM;
    for (size_t i = 0; i < t->cap; i++)
        if (t->entry[i].chunk)
            *find(&more, t->entry[i].id, t->entry[i].first) = t->entry[i];
    free(t->entry);
    t->entry = more.entry;
    t->cap = more.cap;
    return KT_OK;
}

int kt_interim_put(struct kt_interims *t, const struct kt_interim *entry)
{
    if (t->used * 4 >= t->cap * 3) {
        if (t->used >= MOST)
            return KT_OK;
        if (grow(t) < 0)
            return KT_ENOMEM;
    }
    struct kt_interim *e = find(t, entry->id, entry->first);
    t->used += !e->chunk;
    *e = *entry;
    return KT_OK;
}

bool kt_interim_take(struct kt_interims *t, uint64_t id, int64_t first, struct kt_interim *out)
{
    if (!t->used)
        return false;
    struct kt_interim *e = find(t, id, first);
    if (!e->chunk)
        return false;
    *out = *e;
    e->chunk = 0;
    t->used--;
    /* Entries behind it that were pushed on may move up into the hole. */
    size_t hole = (size_t)(e - t->entry);
    for (size_t i = (hole + 1) & (t->cap - 1); t->entry[i].chunk; i = (i + 1) & (t->cap - 1)) {
        size_t want = home(t, t->entry[i].id, t->entry[i].first);
        if (((i - want) & (t->cap - 1)) < ((i - hole) & (t->cap - 1)))
            continue;
        t->entry[hole] = t->entry[i];
        t->entry[i].chunk = 0;
        hole = i;
    }
    return true;
}

void kt_interim_fini(struct kt_interims *t)
{
    free(t->entry);
    *t = (struct kt_interims){0};
}
