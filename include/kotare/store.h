/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * store: everything that outlives the run, in one SQLite file: streams and points, flow records,
 * events. One thread writes; any number of readers, each with a handle of its own, in this process
 * or another. Points and flows are kept as column chunks in blobs, never a row each.
 *
 *     struct kt_store *st;
 *     if (kt_store_open(&st, "traffic.kt", KT_STORE_WRITE, &err) < 0) …
 *     kt_store_stream(st, &(struct kt_stream){KT_STREAM_APP, "DNS"}, &id, &err);
 *     kt_store_add_points(st, points, n, &err);
 *     kt_store_commit(st, &err);           // durable, and visible to readers, from here on
 *     kt_store_close(st);
 *
 * Ownership: what is given to a function is copied before it returns (label texts excepted: see
 * kt_store_add_flows()); results are freed by kt_store_result_fini(), kt_event_fini().
 *
 * Thread rule: a handle is used by one thread at a time.
 *
 * Errors: KT_EVERSION (made by a newer version), KT_EFORMAT (no store, or a damaged chunk),
 * KT_EFULL (no space), KT_EBUSY (another program has been writing for 5 s), KT_EPERM, KT_EIO. Once
 * a commit, points or flows failed nothing more is written, and all further writes repeat that
 * sentence. What was committed survives kill -9, and stays readable.
 *
 * The tables and the chunks: docs/store.md. Sources: https://www.sqlite.org/fileformat.html; the
 * LZ4 block format; zone maps, G. Moerkotte, Small Materialized Aggregates, 1998.
 */
#ifndef KOTARE_STORE_H
#define KOTARE_STORE_H

#include <kotare/expr.h>
#include <kotare/flow.h>
#include <kotare/series.h>

enum kt_store_mode { KT_STORE_READ, KT_STORE_WRITE /* creates, migrates */ };

struct kt_store;

/* path NULL with KT_STORE_WRITE: a private temporary file, removed by kt_store_close();
 * kt_store_path() tells where, for readers of the same process. A file made by a newer version is
 * refused with KT_EVERSION. */
KT_MUST_USE int kt_store_open(struct kt_store **store, const char *path, enum kt_store_mode mode,
                              struct kt_error *err);
const char *kt_store_path(const struct kt_store *store);
void kt_store_close(struct kt_store *store); /* commits nothing */

/* ---- writing ---- */

/* The number of a stream, made on first use; stable over the life of the file. */
KT_MUST_USE int kt_store_stream(struct kt_store *st, const struct kt_stream *stream, uint32_t *id,
                                struct kt_error *err);
KT_MUST_USE int kt_store_add_points(struct kt_store *st, const struct kt_point *points, size_t n,
                                    struct kt_error *err);

/* Says what is read from here on (`input`: a line each), and that what earlier runs left going on
 * is over. The flows of the run get numbers of their own, so that no two flows in one store share
 * one: their position in the trace, counted from a multiple of KT_STORE_RUN_PACKETS. Without it
 * they are numbered as those of the first run. *earlier, which may be NULL, is how many runs came
 * before. */
KT_MUST_USE int kt_store_begin_run(struct kt_store *st, const char *input, unsigned *earlier,
                                   struct kt_error *err);
#define KT_STORE_RUN_PACKETS (UINT64_C(1) << 44) /* seven months at a million a second */
/* The positions in the trace of a record of this run become the store's numbers. */
void kt_store_number(const struct kt_store *st, struct kt_flow_record *r);

/* A flow with the names of its label, so that a store can be read without the rules. */
struct kt_flow_label {
    const char *app, *category, *rule;
};
/* Flows may come again: a record with the flag KT_FLOW_INTERIM is replaced by the next one of the
 * same run with its id and time of first packet. What `seen` repeats of the key is
 * not kept but made again. label_of(ctx, record->verdict.label) gives the texts; they must live
 * until close. */
KT_MUST_USE int kt_store_add_flows(struct kt_store *st, const struct kt_flow_record *flows,
                                   size_t n,
                                   struct kt_flow_label (*label_of)(void *ctx, unsigned label),
                                   void *ctx, struct kt_error *err);

struct kt_event {
    uint64_t id;                   /* given by kt_store_put_event() when 0 */
    int64_t began, noticed, ended; /* ended 0: still on */
    double confidence;             /* 0 … 1: how sure that something changed */
    double severity;               /* 0 … 1: how much it matters */
    char kind[24];                 /* "surge", "drop", "scan", "latency", "loss", "outage" */
    char title[160];               /* one sentence with units */
    char *causes;                  /* JSON array of {"kind","name","before","after","share","unit"};
                                      malloc */
    char *filter;                  /* flow filter (expr) for the flows of that moment; malloc */
    char *streams;                 /* JSON array of {"kind","name"}; malloc */
};
void kt_event_fini(struct kt_event *event);
/* Its fields but the id, within an object that the caller opens: those of docs/api.md. */
void kt_event_json(struct kt_json *j, const struct kt_event *event);
/* Inserts, or replaces the event with this id. */
KT_MUST_USE int kt_store_put_event(struct kt_store *st, struct kt_event *event,
                                   struct kt_error *err);
/* A key with a text: what holds for the whole file. */
KT_MUST_USE int kt_store_put_meta(struct kt_store *st, const char *key, const char *value,
                                  struct kt_error *err);
/* Says how long the intervals of the points are. KT_EINVAL: those that are there are longer or
 * shorter, and one file holds one length only. */
KT_MUST_USE int kt_store_set_interval(struct kt_store *st, int64_t ns, struct kt_error *err);
/* Makes all of the above durable. */
KT_MUST_USE int kt_store_commit(struct kt_store *st, struct kt_error *err);

/* ---- reading ---- */

/* From now on kt_store_query(), kt_store_flows() and kt_store_events() ask `stop` every few hundred
 * rows, and end with KT_ECANCELED when it says true. NULL: ask nobody. */
void kt_store_stop_when(struct kt_store *st, bool (*stop)(void *ctx), void *ctx);

/* The text of a key in buf, or KT_ENOTFOUND. */
int kt_store_get_meta(struct kt_store *st, const char *key, char *buf, size_t size);

/* How long its intervals are (meta "interval_ns"), a second when it does not say. */
int64_t kt_store_interval(struct kt_store *st);

/* Sums of one stream over `bins` equal steps from `from`: value[bin * KT_VALUES + column].
 * seen[bin] tells whether the store holds any point there (false: a gap). */
struct kt_store_series {
    struct kt_stream stream;
    int64_t *value;
};
struct kt_store_result {
    int64_t from, step;
    size_t bins;
    size_t n;
    struct kt_store_series *series; /* in order of falling total of the first column */
    bool
        rest; /* kt_store_query_top(): the last series sums all the streams beyond the first ones */
    bool *seen;
    uint32_t *intervals; /* how many intervals of each bin were watched, for means */
};
/* Streams of one kind (name NULL: all of that kind) that have a point in [from, to) (0, 0: the
 * whole store); streams of health also without one. `step` is rounded up to whole intervals, `from`
 * down to the beginning of its interval; bins are at most max_bins. Points at or after `to` don't
 * count. */
KT_MUST_USE int kt_store_query(struct kt_store *st, enum kt_stream_kind kind, const char *name,
                               int64_t from, int64_t to, size_t max_bins,
                               struct kt_store_result *result, struct kt_error *err);
/* The same, ordered by the total of `column`; what is beyond the `top` largest (0: no limit) is
 * summed in one last series named "Other". */
KT_MUST_USE int kt_store_query_top(struct kt_store *st, enum kt_stream_kind kind, const char *name,
                                   int64_t from, int64_t to, size_t max_bins, enum kt_value column,
                                   size_t top, struct kt_store_result *result,
                                   struct kt_error *err);
void kt_store_result_fini(struct kt_store_result *result);
/* The first and last point's time; KT_ENOTFOUND in an empty store. */
int kt_store_range(struct kt_store *st, int64_t *first, int64_t *last, struct kt_error *err);

/* A flow as it comes back: the record and its label's texts (valid during the callback). */
struct kt_stored_flow {
    struct kt_flow_record record; /* verdict.label is the store's own number */
    const char *app, *category, *rule;
    char proto[16]; /* kt_proto_text() of it */
};
/* Its fields, within an object that the caller opens: those of docs/api.md. */
void kt_stored_flow_json(struct kt_json *j, const struct kt_stored_flow *flow);
/* The names a flow filter may use, and how to load them from a struct kt_stored_flow. */
extern const struct kt_expr_env kt_flow_env;
void kt_flow_load(const void *stored_flow, unsigned field, struct kt_expr_value *value);

struct kt_flow_query {
    int64_t from, to;             /* flows that overlap [from, to); 0, 0: all */
    const struct kt_expr *filter; /* over kt_flow_env, may be NULL */
    const char *sort;             /* a field of kt_flow_env, or NULL: start */
    bool descending;
    size_t offset, limit;
};
/* Calls back for each flow of the page; *total is how many match. A callback that returns
 * non-zero stops the query. */
KT_MUST_USE int kt_store_flows(struct kt_store *st, const struct kt_flow_query *query,
                               uint64_t *total,
                               int (*flow)(void *ctx, const struct kt_stored_flow *flow), void *ctx,
                               struct kt_error *err);
/* Events that overlap [from, to) (0, 0: all), by their beginning. */
KT_MUST_USE int kt_store_events(struct kt_store *st, int64_t from, int64_t to,
                                int (*event)(void *ctx, const struct kt_event *event), void *ctx,
                                struct kt_error *err);

#endif
