/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "internal.h"

int kt_window_init(struct kt_window *w, struct kt_reader *reader, unsigned blocks,
                   struct kt_error *err)
{
    *w = (struct kt_window){.reader = reader, .pool = kt_pool_new(blocks)};
    w->block = w->pool ? kt_pool_take(w->pool, KT_BLOCK_SIZE) : NULL;
    if (!w->block)
        return kt_fail(err, KT_ENOMEM, 0, "no memory to read %s", kt_reader_name(reader));
    return KT_OK;
}

void kt_window_fini(struct kt_window *w)
{
    if (w->block)
        kt_block_release(w->block);
    kt_pool_free(w->pool);
    w->block = NULL;
    w->pool = NULL;
}

/* The rest of the block moves to the front: of the same block when nobody else holds it, which
 * keeps one worker's data in its cache, else of another. */
static bool make_room(struct kt_window *w, size_t need)
{
    size_t left = w->end - w->at;
    struct kt_block *old = w->block;
    if (__atomic_load_n(&old->refs, __ATOMIC_ACQUIRE) == 1 && old->size >= need) {
        memmove(old->data, old->data + w->at, left);
    } else {
        struct kt_block *fresh = kt_pool_take(w->pool, need);
        if (!fresh)
            return false;
        memcpy(fresh->data, old->data + w->at, left);
        w->block = fresh;
        kt_block_release(old);
    }
    w->offset += w->at;
    w->at = 0;
    w->end = left;
    return true;
}

static void fill(struct kt_window *w)
{
    size_t room = w->block->size - w->end;
    ssize_t n = kt_reader_read(w->reader, w->block->data + w->end, room, &w->fault);
    if (n > 0)
        w->end += (size_t)n;
    w->over = n <= 0;
    if (n < 0 && !w->fault.code)
        kt_fail(&w->fault, (int)n, 0, "%s: %s", kt_reader_name(w->reader), kt_code_name((int)n));
}

int kt_window_need(struct kt_window *w, size_t need, struct kt_error *err)
{
    if (w->end - w->at >= need)
        return KT_OK;
    if (!w->over && !make_room(w, need))
        return kt_fail(err, KT_ENOMEM, 0, "no memory to read %s", kt_reader_name(w->reader));
    while (w->end - w->at < need && !w->over)
        fill(w);
    if (w->end - w->at >= need)
        return KT_OK;
    if (w->fault.code) {
        if (err)
            *err = w->fault;
        return w->fault.code;
    }
    if (w->end == w->at)
        return KT_END;
    return kt_fail(err, KT_ETRUNCATED, kt_window_offset(w),
                   "%s: at byte %llu: the file ends inside a record: %zu bytes are there, %zu were "
                   "announced",
                   kt_reader_name(w->reader), (unsigned long long)kt_window_offset(w),
                   w->end - w->at, need);
}
