/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * What the files of the store share: the handle, prepared statements, errors.
 */
#ifndef KT_STORE_INTERNAL_H
#define KT_STORE_INTERNAL_H

#include "flow_chunk.h"
#include <sqlite3.h>

#define KT_STORE_APPLICATION_ID 0x4b6f7461 /* "Kota" */
#define KT_STORE_SCHEMA 3
#define KT_STORE_FLOW_ROWS 4096  /* flows of a full chunk */
#define KT_STORE_POINT_ROWS 8192 /* points of a full chunk */

enum kt_sql {
    SQL_BEGIN_WRITE,
    SQL_BEGIN_READ,
    SQL_COMMIT,
    SQL_ROLLBACK,
    SQL_PUT_META,
    SQL_GET_META,
    SQL_PUT_RUN,
    SQL_END_EVENTS,
    SQL_PUT_STREAM,
    SQL_GET_STREAM,
    SQL_STREAM_KIND,
    SQL_STREAMS,
    SQL_PUT_POINTS,
    SQL_SET_POINTS,
    SQL_FIND_POINTS,
    SQL_LOAD_POINTS,
    SQL_RANGE,
    SQL_PUT_LABEL,
    SQL_GET_LABEL,
    SQL_LABELS,
    SQL_PUT_FLOWS,
    SQL_SET_FLOWS,
    SQL_FIND_FLOWS,
    SQL_LOAD_FLOWS,
    SQL_PUT_SUPERSEDED,
    SQL_SUPERSEDED,
    SQL_PUT_EVENT,
    SQL_EVENTS,
    SQL_COUNT
};

/* The chunk of points of one kind that is still growing: rewritten by every commit until it is
 * full, so that the file holds few and large chunks however often it is committed. */
struct kt_point_writer {
    struct kt_chunk chunk;
    int64_t row; /* its row in the file, 0: none yet */
    bool dirty;
    int64_t first, last, least, most;
    uint64_t prev_ts;
    uint32_t prev_stream;
};

/* Where the interim record of a flow lies, so that its next one replaces it. */
struct kt_interim {
    uint64_t id;
    int64_t first;
    int64_t chunk; /* 0: a free entry */
    uint32_t row;
};
struct kt_interims {
    struct kt_interim *entry; /* open addressing */
    size_t cap, used;
};
int kt_interim_put(struct kt_interims *t, const struct kt_interim *entry);
/* Finds and removes an entry. */
bool kt_interim_take(struct kt_interims *t, uint64_t id, int64_t first, struct kt_interim *out);
void kt_interim_fini(struct kt_interims *t);

struct kt_flow_writer {
    struct kt_chunk chunk;
    struct kt_flow_base base;
    int64_t row;
    bool dirty;
    int64_t first, last;
    uint64_t first_id; /* added to the positions in this run's trace */
    uint32_t *label;   /* the store's number by the caller's, 0: not asked for yet */
    struct kt_interims interims;
};

struct kt_store {
    sqlite3 *db;
    char *path;
    char *temp; /* folder to remove on close */
    bool writer, in_txn;
    int sys;                /* errno of the last step */
    struct kt_error failed; /* the first failure of a write: no write follows it */
    sqlite3_stmt *stmt[SQL_COUNT];
    uint8_t *stream_kind; /* by number; 255: not looked up */
    size_t streams;
    struct kt_point_writer points[KT_STREAM_KINDS];
    struct kt_flow_writer flows;
    struct kt_buf blob;
    bool (*stop)(void *ctx); /* asked while reading */
    void *stop_ctx;
};

/* The error of the last SQLite call, told as "PATH: cannot DOING: REASON". */
int kt_store_sql_fail(struct kt_store *st, struct kt_error *err, const char *doing);
/* A prepared statement, reset and without bindings; NULL with *err set. */
sqlite3_stmt *kt_store_sql(struct kt_store *st, enum kt_sql which, struct kt_error *err);
/* Steps a statement that gives no rows, and resets it. */
int kt_store_run(struct kt_store *st, sqlite3_stmt *stmt, struct kt_error *err, const char *doing);
/* Begins the transaction that kt_store_commit() ends; repeats the first failure of a write. */
int kt_store_write(struct kt_store *st, struct kt_error *err);
/* Ends writing for good: the transaction is rolled back. Returns `rc`. */
int kt_store_broken(struct kt_store *st, int rc, const struct kt_error *why);
/* KT_ECANCELED when whoever asked wants no answer any more. */
int kt_store_go_on(struct kt_store *st, struct kt_error *err);
/* All that follows sees the store as it is now, until kt_store_read_end(). */
int kt_store_read_begin(struct kt_store *st, struct kt_error *err);
void kt_store_read_end(struct kt_store *st);

int kt_points_flush(struct kt_store *st, struct kt_error *err);
void kt_points_fini(struct kt_store *st);
int kt_flows_flush(struct kt_store *st, struct kt_error *err);
void kt_flows_fini(struct kt_store *st);

/* Row number, time range and rows of the chunks that may hold what a query wants. */
struct kt_zone {
    int64_t id, first, last;
    uint32_t rows;
};
struct kt_zones {
    struct kt_zone *zone;
    size_t n;
};
/* Runs `find`, already bound, whose columns are those of struct kt_zone. */
int kt_zones_load(struct kt_store *st, sqlite3_stmt *find, struct kt_zones *zones,
                  struct kt_error *err);

/* The columns of a chunk of points. */
enum { POINT_TS, POINT_STREAM, POINT_VALUE, POINT_INTS = POINT_VALUE + KT_VALUES };

#endif
