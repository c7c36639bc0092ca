/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Writing points: one growing chunk for each kind of stream.
 */
#include "internal.h"

static int flush(struct kt_store *st, enum kt_stream_kind kind, bool done, struct kt_error *err)
{
    struct kt_point_writer *w = &st->points[kind];
    if (w->dirty) {
        kt_buf_clear(&st->blob);
        sqlite3_stmt *stmt = kt_store_sql(st, w->row ? SQL_SET_POINTS : SQL_PUT_POINTS, err);
        if (!stmt)
            return KT_EIO;
        if (kt_chunk_write(&w->chunk, &st->blob) < 0)
            return kt_fail(err, KT_ENOMEM, 0, "no memory to store points");
        sqlite3_bind_int(stmt, 1, (int)kind);
        sqlite3_bind_int64(stmt, 2, w->first);
        sqlite3_bind_int64(stmt, 3, w->last);
        sqlite3_bind_int64(stmt, 4, w->chunk.rows);
        sqlite3_bind_int64(stmt, 5, w->least);
        sqlite3_bind_int64(stmt, 6, w->most);
        sqlite3_bind_blob64(stmt, 7, st->blob.data, st->blob.len, SQLITE_STATIC);
        if (w->row)
            sqlite3_bind_int64(stmt, 8, w->row);
        int rc = kt_store_run(st, stmt, err, "store points");
        if (rc < 0)
            return rc;
        if (!w->row)
            w->row = sqlite3_last_insert_rowid(st->db);
        w->dirty = false;
    }
    if (done) {
        kt_chunk_reset(&w->chunk);
        w->row = 0;
        w->prev_ts = w->prev_stream = 0;
    }
    return KT_OK;
}

int kt_points_flush(struct kt_store *st, struct kt_error *err)
{
    for (int kind = 0; kind < KT_STREAM_KINDS; kind++) {
        int rc = flush(st, kind, false, err);
        if (rc < 0)
            return rc;
    }
    return KT_OK;
}

void kt_points_fini(struct kt_store *st)
{
    for (int kind = 0; kind < KT_STREAM_KINDS; kind++)
        kt_chunk_fini(&st->points[kind].chunk);
}

static void add(struct kt_point_writer *w, const struct kt_point *p)
{
    struct kt_chunk *c = &w->chunk;
    int64_t v = p->value[0];
    bool fresh = c->rows == 0;
    w->first = fresh || p->ts < w->first ? p->ts : w->first;
    w->last = fresh || p->ts > w->last ? p->ts : w->last;
    w->least = fresh || v < w->least ? v : w->least;
    w->most = fresh || v > w->most ? v : w->most;
    kt_chunk_put(c, POINT_TS, kt_zigzag((int64_t)((uint64_t)p->ts - w->prev_ts)));
    kt_chunk_put(c, POINT_STREAM, kt_zigzag((int64_t)p->stream - (int64_t)w->prev_stream));
    for (unsigned i = 0; i < KT_VALUES; i++)
        kt_chunk_put(c, POINT_VALUE + i, kt_zigzag(p->value[i]));
    w->prev_ts = (uint64_t)p->ts;
    w->prev_stream = p->stream;
    w->dirty = true;
    c->rows++;
}

int kt_store_add_points(struct kt_store *st, const struct kt_point *points, size_t n,
                        struct kt_error *err)
{
    struct kt_error mine = {0};
    int rc = kt_store_write(st, err);
    for (size_t i = 0; i < n && rc == KT_OK; i++) {
        uint32_t id = points[i].stream;
        unsigned kind = id < st->streams ? st->stream_kind[id] : 255;
        if (kind == 255)
            return kt_fail(err, KT_EINVAL, 0, "%s: there is no stream %u", st->path, id);
        struct kt_point_writer *w = &st->points[kind];
        if (!w->chunk.memory &&
            kt_chunk_init(&w->chunk, KT_STORE_POINT_ROWS, POINT_INTS, 0, NULL) < 0)
            return kt_fail(err, KT_ENOMEM, 0, "no memory to store points");
        add(w, &points[i]);
        if (w->chunk.rows < KT_STORE_POINT_ROWS || (rc = flush(st, kind, true, &mine)) == KT_OK)
            continue;
        if (err)
            *err = mine;
        return kt_store_broken(st, rc, &mine);
    }
    return rc;
}
