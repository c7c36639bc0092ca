/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Flow records: a growing chunk, and queries that filter, sort and page over all of them. */
#include "internal.h"
#include <stdlib.h>

enum {
    F_ID, F_FIRST, F_DURATION, F_PACKETS0, F_PACKETS1, F_BYTES0, F_BYTES1, F_PAYLOAD0, F_PAYLOAD1,
    F_RTT, F_RETRANS0, F_RETRANS1, F_PORTS, F_PROTO, F_TCP_FLAGS, F_VLAN, F_TUNNEL, F_IFACE, F_LABEL,
    F_CONFIDENCE, F_NAME, F_LEN0, F_LEN1, F_CAPTURED, F_INTS,
    F_ADDR = F_INTS, F_HEAD, F_TEXT, F_COLUMNS
};
static const unsigned widths[] = {32, 2 * KT_IDENT_HEAD, KT_NAME_MAX};
#define FLOWS_DEEP 50000 /* how far a sorted page may lie behind the first */

/* ---- writing ---- */

static void put(struct kt_flow_writer *w, const struct kt_flow_record *r, uint32_t label)
{
    struct kt_chunk *c = &w->chunk;
    if (c->rows == 0) {
        w->first = r->first;
        w->last = r->last;
        w->prev_id = w->prev_first = 0;
    }
    kt_chunk_put(c, F_ID, kt_zigzag((int64_t)(r->id - w->prev_id)));
    kt_chunk_put(c, F_FIRST, kt_zigzag((int64_t)((uint64_t)r->first - w->prev_first)));
    kt_chunk_put(c, F_DURATION, (uint64_t)(r->last - r->first));
    for (unsigned s = 0; s < 2; s++) {
        kt_chunk_put(c, F_PACKETS0 + s, r->packets[s]);
        kt_chunk_put(c, F_BYTES0 + s, r->bytes[s]);
        kt_chunk_put(c, F_PAYLOAD0 + s, r->payload[s]);
        kt_chunk_put(c, F_RETRANS0 + s, r->retransmits[s]);
        kt_chunk_put(c, F_LEN0 + s, r->seen.dir[s].len);
        kt_chunk_put_bytes(c, F_ADDR, r->key.addr[s], r->key.ip == 6 ? 16 : 4);
        kt_chunk_put_bytes(c, F_HEAD, r->seen.dir[s].head, r->seen.dir[s].captured);
    }
    kt_chunk_put(c, F_RTT, r->rtt_us);
    kt_chunk_put(c, F_PORTS, (uint64_t)r->key.port[0] << 16 | r->key.port[1]);
    kt_chunk_put(c, F_PROTO, r->key.proto | (uint64_t)r->key.ip << 8 | (uint64_t)r->end << 12 |
                                 (uint64_t)r->flags << 16);
    kt_chunk_put(c, F_TCP_FLAGS, r->tcp_flags[0] | (uint64_t)r->tcp_flags[1] << 8);
    kt_chunk_put(c, F_VLAN, r->key.vlan[0] | (uint64_t)r->key.vlan[1] << 16);
    kt_chunk_put(c, F_TUNNEL, r->key.tunnel);
    kt_chunk_put(c, F_IFACE, r->iface);
    kt_chunk_put(c, F_LABEL, label);
    kt_chunk_put(c, F_CONFIDENCE, r->verdict.confidence | (uint64_t)r->verdict.accept << 8);
    kt_chunk_put(c, F_NAME, r->name_kind | (uint64_t)r->name_len << 8);
    kt_chunk_put(c, F_CAPTURED, r->seen.dir[0].captured | (uint64_t)r->seen.dir[1].captured << 8);
    kt_chunk_put_bytes(c, F_TEXT, r->name, r->name_len);
    c->rows++;
    w->prev_id = r->id;
    w->prev_first = (uint64_t)r->first;
    w->first = r->first < w->first ? r->first : w->first;
    w->last = r->last > w->last ? r->last : w->last;
    w->dirty = true;
}

int kt_flows_flush(struct kt_store *st, struct kt_error *err)
{
    struct kt_flow_writer *w = &st->flows;
    if (!w->dirty)
        return KT_OK;
    kt_buf_clear(&st->blob);
    int rc = kt_chunk_write(&w->chunk, &st->blob);
    if (rc < 0)
        return kt_fail(err, rc, 0, "no memory to store flows");
    sqlite3_stmt *s = kt_store_sql(st, w->row ? SQL_SET_FLOWS : SQL_PUT_FLOWS, err);
    if (!s)
        return KT_EIO;
    sqlite3_bind_int64(s, 1, w->first);
    sqlite3_bind_int64(s, 2, w->last);
    sqlite3_bind_int64(s, 3, w->chunk.rows);
    sqlite3_bind_blob64(s, 4, st->blob.data, st->blob.len, SQLITE_STATIC);
    if (w->row)
        sqlite3_bind_int64(s, 5, w->row);
    rc = kt_store_run(st, s, err, "store flows");
    if (rc == KT_OK && !w->row)
        w->row = sqlite3_last_insert_rowid(st->db);
    w->dirty = rc != KT_OK;
    return rc;
}

void kt_flows_fini(struct kt_store *st)
{
    kt_chunk_fini(&st->flows.chunk);
    free(st->flows.label);
}

/* The number of a label's texts, made on first use. */
static int label_number(struct kt_store *st, const struct kt_flow_label *l, uint32_t *number,
                        struct kt_error *err)
{
    const char *text[3] = {l->app, l->category, l->rule};
    static const enum kt_sql which[2] = {SQL_GET_LABEL, SQL_PUT_LABEL};
    for (int i = 0; i < 2; i++) {
        sqlite3_stmt *s = kt_store_sql(st, which[i], err);
        if (!s)
            return KT_EIO;
        for (int k = 0; k < 3; k++)
            sqlite3_bind_text(s, k + 1, text[k] ? text[k] : "", -1, SQLITE_STATIC);
        int step = sqlite3_step(s);
        if (step == SQLITE_ROW)
            *number = (uint32_t)sqlite3_column_int64(s, 0);
        else if (i == 1 && step == SQLITE_DONE)
            *number = (uint32_t)sqlite3_last_insert_rowid(st->db);
        int rc = step == SQLITE_ROW || step == SQLITE_DONE
                     ? KT_OK
                     : kt_store_sql_fail(st, err, "store a label");
        sqlite3_reset(s);
        if (rc < 0 || step == SQLITE_ROW)
            return rc;
    }
    return KT_OK;
}

int kt_store_add_flows(struct kt_store *st, const struct kt_flow_record *flows, size_t n,
                       struct kt_flow_label (*label_of)(void *ctx, unsigned label), void *ctx,
                       struct kt_error *err)
{
    struct kt_flow_writer *w = &st->flows;
    int rc = kt_store_write(st, err);
    if (rc == KT_OK && !w->label) {
        w->label = calloc(65536, sizeof *w->label);
        if (!w->label || kt_chunk_init(&w->chunk, KT_STORE_FLOW_ROWS, F_INTS, F_COLUMNS - F_INTS,
                                       widths) < 0)
            return kt_fail(err, KT_ENOMEM, 0, "no memory to store flows");
        w->chunk.pack = true;
    }
    for (size_t i = 0; i < n && rc == KT_OK; i++) {
        uint32_t *label = &w->label[flows[i].verdict.label];
        if (!*label) {
            struct kt_flow_label texts = label_of(ctx, flows[i].verdict.label);
            rc = label_number(st, &texts, label, err);
            if (rc < 0)
                break;
        }
        put(w, &flows[i], *label);
        if (w->chunk.rows == KT_STORE_FLOW_ROWS) {
            rc = kt_flows_flush(st, err);
            kt_chunk_reset(&w->chunk);
            w->row = 0;
        }
    }
    return rc;
}

/* ---- reading ---- */

struct label {
    char *app, *category, *rule;
};

struct query {
    const struct kt_flow_query *q;
    int64_t from, to;
    int field; /* to sort by */
    struct label *label;
    size_t labels;
    struct kt_stored_flow *kept; /* the first `most` in order */
    uint32_t *heap;              /* of indexes into kept; the last in order on top */
    size_t n, cap, most;
    uint64_t total;
};

static bool get(struct kt_chunk_in *in, struct kt_stored_flow *f, uint64_t *id, uint64_t *first)
{
    struct kt_flow_record *r = &f->record;
    memset(f, 0, sizeof *f);
    r->id = *id += (uint64_t)kt_unzigzag(kt_chunk_get(in, F_ID));
    *first += (uint64_t)kt_unzigzag(kt_chunk_get(in, F_FIRST));
    r->first = (int64_t)*first;
    r->last = (int64_t)(*first + kt_chunk_get(in, F_DURATION));
    uint64_t proto = kt_chunk_get(in, F_PROTO), ports = kt_chunk_get(in, F_PORTS);
    uint64_t captured = kt_chunk_get(in, F_CAPTURED), tcp = kt_chunk_get(in, F_TCP_FLAGS);
    uint64_t vlan = kt_chunk_get(in, F_VLAN), name = kt_chunk_get(in, F_NAME);
    uint64_t confidence = kt_chunk_get(in, F_CONFIDENCE);
    r->key.proto = (uint8_t)proto;
    r->key.ip = proto >> 8 & 15;
    r->end = proto >> 12 & 15;
    r->flags = (uint8_t)(proto >> 16);
    r->key.port[0] = (uint16_t)(ports >> 16);
    r->key.port[1] = (uint16_t)ports;
    for (unsigned s = 0; s < 2; s++) {
        r->packets[s] = kt_chunk_get(in, F_PACKETS0 + s);
        r->bytes[s] = kt_chunk_get(in, F_BYTES0 + s);
        r->payload[s] = kt_chunk_get(in, F_PAYLOAD0 + s);
        r->retransmits[s] = (uint32_t)kt_chunk_get(in, F_RETRANS0 + s);
        r->tcp_flags[s] = (uint8_t)(tcp >> 8 * s);
        r->key.vlan[s] = (uint16_t)(vlan >> 16 * s);
        struct kt_first *d = &r->seen.dir[s];
        d->len = (uint32_t)kt_chunk_get(in, F_LEN0 + s);
        d->captured = (uint8_t)(captured >> 8 * s);
        size_t addr_len = r->key.ip == 6 ? 16 : 4;
        const uint8_t *addr = kt_chunk_get_bytes(in, F_ADDR, addr_len);
        const uint8_t *head = kt_chunk_get_bytes(in, F_HEAD, d->captured);
        if (!addr || !head || d->captured > KT_IDENT_HEAD)
            return false;
        memcpy(r->key.addr[s], addr, addr_len);
        memcpy(d->head, head, d->captured);
    }
    r->key.tunnel = (uint16_t)kt_chunk_get(in, F_TUNNEL);
    r->rtt_us = (uint32_t)kt_chunk_get(in, F_RTT);
    r->iface = (uint16_t)kt_chunk_get(in, F_IFACE);
    r->verdict.label = (uint16_t)kt_chunk_get(in, F_LABEL);
    r->verdict.confidence = (uint8_t)confidence;
    r->verdict.accept = (uint16_t)(confidence >> 8);
    r->name_kind = (uint8_t)name;
    r->name_len = (uint8_t)(name >> 8);
    const uint8_t *text = kt_chunk_get_bytes(in, F_TEXT, r->name_len);
    if (!text || r->name_len > KT_NAME_MAX || in->bad)
        return false;
    memcpy(r->name, text, r->name_len);
    r->seen.proto = r->key.proto;
    r->seen.ip = r->key.ip;
    r->seen.client = r->key.port[0];
    r->seen.server = r->key.port[1];
    for (unsigned s = 0; s < 2 && r->key.ip == 4; s++)
        r->seen.ip4[s] = kt_be32(r->key.addr[s]);
    return true;
}

static int compare_values(const struct kt_expr_value *a, const struct kt_expr_value *b)
{
    if (a->str || b->str) {
        uint32_t n = a->len < b->len ? a->len : b->len;
        int c = n ? memcmp(a->str, b->str, n) : 0;
        return c ? c : (a->len > b->len) - (a->len < b->len);
    }
    if (a->ip || b->ip)
        return a->ip != b->ip ? a->ip - b->ip : memcmp(a->addr, b->addr, 16);
    return (a->num > b->num) - (a->num < b->num);
}

/* Flows of equal value stand in order of their number: pages never overlap. */
static int order(const struct query *q, const struct kt_stored_flow *a,
                 const struct kt_stored_flow *b)
{
    struct kt_expr_value x = {0}, y = {0};
    kt_flow_load(a, (unsigned)q->field, &x);
    kt_flow_load(b, (unsigned)q->field, &y);
    int c = compare_values(&x, &y);
    if (c)
        return q->q->descending ? -c : c;
    return (a->record.id > b->record.id) - (a->record.id < b->record.id);
}

static void sift_down(struct query *q, size_t at)
{
    for (;;) {
        size_t last = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < q->n; child++)
            if (order(q, &q->kept[q->heap[child]], &q->kept[q->heap[last]]) > 0)
                last = child;
        if (last == at)
            return;
        uint32_t t = q->heap[at];
        q->heap[at] = q->heap[last];
        q->heap[last] = t;
        at = last;
    }
}

static bool keep(struct query *q, const struct kt_stored_flow *f)
{
    if (q->most == 0)
        return true;
    if (q->n == q->most) {
        if (order(q, f, &q->kept[q->heap[0]]) < 0) {
            q->kept[q->heap[0]] = *f;
            sift_down(q, 0);
        }
        return true;
    }
    if (q->n == q->cap) {
        size_t cap = q->cap ? q->cap * 2 : 256;
        struct kt_stored_flow *kept = realloc(q->kept, cap * sizeof *kept);
        if (kept)
            q->kept = kept;
        uint32_t *heap = realloc(q->heap, cap * sizeof *heap);
        if (heap)
            q->heap = heap;
        if (!kept || !heap)
            return false;
        q->cap = cap;
    }
    size_t at = q->n++;
    q->kept[at] = *f;
    q->heap[at] = (uint32_t)at;
    while (at && order(q, &q->kept[q->heap[at]], &q->kept[q->heap[(at - 1) / 2]]) > 0) {
        uint32_t t = q->heap[at];
        q->heap[at] = q->heap[(at - 1) / 2];
        q->heap[at = (at - 1) / 2] = t;
    }
    return true;
}

static int scan_blob(struct query *q, const void *blob, size_t len)
{
    struct kt_chunk_in in;
    if (kt_chunk_read(&in, blob, len, F_INTS, F_COLUMNS - F_INTS) < 0)
        return KT_EFORMAT;
    uint64_t id = 0, first = 0;
    int rc = KT_OK;
    for (in.row = 0; in.row < in.rows && rc == KT_OK; in.row++) {
        struct kt_stored_flow f;
        if (!get(&in, &f, &id, &first)) {
            rc = KT_EFORMAT;
            break;
        }
        if (f.record.first >= q->to || f.record.last < q->from)
            continue;
        uint16_t label = f.record.verdict.label;
        const struct label *l = label < q->labels ? &q->label[label] : NULL;
        f.app = l && l->app ? l->app : "";
        f.category = l && l->category ? l->category : "";
        f.rule = l && l->rule ? l->rule : "";
        if (q->q->filter && !kt_expr_true(q->q->filter, kt_flow_load, &f))
            continue;
        q->total++;
        if (!keep(q, &f))
            rc = KT_ENOMEM;
    }
    kt_chunk_in_fini(&in);
    return rc;
}

static int load_labels(struct kt_store *st, struct query *q, struct kt_error *err)
{
    sqlite3_stmt *s = kt_store_sql(st, SQL_LABELS, err);
    if (!s)
        return KT_EIO;
    int rc = KT_OK;
    while (rc == KT_OK && sqlite3_step(s) == SQLITE_ROW) {
        int64_t id = sqlite3_column_int64(s, 0);
        if (id < 0 || id > 65535)
            continue;
        if ((size_t)id >= q->labels) {
            struct label *more = realloc(q->label, ((size_t)id + 64) * sizeof *more);
            if (!more) {
                rc = kt_fail(err, KT_ENOMEM, 0, "no memory for a query");
                break;
            }
            memset(more + q->labels, 0, ((size_t)id + 64 - q->labels) * sizeof *more);
            q->label = more;
            q->labels = (size_t)id + 64;
        }
        q->label[id] = (struct label){strdup((const char *)sqlite3_column_text(s, 1)),
                                      strdup((const char *)sqlite3_column_text(s, 2)),
                                      strdup((const char *)sqlite3_column_text(s, 3))};
    }
    sqlite3_reset(s);
    return rc;
}

static int scan(struct kt_store *st, struct query *q, struct kt_error *err)
{
    struct kt_zones zones;
    int rc = load_labels(st, q, err);
    sqlite3_stmt *find = rc == KT_OK ? kt_store_sql(st, SQL_FIND_FLOWS, err) : NULL;
    if (!find)
        return rc < 0 ? rc : KT_EIO;
    sqlite3_bind_int64(find, 1, q->from);
    sqlite3_bind_int64(find, 2, q->to);
    rc = kt_zones_load(st, find, &zones, err);
    for (size_t i = 0; i < zones.n && rc == KT_OK; i++) {
        sqlite3_stmt *load = kt_store_sql(st, SQL_LOAD_FLOWS, err);
        if (!load) {
            rc = KT_EIO;
            break;
        }
        sqlite3_bind_int64(load, 1, zones.zone[i].id);
        if (sqlite3_step(load) != SQLITE_ROW)
            rc = kt_store_sql_fail(st, err, "read flows");
        else if ((rc = scan_blob(q, sqlite3_column_blob(load, 0),
                                 (size_t)sqlite3_column_bytes(load, 0))) < 0)
            kt_fail(err, rc, (uint64_t)zones.zone[i].id, "%s: chunk %lld of flows %s", st->path,
                    (long long)zones.zone[i].id,
                    rc == KT_ENOMEM ? "does not fit into memory" : "is damaged");
        sqlite3_reset(load);
    }
    free(zones.zone);
    return rc;
}

static int by_order(const void *a, const void *b, void *q)
{
    const struct query *query = q;
    return order(query, &query->kept[*(const uint32_t *)a], &query->kept[*(const uint32_t *)b]);
}

static int field_number(const char *name)
{
    for (int i = 0; kt_flow_env.fields[i].name; i++)
        if (strcmp(kt_flow_env.fields[i].name, name) == 0 && !kt_flow_env.fields[i].either[0])
            return i;
    return -1;
}

int kt_store_flows(struct kt_store *st, const struct kt_flow_query *query, uint64_t *total,
                   int (*flow)(void *ctx, const struct kt_stored_flow *flow), void *ctx,
                   struct kt_error *err)
{
    struct query q = {.q = query,
                      .from = query->from || query->to ? query->from : INT64_MIN,
                      .to = query->from || query->to ? query->to : INT64_MAX,
                      .field = field_number(query->sort ? query->sort : "start"),
                      .most = query->limit ? query->offset + query->limit : 0};
    *total = 0;
    if (q.field < 0)
        return kt_fail(err, KT_EINVAL, 0, "flows can't be sorted by \"%s\"", query->sort);
    if (q.most > FLOWS_DEEP)
        return kt_fail(err, KT_EINVAL, 0,
                       "only the first %d flows can be paged through: narrow the window or the "
                       "filter, or turn the order round",
                       FLOWS_DEEP);
    int rc = kt_store_read_begin(st, err);
    if (rc == KT_OK) {
        rc = scan(st, &q, err);
        kt_store_read_end(st);
    }
    *total = q.total;
    if (rc == KT_OK && q.n)
        qsort_r(q.heap, q.n, sizeof *q.heap, by_order, &q);
    for (size_t i = query->offset; i < q.n && rc == KT_OK; i++)
        rc = flow(ctx, &q.kept[q.heap[i]]);
    for (size_t i = 0; i < q.labels; i++) {
        free(q.label[i].app);
        free(q.label[i].category);
        free(q.label[i].rule);
    }
    free(q.label);
    free(q.kept);
    free(q.heap);
    return rc;
}
