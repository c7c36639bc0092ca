/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Reading flows: one pass finds which rows are on the page (a heap of their sort keys, 40 bytes a
 * row, however long the records are), a second one loads those.
 */
#include "internal.h"
#include <stdlib.h>

#define MOST_ROWS 250000 /* offset + limit */
#define KEY 24           /* bytes of a text that count for the order */

struct hit {
    uint8_t key[KEY]; /* compares as bytes */
    uint32_t zone, row;
    uint32_t place; /* on the page */
};

struct label {
    char *app, *category, *rule;
};

struct query {
    struct kt_store *st;
    const struct kt_flow_query *want;
    struct kt_error *err;
    int64_t from, to;
    unsigned sort;
    bool by_start;
    struct label *label; /* by the store's number */
    size_t labels;
    struct kt_zones zones;
    struct hit *heap; /* the best `most` so far, the worst on top */
    size_t n, most;
    uint64_t total;
    struct kt_stored_flow *page;
    size_t next; /* the hit that is fetched next */
};

/* ---- order ---- */

static int by_place_in_store(const void *a, const void *b)
{
    const struct hit *x = a, *y = b;
    if (x->zone != y->zone)
        return x->zone < y->zone ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

static int order(const void *a, const void *b)
{
    const struct hit *x = a, *y = b;
    int c = memcmp(x->key, y->key, KEY);
    if (c)
        return c;
    return by_place_in_store(a, b);
}

static void put_number(uint8_t *key, int64_t v)
{
    uint64_t u = (uint64_t)v ^ UINT64_C(1) << 63;
    for (unsigned i = 0; i < 8; i++)
        key[i] = (uint8_t)(u >> (56 - 8 * i));
}

static void make_key(const struct query *q, const struct kt_stored_flow *f, uint8_t key[KEY])
{
    struct kt_expr_value v;
    kt_flow_load(f, q->sort, &v);
    memset(key, 0, KEY);
    switch (kt_flow_env.fields[q->sort].type) {
    case KT_EXPR_STR:
        if (v.len)
            memcpy(key, v.str, v.len < KEY ? v.len : KEY);
        break;
    case KT_EXPR_ADDR:
        key[0] = v.ip;
        memcpy(key + 1, v.addr, 16);
        break;
    default:
        put_number(key, v.num);
    }
    for (unsigned i = 0; i < KEY && q->want->descending; i++)
        key[i] = (uint8_t)~key[i];
}

static void sift_down(struct hit *h, size_t n, size_t i)
{
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= n)
            return;
        if (child + 1 < n && order(&h[child + 1], &h[child]) > 0)
            child++;
        if (order(&h[i], &h[child]) >= 0)
            return;
        struct hit t = h[i];
        h[i] = h[child];
        h[child] = t;
        i = child;
    }
}

static void keep(struct query *q, const struct hit *hit)
{
    if (q->n == q->most) {
        if (q->n && order(hit, &q->heap[0]) < 0) {
            q->heap[0] = *hit;
            sift_down(q->heap, q->n, 0);
        }
        return;
    }
    size_t i = q->n++;
    for (; i > 0 && order(&q->heap[(i - 1) / 2], hit) < 0; i = (i - 1) / 2)
        q->heap[i] = q->heap[(i - 1) / 2];
    q->heap[i] = *hit;
}

/* ---- chunks ---- */

struct gone {
    uint64_t bit[KT_CHUNK_ROWS / 64];
    uint32_t n;
};

/* The rows of a chunk that later records replace. */
static int load_gone(struct query *q, int64_t chunk, struct gone *gone)
{
    memset(gone, 0, sizeof *gone);
    sqlite3_stmt *s = kt_store_sql(q->st, SQL_SUPERSEDED, q->err);
    if (!s)
        return KT_EIO;
    sqlite3_bind_int64(s, 1, chunk);
    int rc;
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        uint64_t row = (uint64_t)sqlite3_column_int64(s, 0);
        if (row < KT_CHUNK_ROWS) {
            gone->bit[row / 64] |= UINT64_C(1) << row % 64;
            gone->n++;
        }
    }
    int result = rc == SQLITE_DONE ? KT_OK : kt_store_sql_fail(q->st, q->err, "read flows");
    sqlite3_reset(s);
    return result;
}

static void name_label(const struct query *q, struct kt_stored_flow *f)
{
    static const struct label none = {(char *)(uintptr_t) "", (char *)(uintptr_t) "",
                                      (char *)(uintptr_t) ""};
    unsigned n = f->record.verdict.label;
    const struct label *l = n < q->labels && q->label[n].app ? &q->label[n] : &none;
    f->app = l->app;
    f->category = l->category;
    f->rule = l->rule;
    const char *proto = kt_proto_text(f->record.key.proto, f->proto);
    if (proto != f->proto)
        memcpy(f->proto, proto, strlen(proto) + 1);
}

/* Calls fn for each flow of a chunk that is not replaced. */
static int each_flow(struct query *q, uint32_t zone,
                     void (*fn)(struct query *q, const struct kt_stored_flow *f, uint32_t zone,
                                uint32_t row))
{
    int64_t id = q->zones.zone[zone].id;
    struct gone gone;
    int rc = load_gone(q, id, &gone);
    sqlite3_stmt *load = rc == KT_OK ? kt_store_sql(q->st, SQL_LOAD_FLOWS, q->err) : NULL;
    if (!load)
        return rc < 0 ? rc : KT_EIO;
    sqlite3_bind_int64(load, 1, id);
    struct kt_chunk_in in = {0};
    bool bad = true;
    if (sqlite3_step(load) != SQLITE_ROW) {
        rc = kt_store_sql_fail(q->st, q->err, "read flows");
    } else if (kt_flow_chunk_read(&in, sqlite3_column_blob(load, 0),
                                  (size_t)sqlite3_column_bytes(load, 0)) == KT_OK) {
        struct kt_flow_base base = {0};
        struct kt_stored_flow f;
        for (uint32_t row = 0; kt_flow_chunk_next(&in, &base, &f.record); row++) {
            if (row % 256 == 0 && (rc = kt_store_go_on(q->st, q->err)) < 0)
                break; /* a filter may be long */
            if (gone.n && gone.bit[row / 64] >> row % 64 & 1)
                continue;
            name_label(q, &f);
            fn(q, &f, zone, row);
        }
        bad = in.bad;
    }
    if (rc == KT_OK && bad)
        rc = kt_fail(q->err, KT_EFORMAT, (uint64_t)id, "%s: chunk %lld of flows is damaged",
                     q->st->path, (long long)id);
    kt_chunk_in_fini(&in);
    sqlite3_reset(load);
    return rc;
}

/* ---- first pass ---- */

static void consider(struct query *q, const struct kt_stored_flow *f, uint32_t zone, uint32_t row)
{
    const struct kt_flow_record *r = &f->record;
    if (r->last < q->from || r->first >= q->to)
        return;
    if (q->want->filter && !kt_expr_true(q->want->filter, kt_flow_load, f))
        return;
    q->total++;
    struct hit hit = {.zone = zone, .row = row};
    if (q->most) {
        make_key(q, f, hit.key);
        keep(q, &hit);
    }
}

/* A chunk that lies in the window as a whole and cannot reach the page is only counted. */
static bool only_count(const struct query *q, const struct kt_zone *z)
{
    if (q->want->filter || z->first < q->from || z->last >= q->to)
        return false;
    if (!q->most)
        return true;
    if (!q->by_start || q->n < q->most)
        return false;
    uint8_t best[KEY] = {0};
    put_number(best, q->want->descending ? z->last : z->first);
    for (unsigned i = 0; i < KEY && q->want->descending; i++)
        best[i] = (uint8_t)~best[i];
    return memcmp(best, q->heap[0].key, KEY) > 0;
}

static int find_page(struct query *q)
{
    int rc = KT_OK;
    for (uint32_t i = 0; i < q->zones.n && rc == KT_OK; i++) {
        const struct kt_zone *z = &q->zones.zone[i];
        if (!only_count(q, z)) {
            rc = each_flow(q, i, consider);
            continue;
        }
        struct gone gone;
        if ((rc = kt_store_go_on(q->st, q->err)) == KT_OK &&
            (rc = load_gone(q, z->id, &gone)) == KT_OK)
            q->total += z->rows - (gone.n < z->rows ? gone.n : z->rows);
    }
    return rc;
}

/* ---- second pass ---- */

static void fetch(struct query *q, const struct kt_stored_flow *f, uint32_t zone, uint32_t row)
{
    const struct hit *h = &q->heap[q->next];
    if (q->next < q->n && h->zone == zone && h->row == row) {
        q->page[h->place] = *f;
        q->next++;
    }
}

/* Each chunk that has a part of the page is read once. */
static int load_page(struct query *q)
{
    int rc = KT_OK;
    q->page = calloc(q->n ? q->n : 1, sizeof *q->page);
    if (!q->page)
        return kt_fail(q->err, KT_ENOMEM, 0, "no memory for a query");
    for (size_t i = 0; i < q->n; i++)
        q->heap[i].place = (uint32_t)i;
    qsort(q->heap, q->n, sizeof *q->heap, by_place_in_store);
    while (q->next < q->n && rc == KT_OK)
        rc = each_flow(q, q->heap[q->next].zone, fetch);
    return rc;
}

/* ---- the whole ---- */

static int load_labels(struct query *q)
{
    sqlite3_stmt *s = kt_store_sql(q->st, SQL_LABELS, q->err);
    if (!s)
        return KT_EIO;
    int rc;
    bool ok = true;
    while (ok && (rc = sqlite3_step(s)) == SQLITE_ROW) {
        int64_t id = sqlite3_column_int64(s, 0);
        if (id < (int64_t)q->labels || id > UINT16_MAX) /* damaged tables may not be in order */
            continue;
        struct label *more = realloc(q->label, ((size_t)id + 1) * sizeof *more);
        if (!(ok = more))
            break;
        memset(more + q->labels, 0, ((size_t)id + 1 - q->labels) * sizeof *more);
        q->label = more;
        q->labels = (size_t)id + 1;
        char **to[] = {&more[id].app, &more[id].category, &more[id].rule};
        for (int i = 0; i < 3 && ok; i++) {
            const char *t = (const char *)sqlite3_column_text(s, i + 1);
            ok = (*to[i] = strdup(t ? t : ""));
        }
    }
    int result = !ok                 ? kt_fail(q->err, KT_ENOMEM, 0, "no memory for a query")
                 : rc == SQLITE_DONE ? KT_OK
                                     : kt_store_sql_fail(q->st, q->err, "read labels");
    sqlite3_reset(s);
    return result;
}

static int prepare(struct query *q)
{
    const struct kt_flow_query *want = q->want;
    const struct kt_expr_field *f = kt_flow_env.fields;
    const char *sort = want->sort ? want->sort : "start";
    while (f[q->sort].name && strcmp(f[q->sort].name, sort) != 0)
        q->sort++;
    if (!f[q->sort].name || f[q->sort].either[0])
        return kt_fail(q->err, KT_EINVAL, 0, "flows cannot be sorted by \"%.40s\"", sort);
    q->by_start = strcmp(sort, "start") == 0;
    if (want->limit && (want->offset > MOST_ROWS || want->limit > MOST_ROWS - want->offset))
        return kt_fail(q->err, KT_EINVAL, 0,
                       "only the first %d flows of an order can be shown: narrow the window or the "
                       "filter",
                       MOST_ROWS);
    q->most = want->limit ? want->offset + want->limit : 0;
    q->heap = malloc((q->most ? q->most : 1) * sizeof *q->heap);
    bool all = want->from == 0 && want->to == 0;
    q->from = all ? INT64_MIN : want->from;
    q->to = all ? INT64_MAX : want->to;
    return q->heap ? KT_OK : kt_fail(q->err, KT_ENOMEM, 0, "no memory for a query");
}

static int run(struct query *q)
{
    int rc = load_labels(q);
    sqlite3_stmt *find = rc == KT_OK ? kt_store_sql(q->st, SQL_FIND_FLOWS, q->err) : NULL;
    if (!find)
        return rc < 0 ? rc : KT_EIO;
    sqlite3_bind_int64(find, 1, q->from);
    sqlite3_bind_int64(find, 2, q->to);
    if ((rc = kt_zones_load(q->st, find, &q->zones, q->err)) < 0 || (rc = find_page(q)) < 0)
        return rc;
    qsort(q->heap, q->n, sizeof *q->heap, order);
    size_t skip = q->want->offset < q->n ? q->want->offset : q->n;
    q->n -= skip;
    memmove(q->heap, q->heap + skip, q->n * sizeof *q->heap);
    return load_page(q);
}

int kt_store_flows(struct kt_store *st, const struct kt_flow_query *query, uint64_t *total,
                   int (*flow)(void *ctx, const struct kt_stored_flow *flow), void *ctx,
                   struct kt_error *err)
{
    struct query q = {.st = st, .want = query, .err = err};
    *total = 0;
    int rc = prepare(&q);
    if (rc == KT_OK && (rc = kt_store_read_begin(st, err)) == KT_OK) {
        rc = run(&q);
        kt_store_read_end(st);
    }
    *total = q.total;
    for (size_t i = 0; rc == KT_OK && i < q.n; i++)
        if (flow(ctx, &q.page[i]))
            break;
    for (size_t i = 0; i < q.labels; i++) {
        free(q.label[i].app);
        free(q.label[i].category);
        free(q.label[i].rule);
    }
    free(q.label);
    free(q.heap);
    free(q.page);
    free(q.zones.zone);
    return rc;
}
