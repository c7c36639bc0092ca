/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "internal.h"
#include <stdio.h>

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
    ssize_t n = kt_reader_read_some(w->reader, w->block->data + w->end, room, &w->fault);
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
    return kt_window_fail(w, KT_ETRUNCATED, err,
                          "the file ends inside a record: %zu bytes are there, %zu were announced",
                          w->end - w->at, need);
}

int kt_window_skip(struct kt_window *w, uint64_t n, struct kt_error *err)
{
    while (n > kt_window_left(w)) {
        n -= kt_window_left(w);
        w->at = w->end;
        int rc = kt_window_need(w, 1, err);
        if (rc != KT_OK)
            return rc;
    }
    w->at += n;
    return KT_OK;
}

int kt_window_fail(const struct kt_window *w, int code, struct kt_error *err, const char *format,
                   ...)
{
    char reason[320];
    va_list ap;
    va_start(ap, format);
    vsnprintf(reason, sizeof reason, format, ap);
    va_end(ap);
    bool packed = strcmp(kt_reader_codec(w->reader), "plain") != 0;
    unsigned long long at = kt_window_offset(w);
    return kt_fail(err, code, at, "%s: at %sbyte %llu: %s", kt_reader_name(w->reader),
                   packed ? "unpacked " : "", at, reason);
}
