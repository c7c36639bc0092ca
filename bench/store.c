/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * What storing and reading flows costs: "store N FILE…" takes the flows of the captures, stores
 * them again and again until N are stored, and asks for some pages. Prints CPU time a flow.
 */
#include "plugins.h"
#include <kotare/flow.h>
#include <kotare/store.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

static struct kt_flow_record *flows;
static size_t count, cap;

static void keep(const struct kt_flow_record *r)
{
    if (count == cap) {
        cap = cap ? cap * 2 : 1024;
        flows = realloc(flows, cap * sizeof *flows);
        if (!flows)
            abort();
    }
    flows[count++] = *r;
}

static int take(const char *uri, const struct kt_rules *rules, struct kt_error *err)
{
    static struct kt_packet packets[KT_BATCH];
    struct kt_batch batch = {.packet = packets};
    struct kt_flow_table *table = NULL;
    struct kt_source *src;
    struct kt_harvest *h = NULL;
    int rc = kt_source_open(&src, kt_builtin_registry(), uri, NULL, err);
    if (rc < 0)
        return rc;
    rc = kt_flow_table_new(&table, &(struct kt_flow_options){.rules = rules, .interval = KT_SECOND},
                           err);
    int64_t at = 0;
    while (rc == KT_OK && (rc = kt_source_read(src, &batch, err)) == KT_OK) {
        for (unsigned i = 0; i < batch.n; i++)
            kt_decode(&packets[i]);
        if (batch.n)
            at = packets[batch.n - 1].ts;
        rc = kt_flow_table_packets(table, packets, batch.n);
    }
    if (rc == KT_END && kt_flow_table_tick(table, at, true, true, &h) == KT_OK) {
        for (size_t i = 0; i < h->records; i++)
            keep(&h->record[i]);
        for (uint32_t i = 0; i < h->rests; i++) {
            struct kt_flow_record r;
            kt_flow_rest(h, i, &r);
            keep(&r);
        }
        kt_harvest_done(h);
    }
    kt_flow_table_free(table);
    kt_source_close(src);
    return rc;
}

static struct kt_flow_label label_of(void *ctx, unsigned label)
{
    const struct kt_label *l = kt_rules_label(ctx, label);
    return (struct kt_flow_label){l->name, l->category, l->id};
}

static double cpu(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int nothing(void *ctx, const struct kt_stored_flow *f)
{
    (void)ctx;
    (void)f;
    return 0;
}

static int ask(struct kt_store *st, const char *filter, const char *sort, struct kt_error *err)
{
    struct kt_expr *e = NULL;
    uint64_t total;
    if (filter && kt_expr_compile(&e, filter, &kt_flow_env, err) < 0)
        return KT_EINVAL;
    double t = cpu();
    int rc = kt_store_flows(
        st, &(struct kt_flow_query){.filter = e, .sort = sort, .descending = true, .limit = 100},
        &total, nothing, NULL, err);
    printf("page by %s, filter %s: %llu of them, %.1f ms\n", sort, filter ? filter : "none",
           (unsigned long long)total, (cpu() - t) * 1e3);
    kt_expr_free(e);
    return rc;
}

static int store(size_t n, struct kt_rules *rules, struct kt_error *err)
{
    struct kt_store *st;
    int rc = kt_store_open(&st, NULL, KT_STORE_WRITE, err);
    if (rc < 0)
        return rc;
    uint64_t id = 0;
    double spent = 0;
    for (size_t done = 0; done < n && rc == KT_OK;) {
        for (size_t i = 0; i < count; i++) {
            flows[i].id = id += 14;
            flows[i].first += KT_SECOND;
            flows[i].last += KT_SECOND;
            for (unsigned side = 0; side < 2; side++) {
                uint64_t a = kt_mix64(id, side + 3);
                memcpy(flows[i].key.addr[side] + 1, &a, 3);
            }
        }
        double t = cpu();
        for (size_t i = 0; i < count && done < n && rc == KT_OK; i += 64) {
            size_t some = count - i < 64 ? count - i : 64;
            rc = kt_store_add_flows(st, flows + i, some, label_of, rules, err);
            done += some;
        }
        spent += cpu() - t;
    }
    double t = cpu();
    if (rc == KT_OK)
        rc = kt_store_commit(st, err);
    spent += cpu() - t;
    struct stat file = {0}, wal = {0};
    char name[4096];
    snprintf(name, sizeof name, "%s-wal", kt_store_path(st));
    stat(kt_store_path(st), &file);
    stat(name, &wal);
    printf("%zu flows: %.0f ns and %.0f bytes a flow (log %.1f MB)\n", n, spent / (double)n * 1e9,
           (double)(file.st_size + wal.st_size) / (double)n, (double)wal.st_size / 1e6);
    if (rc == KT_OK)
        rc = ask(st, NULL, "start", err);
    if (rc == KT_OK)
        rc = ask(st, NULL, "bytes", err);
    if (rc == KT_OK)
        rc = ask(st, "app == \"DNS\" and bytes > 1000", "bytes", err);
    kt_store_close(st);
    return rc;
}

int main(int argc, char **argv)
{
    struct kt_error err = {0};
    struct kt_rules *rules;
    if (argc < 3)
        return 1;
    int rc = kt_rules_load_builtin(&rules, &err);
    for (int i = 2; i < argc && rc >= 0; i++)
        (void)!take(argv[i], rules, &err); /* what is good of a bad capture is good enough */
    if (rc >= 0 && count) {
        printf("%zu flows in %d captures\n", count, argc - 2);
        rc = store((size_t)atol(argv[1]), rules, &err);
    }
    if (rc < 0)
        fprintf(stderr, "%s\n", err.text);
    free(flows);
    kt_rules_free(rules);
    return kt_code_exit(rc);
}
