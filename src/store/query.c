/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Reading points: sums over equal steps. Chunks outside the window are not touched.
 */
#include "internal.h"
#include <stdlib.h>

#define MOST_CELLS ((size_t)16 << 20) /* values in a result, 8 bytes each */
#define NOWHERE UINT32_MAX

/* Where the points of a stream go. */
struct slot {
    uint32_t stream; /* the store's number */
    uint32_t series; /* index into the result, or NOWHERE */
    int64_t total[KT_VALUES];
    struct kt_stream name;
};

struct query {
    struct kt_store *st;
    int64_t from, to;
    struct slot *slot; /* by falling number; looked up through `of` */
    size_t slots;
    uint32_t *of; /* slot by stream number */
    size_t of_size;
    struct kt_store_result *result; /* NULL: totals only */
};

typedef void point_fn(struct query *q, const struct kt_point *p);

static int each_point(struct query *q, const void *blob, size_t len, point_fn *fn)
{
    struct kt_chunk_in in;
    if (kt_chunk_read(&in, blob, len, POINT_INTS, 0) < 0)
        return KT_EFORMAT;
    uint64_t ts = 0;
    int64_t stream = 0;
    for (; in.row < in.rows && !in.bad; in.row++) {
        struct kt_point p;
        ts += (uint64_t)kt_unzigzag(kt_chunk_get(&in, POINT_TS));
        stream = (uint32_t)(stream + kt_unzigzag(kt_chunk_get(&in, POINT_STREAM)) % INT32_MAX);
        p.ts = (int64_t)ts;
        p.stream = (uint32_t)stream;
        for (unsigned i = 0; i < KT_VALUES; i++)
            p.value[i] = kt_unzigzag(kt_chunk_get(&in, POINT_VALUE + i));
        if (!in.bad && p.ts >= q->from && p.ts < q->to)
            fn(q, &p);
    }
    bool bad = in.bad;
    kt_chunk_in_fini(&in);
    return bad ? KT_EFORMAT : KT_OK;
}

/* Every point of a kind within the window. */
static int scan(struct query *q, enum kt_stream_kind kind, point_fn *fn, struct kt_error *err)
{
    struct kt_store *st = q->st;
    sqlite3_stmt *find = kt_store_sql(st, SQL_FIND_POINTS, err);
    if (!find)
        return KT_EIO;
    sqlite3_bind_int(find, 1, (int)kind);
    sqlite3_bind_int64(find, 2, q->from);
    sqlite3_bind_int64(find, 3, q->to);
    struct kt_zones zones;
    int rc = kt_zones_load(st, find, &zones, err);
    for (size_t i = 0; i < zones.n && rc == KT_OK; i++) {
        if ((rc = kt_store_go_on(st, err)) < 0)
            break;
        sqlite3_stmt *load = kt_store_sql(st, SQL_LOAD_POINTS, err);
        if (!load) {
            rc = KT_EIO;
            break;
        }
        sqlite3_bind_int64(load, 1, zones.zone[i].id);
        if (sqlite3_step(load) != SQLITE_ROW)
            rc = kt_store_sql_fail(st, err, "read points");
        else if (each_point(q, sqlite3_column_blob(load, 0), (size_t)sqlite3_column_bytes(load, 0),
                            fn) < 0)
            rc = kt_fail(err, KT_EFORMAT, (uint64_t)zones.zone[i].id,
                         "%s: chunk %lld of points is damaged", st->path,
                         (long long)zones.zone[i].id);
        sqlite3_reset(load);
    }
    free(zones.zone);
    return rc;
}

static struct slot *slot_of(struct query *q, uint32_t stream)
{
    if (stream >= q->of_size || q->of[stream] == NOWHERE)
        return NULL;
    return &q->slot[q->of[stream]];
}

static void add_total(struct query *q, const struct kt_point *p)
{
    struct slot *s = slot_of(q, p->stream);
    for (unsigned i = 0; s && i < KT_VALUES; i++)
        s->total[i] = (int64_t)((uint64_t)s->total[i] + (uint64_t)p->value[i]);
    if (s && s->series == NOWHERE)
        s->series = 0; /* it has a point here */
}

static void add_bin(struct query *q, const struct kt_point *p)
{
    struct slot *s = slot_of(q, p->stream);
    if (!s || s->series == NOWHERE)
        return;
    struct kt_store_result *r = q->result;
    size_t bin = (size_t)(((uint64_t)p->ts - (uint64_t)r->from) / (uint64_t)r->step);
    struct kt_store_series *series = &r->series[s->series];
    for (unsigned i = 0; i < KT_VALUES; i++) {
        int64_t *v = &series->value[bin * KT_VALUES + i];
        *v = (int64_t)((uint64_t)*v + (uint64_t)p->value[i]);
    }
}

static void mark_seen(struct query *q, const struct kt_point *p)
{
    struct kt_store_result *r = q->result;
    size_t bin = (size_t)(((uint64_t)p->ts - (uint64_t)r->from) / (uint64_t)r->step);
    r->seen[bin] = true;
    r->intervals[bin]++;
}

static int load_streams(struct query *q, enum kt_stream_kind kind, const char *name,
                        struct kt_error *err)
{
    sqlite3_stmt *stmt = kt_store_sql(q->st, SQL_STREAMS, err);
    if (!stmt)
        return KT_EIO;
    sqlite3_bind_int(stmt, 1, (int)kind);
    sqlite3_bind_text(stmt, 2, name, -1, SQLITE_STATIC);
    size_t cap = 0;
    int rc;
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct slot *more = kt_array_room(q->slot, q->slots + 1, &cap, sizeof *more);
        if (!more)
            break;
        q->slot = more;
        int64_t id = sqlite3_column_int64(stmt, 0);
        if (id < 1 || id > 1 << 24)
            continue;
        struct slot *s = &q->slot[q->slots++];
        *s = (struct slot){.stream = (uint32_t)id, .series = NOWHERE, .name.kind = kind};
        if (kind == KT_STREAM_HEALTH)
            s->series = 0; /* nothing refused is good to know, too */
        const char *text = (const char *)sqlite3_column_text(stmt, 1);
        if (text)
            strncpy(s->name.name, text, sizeof s->name.name - 1);
        q->of_size = (size_t)id + 1; /* they come by rising number */
    }
    int result = rc == SQLITE_DONE  ? KT_OK
                 : rc == SQLITE_ROW ? kt_fail(err, KT_ENOMEM, 0, "no memory for a query")
                                    : kt_store_sql_fail(q->st, err, "read its streams");
    sqlite3_reset(stmt);
    if (result < 0 || !q->of_size)
        return result;
    q->of = malloc(q->of_size * sizeof *q->of);
    if (!q->of)
        return kt_fail(err, KT_ENOMEM, 0, "no memory for a query");
    memset(q->of, 0xff, q->of_size * sizeof *q->of);
    for (size_t i = 0; i < q->slots; i++)
        q->of[q->slot[i].stream] = (uint32_t)i;
    return KT_OK;
}

/* Falling total of one column, then by name. */
static int by_total(const void *a, const void *b, void *column)
{
    const struct slot *x = a, *y = b;
    unsigned c = *(const unsigned *)column;
    if ((x->series == NOWHERE) != (y->series == NOWHERE))
        return x->series == NOWHERE ? 1 : -1;
    if (x->total[c] != y->total[c])
        return x->total[c] < y->total[c] ? 1 : -1;
    return strcmp(x->name.name, y->name.name);
}

/* Gives each stream with points its series; those beyond `top` share one. */
static int make_series(struct query *q, unsigned column, size_t top, struct kt_error *err)
{
    struct kt_store_result *r = q->result;
    if (q->slots)
        qsort_r(q->slot, q->slots, sizeof *q->slot, by_total, &column);
    size_t with = 0;
    while (with < q->slots && q->slot[with].series != NOWHERE)
        with++;
    r->rest = top && with > top;
    r->n = r->rest ? top + 1 : with;
    if (r->n > MOST_CELLS / KT_VALUES / r->bins)
        return kt_fail(err, KT_EFULL, 0, "%zu series of %zu steps are too many to give at once",
                       r->n, r->bins);
    r->series = calloc(r->n ? r->n : 1, sizeof *r->series);
    r->seen = calloc(r->bins, sizeof *r->seen);
    r->intervals = calloc(r->bins, sizeof *r->intervals);
    bool ok = r->series && r->seen && r->intervals;
    for (size_t i = 0; i < r->n && ok; i++) {
        r->series[i].value = calloc(r->bins * KT_VALUES, sizeof(int64_t));
        ok = r->series[i].value;
        r->series[i].stream = q->slot[i].name;
    }
    if (!ok)
        return kt_fail(err, KT_ENOMEM, 0, "no memory for a query");
    for (size_t i = 0; i < q->slots; i++) {
        q->slot[i].series = i >= with ? NOWHERE : (uint32_t)(i < r->n ? i : r->n - 1);
        q->of[q->slot[i].stream] = (uint32_t)i;
    }
    if (r->rest)
        strcpy(r->series[top].stream.name, "Other");
    return KT_OK;
}

/* The grid: from the interval that `from` lies in, in steps of whole intervals. */
static int make_grid(struct query *q, int64_t from, int64_t to, size_t max_bins,
                     struct kt_error *err)
{
    struct kt_store_result *r = q->result;
    int64_t first = 0, last = 0, interval = kt_store_interval(q->st);
    int rc = kt_store_range(q->st, &first, &last, err);
    if (rc < 0 && rc != KT_ENOTFOUND)
        return rc;
    if (from == 0 && to == 0) {
        from = first;
        to = last > INT64_MAX - interval ? INT64_MAX : last + interval;
    }
    if (to <= from || max_bins == 0)
        return kt_fail(err, KT_EINVAL, 0, "the window ends before it begins");
    if (from < INT64_MIN / 4 || to > INT64_MAX - 1 || max_bins > 1000000)
        return kt_fail(err, KT_EINVAL, 0, "the window is too wide");
    int64_t into = (from - first % interval) % interval;
    from -= into < 0 ? into + interval : into;
    uint64_t width = (uint64_t)to - (uint64_t)from, unit = (uint64_t)interval;
    uint64_t step = ((width - 1) / max_bins / unit + 1) * unit;
    r->from = q->from = from;
    q->to = to;
    r->step = step > INT64_MAX ? INT64_MAX : (int64_t)step;
    r->bins = (size_t)((width - 1) / (uint64_t)r->step + 1);
    return KT_OK;
}

int kt_store_query_top(struct kt_store *st, enum kt_stream_kind kind, const char *name,
                       int64_t from, int64_t to, size_t max_bins, enum kt_value column, size_t top,
                       struct kt_store_result *result, struct kt_error *err)
{
    *result = (struct kt_store_result){0};
    if ((unsigned)kind >= KT_STREAM_KINDS || (unsigned)column >= KT_VALUES)
        return kt_fail(err, KT_EINVAL, 0, "there is no such kind of stream or column");
    struct query q = {.st = st, .result = result};
    int rc = kt_store_read_begin(st, err);
    if (rc < 0)
        return rc;
    if ((rc = make_grid(&q, from, to, max_bins, err)) == KT_OK &&
        (rc = load_streams(&q, kind, name, err)) == KT_OK &&
        (rc = scan(&q, kind, add_total, err)) == KT_OK &&
        (rc = make_series(&q, column, top, err)) == KT_OK &&
        (rc = scan(&q, kind, add_bin, err)) == KT_OK)
        rc = scan(&q, KT_STREAM_TOTAL, mark_seen, err);
    kt_store_read_end(st);
    free(q.slot);
    free(q.of);
    if (rc < 0)
        kt_store_result_fini(result);
    return rc;
}

int kt_store_query(struct kt_store *st, enum kt_stream_kind kind, const char *name, int64_t from,
                   int64_t to, size_t max_bins, struct kt_store_result *result,
                   struct kt_error *err)
{
    return kt_store_query_top(st, kind, name, from, to, max_bins, KT_VALUE_BYTES, 0, result, err);
}

void kt_store_result_fini(struct kt_store_result *result)
{
    for (size_t i = 0; result->series && i < result->n; i++)
        free(result->series[i].value);
    free(result->series);
    free(result->seen);
    free(result->intervals);
    *result = (struct kt_store_result){0};
}

int kt_store_range(struct kt_store *st, int64_t *first, int64_t *last, struct kt_error *err)
{
    sqlite3_stmt *stmt = kt_store_sql(st, SQL_RANGE, err);
    if (!stmt)
        return KT_EIO;
    int rc = sqlite3_step(stmt), result = KT_OK;
    if (rc != SQLITE_ROW)
        result = kt_store_sql_fail(st, err, "read it");
    else if (sqlite3_column_type(stmt, 0) == SQLITE_NULL)
        result = kt_fail(err, KT_ENOTFOUND, 0, "%s: the store holds no points", st->path);
    *first = sqlite3_column_int64(stmt, 0);
    *last = sqlite3_column_int64(stmt, 1);
    sqlite3_reset(stmt);
    return result;
}
