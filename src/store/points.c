/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Points: a growing chunk per kind of stream, and sums over them. */
#include "internal.h"
#include <stdlib.h>

/* ---- writing ---- */

static int flush(struct kt_store *st, unsigned kind, struct kt_error *err)
{
    struct kt_point_writer *w = &st->points[kind];
    if (!w->dirty)
        return KT_OK;
    kt_buf_clear(&st->blob);
    int rc = kt_chunk_write(&w->chunk, &st->blob);
    if (rc < 0)
        return kt_fail(err, rc, 0, "no memory to store points");
    sqlite3_stmt *s = kt_store_sql(st, w->row ? SQL_SET_POINTS : SQL_PUT_POINTS, err);
    if (!s)
        return KT_EIO;
    sqlite3_bind_int(s, 1, (int)kind);
    sqlite3_bind_int64(s, 2, w->first);
    sqlite3_bind_int64(s, 3, w->last);
    sqlite3_bind_int64(s, 4, w->chunk.rows);
    sqlite3_bind_int64(s, 5, w->least);
    sqlite3_bind_int64(s, 6, w->most);
    sqlite3_bind_blob64(s, 7, st->blob.data, st->blob.len, SQLITE_STATIC);
    if (w->row)
        sqlite3_bind_int64(s, 8, w->row);
    rc = kt_store_run(st, s, err, "store points");
    if (rc == KT_OK && !w->row)
        w->row = sqlite3_last_insert_rowid(st->db);
    w->dirty = rc != KT_OK;
    return rc;
}

int kt_points_flush(struct kt_store *st, struct kt_error *err)
{
    int rc = KT_OK;
    for (unsigned k = 0; k < KT_STREAM_KINDS && rc == KT_OK; k++)
        rc = flush(st, k, err);
    return rc;
}

void kt_points_fini(struct kt_store *st)
{
    for (unsigned k = 0; k < KT_STREAM_KINDS; k++)
        kt_chunk_fini(&st->points[k].chunk);
}

static void add(struct kt_point_writer *w, const struct kt_point *p)
{
    struct kt_chunk *c = &w->chunk;
    bool begins = c->rows == 0;
    if (begins) {
        w->first = w->last = p->ts;
        w->least = w->most = p->value[0];
        w->prev_ts = w->prev_stream = 0;
    }
    kt_chunk_put(c, POINT_TS, kt_zigzag((int64_t)((uint64_t)p->ts - w->prev_ts)));
    kt_chunk_put(c, POINT_STREAM, kt_zigzag((int64_t)p->stream - (int64_t)w->prev_stream));
    for (unsigned v = 0; v < KT_VALUES; v++)
        kt_chunk_put(c, POINT_VALUE + v, kt_zigzag(p->value[v]));
    c->rows++;
    w->prev_ts = (uint64_t)p->ts;
    w->prev_stream = p->stream;
    w->first = p->ts < w->first ? p->ts : w->first;
    w->last = p->ts > w->last ? p->ts : w->last;
    w->least = p->value[0] < w->least ? p->value[0] : w->least;
    w->most = p->value[0] > w->most ? p->value[0] : w->most;
    w->dirty = true;
}

int kt_store_add_points(struct kt_store *st, const struct kt_point *points, size_t n,
                        struct kt_error *err)
{
    int rc = kt_store_write(st, err);
    for (size_t i = 0; i < n && rc == KT_OK; i++) {
        const struct kt_point *p = &points[i];
        unsigned kind = p->stream < st->streams ? st->stream_kind[p->stream] : 255;
        if (kind >= KT_STREAM_KINDS)
            return kt_fail(err, KT_EINVAL, 0, "%s: a point of a stream that is not there",
                           st->path);
        struct kt_point_writer *w = &st->points[kind];
        if (!w->chunk.memory &&
            kt_chunk_init(&w->chunk, KT_STORE_POINT_ROWS, POINT_INTS, 0, NULL) < 0)
            return kt_fail(err, KT_ENOMEM, 0, "no memory to store points");
        add(w, p);
        if (w->chunk.rows == KT_STORE_POINT_ROWS) {
            rc = flush(st, kind, err);
            kt_chunk_reset(&w->chunk);
            w->row = 0;
        }
    }
    return rc;
}

/* ---- reading ---- */

int kt_store_range(struct kt_store *st, int64_t *first, int64_t *last, struct kt_error *err)
{
    sqlite3_stmt *s = kt_store_sql(st, SQL_RANGE, err);
    if (!s)
        return KT_EIO;
    int rc = KT_ENOTFOUND, step = sqlite3_step(s);
    if (step != SQLITE_ROW && step != SQLITE_DONE) {
        rc = kt_store_sql_fail(st, err, "read it");
    } else if (step == SQLITE_ROW && sqlite3_column_type(s, 0) != SQLITE_NULL) {
        *first = sqlite3_column_int64(s, 0);
        *last = sqlite3_column_int64(s, 1);
        rc = KT_OK;
    } else {
        kt_fail(err, KT_ENOTFOUND, 0, "%s: nothing is stored yet", st->path);
    }
    sqlite3_reset(s);
    return rc;
}

/* The points of a kind in a window go to `point`. */
struct scan {
    int64_t from, to;
    void (*point)(struct scan *s, int64_t ts, uint32_t stream, const int64_t *value);
    struct kt_store_result *result;
    int32_t *index; /* by stream number: which series, -1 none */
    uint32_t indexes;
};

static bool scan_blob(struct scan *s, const void *blob, size_t len)
{
    struct kt_chunk_in in;
    if (kt_chunk_read(&in, blob, len, POINT_INTS, 0) < 0)
        return false;
    uint64_t ts = 0;
    int64_t stream = 0, value[KT_VALUES];
    for (in.row = 0; in.row < in.rows && !in.bad; in.row++) {
        ts += (uint64_t)kt_unzigzag(kt_chunk_get(&in, POINT_TS));
        stream = (int64_t)((uint64_t)stream + (uint64_t)kt_unzigzag(kt_chunk_get(&in, POINT_STREAM)));
        for (unsigned v = 0; v < KT_VALUES; v++)
            value[v] = kt_unzigzag(kt_chunk_get(&in, POINT_VALUE + v));
        if (!in.bad && (int64_t)ts >= s->from && (int64_t)ts < s->to && stream >= 0 &&
            stream <= UINT32_MAX)
            s->point(s, (int64_t)ts, (uint32_t)stream, value);
    }
    bool good = !in.bad;
    kt_chunk_in_fini(&in);
    return good;
}

static int scan_kind(struct kt_store *st, unsigned kind, struct scan *s, struct kt_error *err)
{
    struct kt_zones zones;
    sqlite3_stmt *find = kt_store_sql(st, SQL_FIND_POINTS, err);
    if (!find)
        return KT_EIO;
    sqlite3_bind_int(find, 1, (int)kind);
    sqlite3_bind_int64(find, 2, s->from);
    sqlite3_bind_int64(find, 3, s->to);
    int rc = kt_zones_load(st, find, &zones, err);
    for (size_t i = 0; i < zones.n && rc == KT_OK; i++) {
        sqlite3_stmt *load = kt_store_sql(st, SQL_LOAD_POINTS, err);
        if (!load)
            rc = KT_EIO;
        else if (sqlite3_bind_int64(load, 1, zones.zone[i].id), sqlite3_step(load) != SQLITE_ROW)
            rc = kt_store_sql_fail(st, err, "read points");
        else if (!scan_blob(s, sqlite3_column_blob(load, 0), (size_t)sqlite3_column_bytes(load, 0)))
            rc = kt_fail(err, KT_EFORMAT, (uint64_t)zones.zone[i].id,
                         "%s: chunk %lld of points is damaged", st->path,
                         (long long)zones.zone[i].id);
        if (load)
            sqlite3_reset(load);
    }
    free(zones.zone);
    return rc;
}

static size_t bin_of(const struct kt_store_result *r, int64_t ts)
{
    size_t bin = (size_t)((ts - r->from) / r->step);
    return bin < r->bins ? bin : r->bins - 1;
}

static void sum_point(struct scan *s, int64_t ts, uint32_t stream, const int64_t *value)
{
    int32_t i = stream < s->indexes ? s->index[stream] : -1;
    if (i < 0)
        return;
    int64_t *to = s->result->series[i].value + bin_of(s->result, ts) * KT_VALUES;
    for (unsigned v = 0; v < KT_VALUES; v++)
        to[v] = (int64_t)((uint64_t)to[v] + (uint64_t)value[v]);
}

static void see_point(struct scan *s, int64_t ts, uint32_t stream, const int64_t *value)
{
    (void)stream, (void)value;
    s->result->seen[bin_of(s->result, ts)] = true;
}

static int load_streams(struct kt_store *st, enum kt_stream_kind kind, const char *name,
                        struct scan *s, struct kt_error *err)
{
    struct kt_store_result *r = s->result;
    sqlite3_stmt *q = kt_store_sql(st, SQL_STREAMS, err);
    if (!q)
        return KT_EIO;
    sqlite3_bind_int(q, 1, (int)kind);
    if (name)
        sqlite3_bind_text(q, 2, name, -1, SQLITE_STATIC);
    int rc = KT_OK, step;
    size_t cap = 0;
    while (rc == KT_OK && (step = sqlite3_step(q)) == SQLITE_ROW) {
        int64_t id = sqlite3_column_int64(q, 0);
        if (id < 0 || id > 1 << 24)
            continue;
        if (r->n == cap) {
            cap = cap ? cap * 2 : 64;
            struct kt_store_series *more = realloc(r->series, cap * sizeof *more);
            if (!more) {
                rc = KT_ENOMEM;
                break;
            }
            r->series = more;
        }
        if (id >= s->indexes) {
            uint32_t n = (uint32_t)id * 2 + 64;
            int32_t *more = realloc(s->index, n * sizeof *more);
            if (!more) {
                rc = KT_ENOMEM;
                break;
            }
            memset(more + s->indexes, 0xff, (n - s->indexes) * sizeof *more);
            s->index = more;
            s->indexes = n;
        }
        struct kt_store_series *series = &r->series[r->n];
        *series = (struct kt_store_series){.stream.kind = kind};
        const char *text = (const char *)sqlite3_column_text(q, 1);
        strncpy(series->stream.name, text ? text : "", sizeof series->stream.name - 1);
        series->value = calloc(r->bins * KT_VALUES, sizeof *series->value);
        s->index[id] = (int32_t)r->n++;
        if (!series->value)
            rc = KT_ENOMEM;
    }
    sqlite3_reset(q);
    return rc == KT_ENOMEM ? kt_fail(err, rc, 0, "no memory for a query") : rc;
}

static int64_t total(const struct kt_store_series *s, size_t bins)
{
    int64_t sum = 0;
    for (size_t b = 0; b < bins; b++)
        sum += s->value[b * KT_VALUES];
    return sum;
}

static int by_total(const void *a, const void *b, void *bins)
{
    const struct kt_store_series *x = a, *y = b;
    int64_t tx = total(x, *(size_t *)bins), ty = total(y, *(size_t *)bins);
    return tx != ty ? (tx > ty ? -1 : 1) : strcmp(x->stream.name, y->stream.name);
}

int kt_store_query(struct kt_store *st, enum kt_stream_kind kind, const char *name, int64_t from,
                   int64_t to, size_t max_bins, struct kt_store_result *r, struct kt_error *err)
{
    *r = (struct kt_store_result){0};
    if (to <= from || max_bins == 0 || max_bins > 100000)
        return kt_fail(err, KT_EINVAL, 0, "a query needs a window and 1 to 100000 steps");
    char text[32];
    int64_t interval = KT_SECOND;
    int rc = kt_store_read_begin(st, err);
    if (rc < 0)
        return rc;
    if (kt_store_get_meta(st, "interval_ns", text, sizeof text) == KT_OK)
        interval = strtoll(text, NULL, 10);
    interval = interval < 1 ? KT_SECOND : interval;
    from -= from % interval;
    uint64_t intervals = ((uint64_t)to - (uint64_t)from + (uint64_t)interval - 1) / (uint64_t)interval;
    uint64_t each = (intervals + max_bins - 1) / max_bins;
    r->from = from;
    r->step = (int64_t)each * interval;
    r->bins = (size_t)((intervals + each - 1) / each);
    r->seen = calloc(r->bins, sizeof *r->seen);
    struct scan s = {.from = from, .to = to, .point = sum_point, .result = r};
    rc = r->seen ? load_streams(st, kind, name, &s, err) : kt_fail(err, KT_ENOMEM, 0, "no memory");
    if (rc == KT_OK)
        rc = scan_kind(st, (unsigned)kind, &s, err);
    s.point = see_point;
    if (rc == KT_OK)
        rc = scan_kind(st, KT_STREAM_TOTAL, &s, err);
    kt_store_read_end(st);
    free(s.index);
    if (rc < 0)
        kt_store_result_fini(r);
    else if (r->n)
        qsort_r(r->series, r->n, sizeof *r->series, by_total, &r->bins);
    return rc;
}

void kt_store_result_fini(struct kt_store_result *r)
{
    for (size_t i = 0; i < r->n; i++)
        free(r->series[i].value);
    free(r->series);
    free(r->seen);
    *r = (struct kt_store_result){0};
}
