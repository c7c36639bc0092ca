/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "internal.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { POINTS = 600, POINTS_MAX = 5000, TOP = 12, TOP_MAX = 1000, LIMIT = 100, LIMIT_MAX = 1000 };
#define VALUES_MAX INT64_C(1000000) /* of one reply */

struct request {
    struct kt_web *web;
    struct kt_store *store;
    struct kt_web_job *job;
    struct kt_buf *out;
    struct kt_error err;
    int64_t from, to;
};

/* ---- writing ---- */

void kt_web_error_json(struct kt_buf *out, const char *code, const char *sentence)
{
    struct kt_json j = kt_json(out);
    kt_json_open(&j, '{');
    kt_json_put_str(&j, "error", sentence);
    kt_json_put_str(&j, "code", code);
    kt_json_close(&j, '}');
}

static unsigned fail(struct request *r, unsigned status, const char *code, const char *sentence)
{
    kt_buf_clear(r->out);
    kt_web_error_json(r->out, code, sentence);
    return status;
}

/* Asked by the store, every few hundred rows. */
static bool given_up(void *ctx)
{
    const struct request *r = ctx;
    return kt_flag_get(&r->job->left) || kt_flag_get(&r->web->closing) ||
           kt_monotonic() > r->job->until;
}

static unsigned fail_given_up(struct request *r)
{
    if (kt_flag_get(&r->web->closing))
        return fail(r, 503, "stopping", "the program is ending");
    if (kt_flag_get(&r->job->left))
        return fail(r, 400, "left", "the connection was closed before there was an answer");
    return fail(r, 503, "slow",
                "the query took too long and was given up: narrow the window or the filter");
}

static unsigned fail_code(struct request *r, int rc)
{
    const char *why = r->err.text[0] ? r->err.text : kt_code_name(rc);
    if (rc == KT_ECANCELED)
        return fail_given_up(r);
    if (rc == KT_EINVAL)
        return fail(r, 400, "invalid", why);
    return rc == KT_EBUSY ? fail(r, 503, "busy", why) : fail(r, 500, "failed", why);
}

/* ---- reading the query ---- */

static int number(struct request *r, const char *name, int64_t least, int64_t most, int64_t *value)
{
    const char *s = kt_http_param(r->job->ask, name);
    if (!s || !*s)
        return KT_OK;
    char *end;
    errno = 0;
    long long v = strtoll(s, &end, 10);
    if (errno || *end || v < least || v > most)
        return kt_fail(&r->err, KT_EINVAL, 0, "%s must be a number from %" PRId64 " to %" PRId64,
                       name, least, most);
    *value = v;
    return KT_OK;
}

static int window(struct request *r)
{
    int rc = number(r, "from", 0, INT64_MAX, &r->from);
    if (rc == KT_OK)
        rc = number(r, "to", 0, INT64_MAX, &r->to);
    if (rc == KT_OK && r->to && r->to <= r->from)
        return kt_fail(&r->err, KT_EINVAL, 0, "to must lie after from");
    return rc;
}

/* What a store says may lie anywhere in time. */
static int64_t plus(int64_t a, int64_t b)
{
    int64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

/* The window, or the whole store where a side is open. */
static int whole(struct request *r)
{
    int64_t first = 0, last = 0, interval = kt_store_interval(r->store);
    int rc = kt_store_range(r->store, &first, &last, &r->err);
    if (rc < 0 && rc != KT_ENOTFOUND)
        return rc;
    if (r->from == 0)
        r->from = first;
    if (r->to == 0)
        r->to = plus(last, interval);
    if (r->to <= r->from)
        r->to = plus(r->from, interval);
    return KT_OK;
}

/* ---- /status ---- */

void kt_web_status_json(struct kt_web *w, struct kt_buf *out)
{
    struct kt_web_status s = {0};
    if (w->opt.status)
        w->opt.status(w->opt.ctx, &s);
    struct kt_json j = kt_json(out);
    kt_json_open(&j, '{');
    kt_json_put_str(&j, "version", KT_VERSION);
    kt_json_put_str(&j, "input", s.input);
    kt_json_key(&j, "live");
    kt_json_bool(&j, s.live);
    kt_json_key(&j, "done");
    kt_json_bool(&j, s.done);
    kt_json_put_u64(&j, "bytes_done", s.bytes_done);
    kt_json_put_u64(&j, "bytes_total", s.bytes_total);
    kt_json_put_u64(&j, "packets", s.packets);
    kt_json_put_u64(&j, "bytes", s.bytes);
    kt_json_put_u64(&j, "flows", s.flows);
    kt_json_put_u64(&j, "lost", s.lost);
    kt_json_put_u64(&j, "not_ip", s.not_ip);
    kt_json_put_u64(&j, "malformed", s.malformed);
    kt_json_put_big(&j, "first", s.first);
    kt_json_put_big(&j, "last", s.last);
    kt_json_put_u64(&j, "interval", (uint64_t)s.interval);
    kt_json_put_u64(&j, "workers", s.workers);
    kt_json_put_u64(&j, "earlier_runs", s.earlier);
    kt_json_put_str(&j, "warning", s.warning);
    kt_json_close(&j, '}');
}

/* ---- /applications ---- */

struct sums {
    const char *name;
    int64_t value[KT_VALUES];
};

static int by_bytes(const void *a, const void *b)
{
    const struct sums *x = a, *y = b;
    return x->value[0] > y->value[0] ? -1 : x->value[0] < y->value[0];
}

static struct sums *sum_up(const struct kt_store_result *q)
{
    struct sums *s = calloc(q->n + 1, sizeof *s);
    for (size_t i = 0; s && i < q->n; i++) {
        s[i].name = q->series[i].stream.name;
        for (size_t b = 0; b < q->bins * KT_VALUES; b++)
            s[i].value[b % KT_VALUES] = plus(s[i].value[b % KT_VALUES], q->series[i].value[b]);
    }
    if (s && q->n)
        qsort(s, q->n, sizeof *s, by_bytes);
    return s;
}

static const char *category(const struct kt_rules *rules, const char *app)
{
    for (unsigned a = 0; rules && a < kt_rules_apps(rules); a++)
        if (strcmp(kt_rules_app_name(rules, a), app) == 0)
            return kt_rules_app_category(rules, a);
    return "";
}

static void sums_json(struct request *r, struct kt_json *j, const char *key, const struct sums *s,
                      size_t n, int64_t all, bool apps)
{
    kt_json_key(j, key);
    kt_json_open(j, '[');
    for (size_t i = 0; i < n; i++) {
        const int64_t *v = s[i].value;
        if (!v[0] && !v[1] && !v[2])
            continue;
        kt_json_open(j, '{');
        kt_json_put_str(j, "name", s[i].name);
        if (apps)
            kt_json_put_str(j, "category", category(r->web->opt.rules, s[i].name));
        kt_json_key(j, "bytes");
        kt_json_i64(j, v[KT_VALUE_BYTES]);
        kt_json_key(j, "packets");
        kt_json_i64(j, v[KT_VALUE_PACKETS]);
        kt_json_key(j, "flows");
        kt_json_i64(j, v[KT_VALUE_FLOWS]);
        kt_json_key(j, "share");
        kt_json_f64(j, all > 0 ? (double)v[0] / (double)all : 0);
        kt_json_close(j, '}');
    }
    kt_json_close(j, ']');
}

static unsigned applications(struct request *r)
{
    static const enum kt_stream_kind kinds[] = {KT_STREAM_TOTAL, KT_STREAM_APP, KT_STREAM_CATEGORY};
    struct kt_store_result q[3] = {0};
    struct sums *s[3] = {0};
    int rc = whole(r);
    for (int i = 0; i < 3 && rc == KT_OK; i++) {
        rc = kt_store_query(r->store, kinds[i], NULL, r->from, r->to, 1, &q[i], &r->err);
        if (rc == KT_OK && !(s[i] = sum_up(&q[i])))
            rc = KT_ENOMEM;
    }
    if (rc == KT_OK) {
        struct kt_json j = kt_json(r->out);
        const int64_t *all = s[0][0].value; /* zeros when there is no stream yet */
        kt_json_open(&j, '{');
        kt_json_put_big(&j, "from", r->from);
        kt_json_put_big(&j, "to", r->to);
        kt_json_put_u64(&j, "bytes", (uint64_t)all[KT_VALUE_BYTES]);
        kt_json_put_u64(&j, "packets", (uint64_t)all[KT_VALUE_PACKETS]);
        kt_json_put_u64(&j, "flows", (uint64_t)all[KT_VALUE_FLOWS]);
        sums_json(r, &j, "applications", s[1], q[1].n, all[0], true);
        sums_json(r, &j, "categories", s[2], q[2].n, all[0], false);
        kt_json_close(&j, '}');
    }
    for (int i = 0; i < 3; i++) {
        free(s[i]);
        kt_store_result_fini(&q[i]);
    }
    return rc == KT_OK ? 200 : fail_code(r, rc);
}

/* ---- /series ---- */

static int metric_of(const char *name)
{
    if (!name || !*name || strcmp(name, "bytes") == 0)
        return KT_VALUE_BYTES;
    if (strcmp(name, "packets") == 0)
        return KT_VALUE_PACKETS;
    return strcmp(name, "flows") == 0 ? KT_VALUE_FLOWS : -1;
}

static bool is_rtt(const struct kt_store_series *s)
{
    return strcmp(s->stream.name, "rtt") == 0;
}

/* The value of a bin. Health is a mean over its intervals: for the round trip, those that had a
 * sample (collect counts them in the third column), and none without. */
static void value_json(struct kt_json *j, const struct kt_store_result *q, size_t bin,
                       const struct kt_store_series *s, int metric, bool health)
{
    const int64_t *v = s->value + bin * KT_VALUES;
    if (!health) {
        kt_json_i64(j, v[metric]);
        return;
    }
    int64_t over = is_rtt(s) ? v[KT_VALUE_FLOWS] : q->intervals[bin];
    if (over > 0)
        kt_json_f64(j, (double)v[KT_VALUE_BYTES] / (double)over);
    else
        kt_json_null(j);
}

static void one_series(struct kt_json *j, const struct kt_store_result *q,
                       const struct kt_store_series *s, int metric, bool health)
{
    int64_t total = 0;
    for (size_t b = 0; b < q->bins; b++)
        total = plus(total, s->value[b * KT_VALUES + (unsigned)metric]);
    kt_json_open(j, '{');
    kt_json_put_str(j, "name", s->stream.name);
    kt_json_key(j, "total");
    if (health) /* means have no sum */
        kt_json_null(j);
    else
        kt_json_i64(j, total);
    kt_json_key(j, "values");
    kt_json_open(j, '[');
    for (size_t b = 0; b < q->bins; b++) {
        if (q->seen[b])
            value_json(j, q, b, s, metric, health);
        else
            kt_json_null(j);
    }
    kt_json_close(j, ']');
    kt_json_close(j, '}');
}

static void series_json(struct request *r, const struct kt_store_result *q, int kind, int metric)
{
    static const char *const unit[] = {"bytes", "packets", "flows"};
    struct kt_json j = kt_json(r->out);
    kt_json_open(&j, '{');
    kt_json_put_big(&j, "from", q->from);
    kt_json_key(&j, "step");
    kt_json_i64(&j, q->step);
    bool health = kind == KT_STREAM_HEALTH, rtt = health && q->n == 1 && is_rtt(&q->series[0]);
    kt_json_put_str(&j, "unit", rtt ? "microseconds" : health ? "mean" : unit[metric]);
    kt_json_put_str(&j, "kind", kt_stream_kind_text((enum kt_stream_kind)kind));
    kt_json_key(&j, "times");
    kt_json_open(&j, '[');
    for (size_t b = 0; b < q->bins; b++)
        kt_json_put_big(&j, NULL, q->from + (int64_t)b * q->step);
    kt_json_close(&j, ']');
    kt_json_key(&j, "series");
    kt_json_open(&j, '[');
    for (size_t i = 0; i < q->n; i++)
        one_series(&j, q, &q->series[i], metric, kind == KT_STREAM_HEALTH);
    kt_json_close(&j, ']');
    kt_json_close(&j, '}');
}

static unsigned series(struct request *r)
{
    const char *kind_text = kt_http_param(r->job->ask, "kind"),
               *name = kt_http_param(r->job->ask, "name");
    int kind = kind_text && *kind_text ? kt_stream_kind_parse(kind_text) : KT_STREAM_TOTAL;
    int metric = metric_of(kt_http_param(r->job->ask, "metric"));
    if (kind < 0)
        return fail(r, 400, "invalid",
                    "kind must be total, app, category, direction, port or health");
    if (metric < 0)
        return fail(r, 400, "invalid", "metric must be bytes, packets or flows");
    int64_t points = POINTS, top = TOP;
    struct kt_store_result q = {0};
    int rc = number(r, "points", 1, POINTS_MAX, &points);
    if (rc == KT_OK)
        rc = number(r, "top", 1, TOP_MAX, &top);
    if (rc == KT_OK && points * top > VALUES_MAX)
        rc =
            kt_fail(&r->err, KT_EINVAL, 0, "points times top must be at most %" PRId64, VALUES_MAX);
    if (rc == KT_OK)
        rc = whole(r);
    if (rc == KT_OK)
        rc = kt_store_query_top(r->store, (enum kt_stream_kind)kind, name && *name ? name : NULL,
                                r->from, r->to, (size_t)points, (enum kt_value)metric,
                                kind == KT_STREAM_HEALTH ? 0 : (size_t)top, &q, &r->err);
    if (rc == KT_OK)
        series_json(r, &q, kind, metric);
    kt_store_result_fini(&q);
    return rc == KT_OK ? 200 : fail_code(r, rc);
}

/* ---- /flows ---- */

static int flow_json(void *ctx, const struct kt_stored_flow *flow)
{
    struct kt_json *j = ctx;
    kt_json_open(j, '{');
    kt_stored_flow_json(j, flow);
    kt_json_close(j, '}');
    return j->out->failed ? KT_ENOMEM : KT_OK;
}

static unsigned flows(struct request *r)
{
    const char *filter = kt_http_param(r->job->ask, "filter"),
               *sort = kt_http_param(r->job->ask, "sort");
    const char *order = kt_http_param(r->job->ask, "order");
    int64_t offset = 0, limit = LIMIT;
    uint64_t total = 0;
    struct kt_expr *expr = NULL;
    int rc = number(r, "offset", 0, 1000000000, &offset);
    if (rc == KT_OK)
        rc = number(r, "limit", 0, LIMIT_MAX, &limit);
    if (rc == KT_OK && order && *order && strcmp(order, "asc") != 0 && strcmp(order, "desc") != 0)
        rc = kt_fail(&r->err, KT_EINVAL, 0, "order must be asc or desc");
    if (rc == KT_OK && filter && *filter)
        rc = kt_expr_compile(&expr, filter, &kt_flow_env, &r->err);
    if (rc < 0)
        return fail(r, 400, "invalid", r->err.text);
    struct kt_flow_query q = {.from = r->from,
                              .to = r->to,
                              .filter = expr,
                              .sort = sort && *sort ? sort : NULL,
                              .descending = order && strcmp(order, "desc") == 0,
                              .offset = (size_t)offset,
                              .limit = (size_t)limit};
    if (q.from && !q.to)
        q.to = INT64_MAX;
    struct kt_buf list = {0};
    struct kt_json inner = kt_json(&list);
    kt_json_open(&inner, '[');
    rc = kt_store_flows(r->store, &q, &total, flow_json, &inner, &r->err);
    kt_json_close(&inner, ']');
    kt_expr_free(expr);
    if (rc == KT_OK && list.failed)
        rc = KT_ENOMEM;
    if (rc == KT_OK) {
        struct kt_json j = kt_json(r->out);
        kt_json_open(&j, '{');
        kt_json_put_u64(&j, "total", total);
        kt_json_put_u64(&j, "offset", (uint64_t)offset);
        kt_json_put_raw(&j, "flows", list.data);
        kt_json_close(&j, '}');
    }
    kt_buf_free(&list);
    return rc == KT_OK ? 200 : fail_code(r, rc);
}

/* ---- /events ---- */

static int event_json(void *ctx, const struct kt_event *e)
{
    struct kt_json *j = ctx;
    kt_json_open(j, '{');
    kt_json_put_big(j, "id", (int64_t)e->id);
    kt_event_json(j, e);
    kt_json_close(j, '}');
    return KT_OK;
}

int kt_web_events_json(struct kt_store *st, int64_t from, int64_t to, struct kt_buf *out,
                       struct kt_error *err)
{
    struct kt_json j = kt_json(out);
    kt_json_open(&j, '{');
    kt_json_key(&j, "events");
    kt_json_open(&j, '[');
    int rc = kt_store_events(st, from, from && !to ? INT64_MAX : to, event_json, &j, err);
    kt_json_close(&j, ']');
    kt_json_close(&j, '}');
    return rc;
}

static unsigned events(struct request *r)
{
    int rc = kt_web_events_json(r->store, r->from, r->to, r->out, &r->err);
    return rc == KT_OK ? 200 : fail_code(r, rc);
}

/* ---- /fields and /rules: what the replies and the filters speak of ---- */

static unsigned fields(struct request *r)
{
    static const char *const type[] = {"condition", "number", "text", "address", "time"};
    struct kt_json j = kt_json(r->out);
    kt_json_open(&j, '{');
    kt_json_key(&j, "fields");
    kt_json_open(&j, '[');
    for (const struct kt_expr_field *f = kt_flow_env.fields; f->name; f++) {
        kt_json_open(&j, '{');
        kt_json_put_str(&j, "name", f->name);
        kt_json_put_str(&j, "type", type[f->type]);
        kt_json_put_str(&j, "means", f->doc);
        kt_json_key(&j, "sorts");
        kt_json_bool(&j, !f->either[0]);
        kt_json_close(&j, '}');
    }
    kt_json_close(&j, ']');
    kt_json_close(&j, '}');
    return 200;
}

static void rule_json(struct kt_json *j, const struct kt_rules *rules, unsigned label)
{
    const struct kt_label *l = kt_rules_label(rules, label);
    struct kt_rule_line line;
    kt_json_open(j, '{');
    kt_json_put_str(j, "id", l->id);
    kt_json_put_str(j, "name", l->name);
    kt_json_put_str(j, "category", l->category);
    kt_json_key(j, "lines");
    kt_json_open(j, '[');
    for (unsigned i = 0; kt_rules_line(rules, label, i, &line); i++) {
        kt_json_open(j, '{');
        kt_json_put_u64(j, "accept", line.accept);
        kt_json_put_u64(j, "confidence", line.confidence);
        kt_json_key(j, "port_only");
        kt_json_bool(j, line.priority >= KT_PRIORITY_PORT);
        kt_json_put_str(j, "text", line.text);
        kt_json_put_str(j, "file", line.file);
        kt_json_put_u64(j, "line", line.line);
        kt_json_close(j, '}');
    }
    kt_json_close(j, ']');
    kt_json_close(j, '}');
}

static unsigned rules(struct request *r)
{
    const struct kt_rules *rules = r->web->opt.rules;
    const char *id = kt_http_param(r->job->ask, "id");
    struct kt_json j = kt_json(r->out);
    kt_json_open(&j, '{');
    kt_json_key(&j, "rules");
    kt_json_open(&j, '[');
    for (unsigned i = 0; rules && i < kt_rules_labels(rules); i++)
        if (!id || !*id || strcmp(kt_rules_label(rules, i)->id, id) == 0)
            rule_json(&j, rules, i);
    kt_json_close(&j, ']');
    kt_json_close(&j, '}');
    return 200;
}

/* ---- all of them ---- */

void kt_web_api(struct kt_web *w, struct kt_web_job *job)
{
    static const struct {
        const char *name;
        unsigned (*reply)(struct request *);
    } table[] = {{"applications", applications},
                 {"series", series},
                 {"flows", flows},
                 {"events", events},
                 {"fields", fields},
                 {"rules", rules}};
    struct request r = {.web = w, .job = job, .out = &job->out};
    const char *name = job->ask->path + strlen(KT_WEB_API);
    size_t i = 0;
    while (i < KT_ARRAY_LEN(table) && strcmp(table[i].name, name) != 0)
        i++;
    if (i == KT_ARRAY_LEN(table)) {
        job->status = fail(&r, 404, "not-found", "there is nothing at this path");
        return;
    }
    int rc = given_up(&r) ? KT_ECANCELED : window(&r);
    if (rc == KT_OK)
        rc = kt_web_reader_get(w, &r.store, &r.err);
    if (rc < 0) {
        job->status = fail_code(&r, rc);
        return;
    }
    kt_store_stop_when(r.store, given_up, &r);
    job->status = table[i].reply(&r);
    kt_store_stop_when(r.store, NULL, NULL);
    kt_web_reader_put(w, r.store);
}
