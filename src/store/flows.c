/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Writing flows: one growing chunk, and the texts of labels.
 */
#include "internal.h"
#include <stdlib.h>

enum { LABELS = 65536, RUNS = 1 << 18 };

static int flush(struct kt_store *st, bool done, struct kt_error *err)
{
    struct kt_flow_writer *w = &st->flows;
    if (w->dirty || (!done && !w->row)) {
        kt_buf_clear(&st->blob);
        sqlite3_stmt *stmt = kt_store_sql(st, w->row ? SQL_SET_FLOWS : SQL_PUT_FLOWS, err);
        if (!stmt)
            return KT_EIO;
        if (kt_chunk_write(&w->chunk, &st->blob) < 0)
            return kt_fail(err, KT_ENOMEM, 0, "no memory to store flows");
        sqlite3_bind_int64(stmt, 1, w->first);
        sqlite3_bind_int64(stmt, 2, w->last);
        sqlite3_bind_int64(stmt, 3, w->chunk.rows);
        sqlite3_bind_blob64(stmt, 4, st->blob.data, st->blob.len, SQLITE_STATIC);
        if (w->row)
            sqlite3_bind_int64(stmt, 5, w->row);
        int rc = kt_store_run(st, stmt, err, "store flows");
        if (rc < 0)
            return rc;
        if (!w->row)
            w->row = sqlite3_last_insert_rowid(st->db);
        w->dirty = false;
    }
    if (done) {
        kt_chunk_reset(&w->chunk);
        w->base = (struct kt_flow_base){0};
        w->row = 0;
    }
    return KT_OK;
}

int kt_flows_flush(struct kt_store *st, struct kt_error *err)
{
    return st->flows.dirty ? flush(st, false, err) : KT_OK;
}

void kt_flows_fini(struct kt_store *st)
{
    kt_chunk_fini(&st->flows.chunk);
    kt_interim_fini(&st->flows.interims);
    free(st->flows.label);
}

/* ---- labels ---- */

static void bind_label(sqlite3_stmt *stmt, const struct kt_flow_label *l)
{
    sqlite3_bind_text(stmt, 1, l->app ? l->app : "", -1, SQLITE_STATIC);
    sqlite3_bind_text(stmt, 2, l->category ? l->category : "", -1, SQLITE_STATIC);
    sqlite3_bind_text(stmt, 3, l->rule ? l->rule : "", -1, SQLITE_STATIC);
}

/* The store's number of a label, made on first use. */
static int label_number(struct kt_store *st, const struct kt_flow_label *l, uint32_t *number,
                        struct kt_error *err)
{
    sqlite3_stmt *get = kt_store_sql(st, SQL_GET_LABEL, err);
    if (!get)
        return KT_EIO;
    bind_label(get, l);
    int64_t id = sqlite3_step(get) == SQLITE_ROW ? sqlite3_column_int64(get, 0) : 0;
    sqlite3_reset(get);
    if (!id) {
        sqlite3_stmt *put = kt_store_sql(st, SQL_PUT_LABEL, err);
        if (!put)
            return KT_EIO;
        bind_label(put, l);
        int rc = kt_store_run(st, put, err, "store a label");
        if (rc < 0)
            return rc;
        id = sqlite3_last_insert_rowid(st->db);
    }
    if (id < 1 || id >= LABELS)
        return kt_fail(err, KT_EFULL, 0, "%s: too many labels", st->path);
    *number = (uint32_t)id;
    return KT_OK;
}

/* ---- runs ---- */

/* A run that did not come to its end could not end its events either. */
static int end_events(struct kt_store *st, struct kt_error *err)
{
    sqlite3_stmt *stmt = kt_store_sql(st, SQL_END_EVENTS, err);
    return stmt ? kt_store_run(st, stmt, err, "end the events of the run before") : KT_EIO;
}

int kt_store_begin_run(struct kt_store *st, const char *input, unsigned *earlier,
                       struct kt_error *err)
{
    int rc = kt_store_write(st, err);
    if (rc < 0 || (rc = end_events(st, err)) < 0)
        return rc;
    sqlite3_stmt *stmt = kt_store_sql(st, SQL_PUT_RUN, err);
    if (!stmt)
        return KT_EIO;
    sqlite3_bind_int64(stmt, 1, kt_now());
    sqlite3_bind_text(stmt, 2, input, -1, SQLITE_STATIC);
    if ((rc = kt_store_run(st, stmt, err, "begin a run")) < 0)
        return rc;
    int64_t run = sqlite3_last_insert_rowid(st->db);
    if (run < 1 || run > RUNS)
        return kt_fail(err, KT_EFULL, 0, "%s: too many runs", st->path);
    st->flows.first_id = (uint64_t)(run - 1) * KT_STORE_RUN_PACKETS;
    if (earlier)
        *earlier = (unsigned)(run - 1);
    return KT_OK;
}

void kt_store_number(const struct kt_store *st, struct kt_flow_record *r)
{
    r->id += st->flows.first_id;
    r->announcer.packet += st->flows.first_id;
    if (r->announcer.flow != KT_FLOW_NONE)
        r->announcer.flow += st->flows.first_id;
}

/* ---- records ---- */

static int prepare(struct kt_store *st, struct kt_error *err)
{
    struct kt_flow_writer *w = &st->flows;
    if (!w->label)
        w->label = calloc(LABELS, sizeof *w->label);
    if (!w->label || (!w->chunk.memory && kt_flow_chunk_init(&w->chunk, KT_STORE_FLOW_ROWS) < 0))
        return kt_fail(err, KT_ENOMEM, 0, "no memory to store flows");
    return KT_OK;
}

/* The record replaces an interim one of its flow. */
static int supersede(struct kt_store *st, const struct kt_interim *old, struct kt_error *err)
{
    sqlite3_stmt *stmt = kt_store_sql(st, SQL_PUT_SUPERSEDED, err);
    if (!stmt)
        return KT_EIO;
    sqlite3_bind_int64(stmt, 1, old->chunk);
    sqlite3_bind_int64(stmt, 2, old->row);
    return kt_store_run(st, stmt, err, "store flows");
}

static int remember(struct kt_store *st, const struct kt_flow_record *r, struct kt_error *err)
{
    struct kt_flow_writer *w = &st->flows;
    int rc = w->row ? KT_OK : flush(st, false, err); /* gives the chunk its row */
    if (rc == KT_OK &&
        kt_interim_put(&w->interims,
                       &(struct kt_interim){
                           .id = r->id, .first = r->first, .chunk = w->row, .row = w->chunk.rows}))
        rc = kt_fail(err, KT_ENOMEM, 0, "no memory to store flows");
    return rc;
}

static int add(struct kt_store *st, const struct kt_flow_record *r, uint32_t label,
               struct kt_error *err)
{
    struct kt_flow_writer *w = &st->flows;
    struct kt_flow_record numbered;
    struct kt_interim old;
    int rc = KT_OK;
    if (w->first_id) {
        numbered = *r;
        kt_store_number(st, &numbered);
        r = &numbered;
    }
    if (KT_UNLIKELY(kt_interim_take(&w->interims, r->id, r->first, &old)))
        rc = supersede(st, &old, err);
    if (rc == KT_OK && r->flags & KT_FLOW_INTERIM)
        rc = remember(st, r, err);
    if (rc < 0)
        return rc;
    bool fresh = w->chunk.rows == 0;
    w->first = fresh || r->first < w->first ? r->first : w->first;
    w->last = fresh || r->last > w->last ? r->last : w->last;
    kt_flow_chunk_add(&w->chunk, &w->base, r, label);
    w->dirty = true;
    return w->chunk.rows < KT_STORE_FLOW_ROWS ? KT_OK : flush(st, true, err);
}

int kt_store_add_flows(struct kt_store *st, const struct kt_flow_record *flows, size_t n,
                       struct kt_flow_label (*label_of)(void *ctx, unsigned label), void *ctx,
                       struct kt_error *err)
{
    struct kt_error mine = {0};
    int rc = kt_store_write(st, err);
    if (rc < 0 || (rc = prepare(st, err)) < 0)
        return rc;
    for (size_t i = 0; i < n && rc == KT_OK; i++) {
        uint32_t *number = &st->flows.label[flows[i].verdict.label];
        if (KT_UNLIKELY(!*number)) {
            struct kt_flow_label l = label_of(ctx, flows[i].verdict.label);
            rc = label_number(st, &l, number, &mine);
        }
        if (rc == KT_OK)
            rc = add(st, &flows[i], *number, &mine);
    }
    if (rc == KT_OK)
        return KT_OK;
    if (err)
        *err = mine;
    return kt_store_broken(st, rc, &mine);
}
