/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Any bytes as a capture through all rooms, as `kotare watch --once` does it: with one worker and
 * with three, which must tell the same, to the last flow, sample, slice, event and error.
 */
#include "fuzz.h"
#include "plugins.h"
#include <kotare/collect.h>
#include <kotare/detect.h>
#include <kotare/pipeline.h>

struct run {
    struct kt_collect *collect;
    struct kt_detect *detect;
    struct kt_expect *expect;
    struct kt_buf told;
};

static struct kt_rules *rules;

/* ---- worker side ---- */

static void *worker_new(void *ctx, unsigned number)
{
    struct kt_flow_table *t;
    struct kt_flow_options opt = {
        .rules = rules, .max_flows = 1u << 14, .interval = KT_SECOND, .active = 10 * KT_SECOND};
    (void)ctx, (void)number;
    return kt_flow_table_new(&t, &opt, NULL) == KT_OK ? t : NULL;
}

static int worker_packets(void *worker, const struct kt_packet *p, unsigned n)
{
    return kt_flow_table_packets(worker, p, n);
}

static int worker_tick(void *worker, const struct kt_tick *tick, void **result)
{
    struct kt_harvest *h;
    int rc = kt_flow_table_tick(worker, tick->start, tick->closes, tick->last, &h);
    *result = h;
    return rc;
}

static void worker_free(void *worker)
{
    kt_flow_table_free(worker);
}

static void result_free(void *result)
{
    kt_harvest_done(result);
}

static void look(void *ctx, struct kt_packet *packets, unsigned n)
{
    struct run *run = ctx;
    kt_expect_packets(run->expect, packets, n);
}

/* ---- reporter side: all of it as text ---- */

static int on_flows(void *ctx, const struct kt_flow_record *r, size_t n)
{
    struct run *run = ctx;
    for (; n; n--, r++) {
        kt_buf_printf(&run->told, "flow %llu %016llx %lld %lld %u %u/%u %d %d",
                      (unsigned long long)r->id,
                      (unsigned long long)kt_hash(&r->key, sizeof r->key, 0), (long long)r->first,
                      (long long)r->last, r->verdict.label, r->verdict.accept,
                      r->verdict.confidence, r->end, r->flags);
        for (int side = 0; side < 2; side++)
            kt_buf_printf(&run->told, " %llu %llu %llu %u %u", (unsigned long long)r->packets[side],
                          (unsigned long long)r->bytes[side], (unsigned long long)r->payload[side],
                          r->retransmits[side], r->seen.dir[side].len);
        if (r->seen.announced)
            kt_buf_printf(&run->told, " by %llu of %llu", (unsigned long long)r->announcer.packet,
                          (unsigned long long)r->announcer.flow);
        kt_buf_printf(&run->told, " %.*s\n", r->name_len, r->name);
    }
    return KT_OK;
}

static int on_event(void *ctx, const struct kt_event *e)
{
    struct run *run = ctx;
    fuzz_must(e->id && e->title[0] && e->confidence >= 0 && e->confidence <= 1);
    kt_buf_printf(&run->told, "event %llu %s %s %lld %lld %s %s\n", (unsigned long long)e->id,
                  e->kind, e->title, (long long)e->began, (long long)e->ended,
                  e->causes ? e->causes : "-", e->filter ? e->filter : "-");
    return KT_OK;
}

static int on_interval(void *ctx, const struct kt_interval *iv)
{
    struct run *run = ctx;
    kt_buf_printf(&run->told, "interval %lld\n", (long long)iv->start);
    for (size_t i = 0; i < iv->sample_count; i++) {
        const struct kt_sample *s = &iv->samples[i];
        if (s->value[0] || s->value[1] || s->value[2])
            kt_buf_printf(&run->told, " %s %lld %lld %lld\n", iv->streams[s->stream].name,
                          (long long)s->value[0], (long long)s->value[1], (long long)s->value[2]);
    }
    for (size_t i = 0; i < iv->slice_count; i++)
        kt_buf_printf(&run->told, " slice %016llx\n",
                      (unsigned long long)kt_hash(&iv->slices[i], sizeof iv->slices[i], 0));
    return kt_detect_step(run->detect, iv, on_event, run);
}

static int report(void *ctx, const struct kt_tick *tick, void **results, unsigned n)
{
    struct run *run = ctx;
    struct kt_harvest *h[KT_WORKERS_MAX] = {0};
    for (unsigned i = 0; i < n; i++)
        h[i] = results[i];
    int rc = kt_collect_take(run->collect, tick->start, tick->length, tick->closes, h, n, NULL);
    for (unsigned i = 0; i < n; i++)
        kt_harvest_done(h[i]);
    return rc == KT_OK && tick->last ? kt_detect_end(run->detect, on_event, run) : rc;
}

static const char *app_name(void *ctx, unsigned app)
{
    (void)ctx;
    return kt_rules_app_name(rules, app);
}

static void watch(struct kt_buf *told, const char *path, unsigned workers)
{
    static const struct kt_pipeline_ops ops = {.worker_new = worker_new,
                                               .look = look,
                                               .packets = worker_packets,
                                               .tick = worker_tick,
                                               .report = report,
                                               .result_free = result_free,
                                               .worker_free = worker_free};
    struct run run = {0};
    struct kt_error err = {0};
    struct kt_pipeline_stats stats = {0};
    struct kt_collect_options copt = {
        .rules = rules, .interval = on_interval, .flows = on_flows, .ctx = &run};
    struct kt_pipeline_options popt = {.registry = kt_builtin_registry(),
                                       .inputs = &path,
                                       .input_count = 1,
                                       .silence = 30,
                                       .workers = workers};
    fuzz_must(kt_detect_new(&run.detect, &(struct kt_detect_options){.app_name = app_name}, &err) ==
              KT_OK);
    fuzz_must(kt_collect_new(&run.collect, &copt, &err) == KT_OK);
    fuzz_must(kt_expect_new(&run.expect, rules, &err) == KT_OK);
    int rc = kt_pipeline_run(&popt, &ops, &run, &stats, &err);
    fuzz_must(rc == KT_OK || (rc < 0 && err.text[0]));
    kt_buf_printf(&run.told, "end %d %s %llu packets %llu bytes %llu malformed\n", rc, err.text,
                  (unsigned long long)stats.packets, (unsigned long long)stats.bytes,
                  (unsigned long long)stats.malformed);
    kt_collect_free(run.collect);
    kt_detect_free(run.detect);
    kt_expect_free(run.expect);
    *told = run.told;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kt_buf one, three;
    char path[64];
    if (!rules)
        fuzz_must(kt_rules_load_builtin(&rules, NULL) == KT_OK);
    int fd = fuzz_file(data, size, "", path);
    watch(&one, path, 1);
    watch(&three, path, 3);
    close(fd);
    if (one.len != three.len || memcmp(one.data, three.data, one.len) != 0)
        fprintf(stderr, "one worker says:\n%sthree say:\n%s", one.data, three.data);
    fuzz_must(one.len == three.len && memcmp(one.data, three.data, one.len) == 0);
    kt_buf_free(&one);
    kt_buf_free(&three);
    return 0;
}
