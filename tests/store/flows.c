/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Flows come back as they were given, filtered, sorted and paged like an array would be.
 */
#include "helper.h"
#include "store/flow_chunk.h"
#include <limits.h>

#define MANY 9500 /* more than two chunks */

static struct kt_flow_record *all;
static const int64_t begin = INT64_C(1700000000) * KT_SECOND;

static void make(size_t n, uint64_t seed)
{
    all = calloc(n, sizeof *all);
    for (size_t i = 0; i < n; i++)
        random_flow(&all[i], &seed, i * 3 + seed % 3,
                    begin + (int64_t)i * 1000000 + (int64_t)(rnd(&seed) % 50000000));
}

static int open_store(void **state)
{
    struct kt_store *st;
    CHECK(kt_store_open(&st, NULL, KT_STORE_WRITE, why));
    make(MANY, 42);
    *state = st;
    return 0;
}

static int close_store(void **state)
{
    kt_store_close(*state);
    free(all);
    return 0;
}

/* In pieces, with commits between: a growing chunk is rewritten. */
static void add_all(struct kt_store *st)
{
    uint64_t seed = 7;
    for (size_t at = 0, n; at < MANY; at += n) {
        n = 1 + rnd(&seed) % 700;
        n = n < MANY - at ? n : MANY - at;
        CHECK(kt_store_add_flows(st, all + at, n, label_of, NULL, why));
        if (rnd(&seed) % 2)
            CHECK(kt_store_commit(st, why));
    }
    CHECK(kt_store_commit(st, why));
}

struct got {
    struct kt_flow_record *record;
    size_t n;
};

static int collect(void *ctx, const struct kt_stored_flow *f)
{
    struct got *g = ctx;
    if ((g->n & (g->n - 1)) == 0) /* each power of two: under ASan a realloc always copies */
        g->record = realloc(g->record, (g->n ? 2 * g->n : 1) * sizeof *g->record);
    g->record[g->n] = f->record;
    struct kt_flow_label l = label_of(NULL, all[0].verdict.label);
    for (unsigned i = 0; i < LABELS; i++) {
        l = label_of(NULL, i);
        if (strcmp(l.app, f->app) == 0 && strcmp(l.rule ? l.rule : "", f->rule) == 0) {
            assert_string_equal(l.category, f->category);
            g->record[g->n].verdict.label = (uint16_t)i;
        }
    }
    if (f->record.seen.announced)
        g->record[g->n].seen.announced = 1;
    g->n++;
    return 0;
}

static struct kt_store *reader(struct kt_store *writer)
{
    struct kt_store *st;
    CHECK(kt_store_open(&st, kt_store_path(writer), KT_STORE_READ, why));
    return st;
}

static void same(const struct kt_flow_record *a, const struct kt_flow_record *b)
{
    assert_memory_equal(a, b, sizeof *a);
}

static int by_bytes(const void *a, const void *b)
{
    const struct kt_flow_record *x = a, *y = b;
    struct kt_stored_flow fx = {.record = *x}, fy = {.record = *y};
    struct kt_expr_value vx, vy;
    unsigned field = 0;
    while (strcmp(kt_flow_env.fields[field].name, "bytes") != 0)
        field++;
    kt_flow_load(&fx, field, &vx);
    kt_flow_load(&fy, field, &vy);
    if (vx.num != vy.num)
        return vx.num > vy.num ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static int by_start(const void *a, const void *b)
{
    const struct kt_flow_record *x = a, *y = b;
    if (x->first != y->first)
        return x->first < y->first ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static void round_trip(void **state)
{
    struct kt_store *st = *state;
    add_all(st);
    struct kt_store *rd = reader(st);
    struct got g = {0};
    uint64_t total;
    struct kt_flow_query q = {.sort = "id", .limit = MANY + 10};
    CHECK(kt_store_flows(rd, &q, &total, collect, &g, why));
    assert_int_equal(total, MANY);
    assert_int_equal(g.n, MANY);
    for (size_t i = 0; i < MANY; i++)
        same(&g.record[i], &all[i]);
    free(g.record);
    kt_store_close(rd);
}

static void pages_are_slices_of_the_order(void **state)
{
    struct kt_store *st = *state;
    add_all(st);
    struct kt_store *rd = reader(st);
    static const struct {
        const char *sort;
        bool descending;
        int (*order)(const void *, const void *);
    } orders[] = {{"bytes", true, by_bytes}, {NULL, false, by_start}};
    for (size_t o = 0; o < KT_ARRAY_LEN(orders); o++) {
        qsort(all, MANY, sizeof *all, orders[o].order);
        uint64_t seed = o, total;
        for (unsigned i = 0; i < 30; i++) {
            size_t offset = rnd(&seed) % (MANY + 100), limit = 1 + rnd(&seed) % 300;
            offset >>= rnd(&seed) % 12;
            struct got g = {0};
            struct kt_flow_query q = {.sort = orders[o].sort,
                                      .descending = orders[o].descending,
                                      .offset = offset,
                                      .limit = limit};
            CHECK(kt_store_flows(rd, &q, &total, collect, &g, why));
            assert_int_equal(total, MANY);
            size_t want = offset >= MANY ? 0 : MANY - offset < limit ? MANY - offset : limit;
            assert_int_equal(g.n, want);
            for (size_t k = 0; k < g.n; k++)
                same(&g.record[k], &all[offset + k]);
            free(g.record);
        }
    }
    kt_store_close(rd);
}

static void windows_and_filters(void **state)
{
    struct kt_store *st = *state;
    add_all(st);
    struct kt_expr *e;
    CHECK(kt_expr_compile(&e, "app == \"DNS\" and (port < 20000 or addr == 10.0.0.0/6)",
                          &kt_flow_env, why));
    uint64_t seed = 3, total;
    for (unsigned round = 0; round < 20; round++) {
        int64_t from = begin + (int64_t)(rnd(&seed) % (uint64_t)(10 * KT_SECOND));
        int64_t to = from + 1 + (int64_t)(rnd(&seed) % (uint64_t)(3 * KT_SECOND));
        uint64_t plain = 0, filtered = 0;
        for (size_t i = 0; i < MANY; i++) {
            const struct kt_flow_record *r = &all[i];
            if (r->first >= to || r->last < from)
                continue;
            plain++;
            const uint8_t *a = r->key.addr[0], *b = r->key.addr[1];
            bool near = r->key.ip == 4 && (a[0] >> 2 == 10 >> 2 || b[0] >> 2 == 10 >> 2);
            filtered += strcmp(label_of(NULL, r->verdict.label).app, "DNS") == 0 &&
                        (r->key.port[0] < 20000 || r->key.port[1] < 20000 || near);
        }
        struct kt_flow_query q = {.from = from, .to = to, .limit = 0};
        CHECK(kt_store_flows(st, &q, &total, collect, NULL, why));
        assert_int_equal(total, plain);
        q.filter = e;
        CHECK(kt_store_flows(st, &q, &total, collect, NULL, why));
        assert_int_equal(total, filtered);
    }
    kt_expr_free(e);
}

/* A record of an active flow is replaced by the next one, wherever it lies. */
static void later_records_replace_interim_ones(void **state)
{
    struct kt_store *st = *state;
    uint64_t seed = 5, total;
    static bool active[MANY];
    for (unsigned round = 0; round < 3; round++) { /* states on the way */
        for (size_t i = 0; i < MANY; i++) {
            struct kt_flow_record r = all[i];
            active[i] = round ? active[i] : rnd(&seed) % 2;
            if (round && (!active[i] || rnd(&seed) % 2))
                continue;
            if (active[i]) {
                r.end = KT_FLOW_ACTIVE;
                r.flags |= KT_FLOW_INTERIM;
            }
            r.bytes[0] = active[i] ? round : r.bytes[0];
            CHECK(kt_store_add_flows(st, &r, 1, label_of, NULL, why));
            if (round == 0 && rnd(&seed) % 1000 == 0)
                CHECK(kt_store_commit(st, why));
        }
        CHECK(kt_store_commit(st, why));
    }
    for (size_t i = 0; i < MANY; i++)
        if (active[i])
            CHECK(kt_store_add_flows(st, &all[i], 1, label_of, NULL, why));
    CHECK(kt_store_commit(st, why));
    struct got g = {0};
    struct kt_flow_query q = {.sort = "id", .limit = 2 * MANY};
    CHECK(kt_store_flows(st, &q, &total, collect, &g, why));
    assert_int_equal(total, MANY);
    for (size_t i = 0; i < MANY; i++)
        same(&g.record[i], &all[i]);
    free(g.record);
    q = (struct kt_flow_query){.limit = 1};
    g = (struct got){0};
    CHECK(kt_store_flows(st, &q, &total, collect, &g, why));
    assert_int_equal(total, MANY); /* also where chunks are only counted */
    free(g.record);
}

static int stop_at_third(void *ctx, const struct kt_stored_flow *f)
{
    (void)f;
    return ++*(int *)ctx == 3;
}

static int count_ended(void *ctx, const struct kt_event *e)
{
    ((unsigned *)ctx)[e->ended != 0]++;
    assert_true(e->ended == 0 || e->ended >= begin + KT_SECOND);
    return 0;
}

/* The same positions in three traces: no two flows share a number, nor does one replace another's
 * interim record, and who announced a flow is found in its own run. */
static void runs_have_numbers_of_their_own(void **state)
{
    struct kt_store *st = *state;
    enum { RUNS = 3, FLOWS = 40 };
    struct kt_point last = {.ts = begin + KT_SECOND};
    CHECK(kt_store_stream(st, &(struct kt_stream){KT_STREAM_TOTAL, ""}, &last.stream, why));
    for (unsigned run = 0; run < RUNS; run++) {
        struct kt_event event = {.began = begin, .noticed = begin, .kind = "surge"};
        unsigned earlier;
        CHECK(kt_store_begin_run(st, "a.pcap", &earlier, why));
        assert_int_equal(earlier, run);
        all[0].flags |= KT_FLOW_INTERIM; /* of a run that ends before its next record */
        CHECK(kt_store_add_flows(st, all, FLOWS, label_of, NULL, why));
        CHECK(kt_store_put_event(st, &event, why));
        CHECK(kt_store_add_points(st, &last, 1, why));
        CHECK(kt_store_commit(st, why));
    }
    struct kt_store *in = reader(st);
    struct got g = {0};
    uint64_t total;
    CHECK(kt_store_flows(in, &(struct kt_flow_query){.sort = "id", .limit = 1000}, &total, collect,
                         &g, why));
    assert_int_equal(g.n, RUNS * FLOWS);
    for (unsigned i = 0; i < g.n; i++) {
        const struct kt_flow_record *want = &all[i % FLOWS];
        uint64_t first = i / FLOWS * KT_STORE_RUN_PACKETS;
        assert_int_equal(g.record[i].id, want->id + first);
        if (!want->seen.announced)
            continue;
        assert_int_equal(g.record[i].announcer.packet, want->announcer.packet + first);
        assert_int_equal(g.record[i].announcer.flow, want->announcer.flow == KT_FLOW_NONE
                                                         ? KT_FLOW_NONE
                                                         : want->announcer.flow + first);
    }
    free(g.record);
    unsigned going_on[2] = {0};
    CHECK(kt_store_events(in, 0, 0, count_ended, going_on, why));
    assert_int_equal(going_on[0], 1); /* of the last run */
    assert_int_equal(going_on[1], RUNS - 1);
    kt_store_close(in);
}

static void wrong_questions(void **state)
{
    struct kt_store *st = *state;
    struct kt_error err = {0};
    uint64_t total;
    int n = 0;
    add_all(st);
    struct kt_flow_query q = {.sort = "colour", .limit = 10};
    assert_int_equal(kt_store_flows(st, &q, &total, stop_at_third, &n, &err), KT_EINVAL);
    assert_non_null(strstr(err.text, "colour"));
    q.sort = "port"; /* either of two: no order */
    assert_int_equal(kt_store_flows(st, &q, &total, stop_at_third, &n, &err), KT_EINVAL);
    q = (struct kt_flow_query){.offset = SIZE_MAX, .limit = 10};
    assert_int_equal(kt_store_flows(st, &q, &total, stop_at_third, &n, &err), KT_EINVAL);
    assert_int_equal(n, 0);
    q = (struct kt_flow_query){.limit = 10};
    assert_int_equal(kt_store_flows(st, &q, &total, stop_at_third, &n, &err), KT_OK);
    assert_int_equal(n, 3);
}

/* Chunks of version 1 have two columns of integers less. */
static void chunks_of_old_files(void **state)
{
    (void)state;
    enum { HEAD = 6, ENTRY = 8, ROWS = 101, GONE = FLOW_INTS - FLOW_ANNOUNCER };
    struct kt_chunk c;
    struct kt_flow_base base = {0};
    struct kt_buf blob = {0}, old = {0};
    assert_int_equal(kt_flow_chunk_init(&c, ROWS), KT_OK);
    for (unsigned i = 0; i < ROWS; i++)
        kt_flow_chunk_add(&c, &base, &all[i], all[i].verdict.label);
    assert_int_equal(kt_chunk_write(&c, &blob), KT_OK);
    uint8_t *b = (uint8_t *)blob.data, head[HEAD];
    memcpy(head, b, HEAD);
    head[1] = (uint8_t)(head[1] - GONE);
    kt_buf_add(&old, head, HEAD);
    for (int data = 0; data < 2; data++) { /* the directory, then the columns */
        size_t at = HEAD + (size_t)FLOW_COLUMNS * ENTRY;
        for (unsigned i = 0; i < FLOW_COLUMNS; i++) {
            const uint8_t *entry = b + HEAD + (size_t)i * ENTRY;
            size_t stored = kt_le32(entry);
            if (i < FLOW_ANNOUNCER || i >= FLOW_INTS)
                kt_buf_add(&old, data ? b + at : entry, data ? stored : ENTRY);
            at += stored;
        }
    }
    struct kt_chunk_in in;
    struct kt_flow_record r;
    base = (struct kt_flow_base){0};
    assert_int_equal(kt_flow_chunk_read(&in, old.data, old.len), KT_OK);
    for (unsigned i = 0; i < ROWS; i++) {
        struct kt_flow_record want = all[i];
        want.seen.announced = 0;
        want.announcer = (struct kt_announcer){0};
        assert_true(kt_flow_chunk_next(&in, &base, &r));
        same(&r, &want);
    }
    assert_false(kt_flow_chunk_next(&in, &base, &r) || in.bad);
    kt_chunk_in_fini(&in);
    kt_chunk_fini(&c);
    kt_buf_free(&blob);
    kt_buf_free(&old);
}

struct patience {
    unsigned asked, most;
};

static bool had_enough(void *ctx)
{
    struct patience *p = ctx;
    return p->asked++ >= p->most;
}

/* A query that is given up ends early, with its own code, and the handle is as good as before. */
static void given_up(void **state)
{
    struct kt_store *st = *state;
    struct kt_expr *filter;
    uint64_t total;
    add_all(st);
    CHECK(kt_expr_compile(&filter, "bytes >= 0", &kt_flow_env, why));
    struct kt_flow_query q = {.filter = filter, .limit = 10};
    struct patience p = {0, UINT_MAX};
    struct got got = {0};
    kt_store_stop_when(st, had_enough, &p);
    CHECK(kt_store_flows(st, &q, &total, collect, &got, why));
    assert_int_equal(total, MANY);
    unsigned whole = p.asked;
    assert_true(whole > MANY / 1000); /* often, even within a chunk */
    for (unsigned most = 0; most < whole; most++) {
        struct kt_error err = {0};
        p = (struct patience){0, most};
        got.n = 0;
        assert_int_equal(kt_store_flows(st, &q, &total, collect, &got, &err), KT_ECANCELED);
        assert_non_null(strstr(err.text, "given up"));
        assert_int_equal(p.asked, most + 1);
        assert_int_equal(got.n, 0);
    }
    kt_store_stop_when(st, NULL, NULL);
    CHECK(kt_store_flows(st, &q, &total, collect, &got, why));
    assert_int_equal(total, MANY);
    assert_int_equal(got.n, 10);
    free(got.record);
    kt_expr_free(filter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(chunks_of_old_files, open_store, close_store),
        cmocka_unit_test_setup_teardown(round_trip, open_store, close_store),
        cmocka_unit_test_setup_teardown(pages_are_slices_of_the_order, open_store, close_store),
        cmocka_unit_test_setup_teardown(windows_and_filters, open_store, close_store),
        cmocka_unit_test_setup_teardown(later_records_replace_interim_ones, open_store,
                                        close_store),
        cmocka_unit_test_setup_teardown(runs_have_numbers_of_their_own, open_store, close_store),
        cmocka_unit_test_setup_teardown(wrong_questions, open_store, close_store),
        cmocka_unit_test_setup_teardown(given_up, open_store, close_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
