/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <kotare/base.h>
#include <stdlib.h>

enum { BLOCK = 64 * 1024 };

struct kt_arena_block {
    struct kt_arena_block *next;
    size_t used, size;
    _Alignas(16) uint8_t data[];
};

void *kt_arena_alloc(struct kt_arena *a, size_t size)
{
    if (size > SIZE_MAX - BLOCK)
        return NULL;
    size = (size + 15) & ~(size_t)15;
    struct kt_arena_block *b = a->head;
    if (!b || b->size - b->used < size) {
        size_t room = size > BLOCK / 4 ? size : BLOCK;
        struct kt_arena_block *fresh = malloc(sizeof *fresh + room);
        if (!fresh)
            return NULL;
        *fresh = (struct kt_arena_block){.size = room};
        if (b && room != BLOCK) { /* a large one of its own: keep filling the current block */
            fresh->next = b->next;
            b->next = fresh;
        } else {
            fresh->next = b;
            a->head = fresh;
        }
        b = fresh;
    }
    void *p = b->data + b->used;
    b->used += size;
    a->used += size;
    return p;
}

char *kt_arena_strdup(struct kt_arena *a, const char *text, size_t len)
{
    char *p = kt_arena_alloc(a, len + 1);
    if (p) {
        memcpy(p, text, len);
        p[len] = '\0';
    }
    return p;
}

void kt_arena_free(struct kt_arena *a)
{
    for (struct kt_arena_block *b = a->head, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    *a = (struct kt_arena){0};
}
