/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "watch.h"
#include "plugins.h"
#include <kotare/io.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- the pipeline's worker side ---- */

static void *worker_new(void *ctx, unsigned number)
{
    (void)number;
    struct kt_watch *w = ctx;
    struct kt_flow_table *t;
    struct kt_flow_options opt = {.rules = w->rules,
                                  .max_flows = (1u << 20) / w->pipeline.workers,
                                  .interval = w->pipeline.interval,
                                  .active = w->active};
    if (w->pipeline.workers > 1 && kt_source_is_live(w->pipeline.registry, w->pipeline.inputs[0]))
        opt.expect = w->expect;
    return kt_flow_table_new(&t, &opt, NULL) == KT_OK ? t : NULL;
}

static void look(void *ctx, struct kt_packet *p, unsigned n)
{
    struct kt_watch *w = ctx;
    if (w->expect)
        kt_expect_packets(w->expect, p, n);
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

/* ---- the reporter side ---- */

static struct kt_flow_label label_of(void *ctx, unsigned label)
{
    const struct kt_label *l = kt_rules_label(ctx, label);
    return (struct kt_flow_label){l->name, l->category, l->id};
}

static int on_flows(void *ctx, const struct kt_flow_record *flows, size_t n)
{
    struct kt_watch *w = ctx;
    if (w->json)
        for (size_t i = 0; i < n; i++)
            kt_report_flow(w, &flows[i]);
    return w->store ? kt_store_add_flows(w->store, flows, n, label_of, w->rules, &w->fault) : KT_OK;
}

static char *copy(const char *text)
{
    return text ? strdup(text) : NULL;
}

/* Keeps the newest state of each event: for the summary, and under its number in the store. */
static int on_event(void *ctx, const struct kt_event *event)
{
    struct kt_watch *w = ctx;
    size_t at = (size_t)event->id - 1;
    if (event->id == 0 || at > w->event_count)
        return KT_EINVAL;
    if (at == w->event_count) {
        if (at == w->event_cap) {
            size_t cap = at ? at * 2 : 64;
            struct kt_event *events = realloc(w->events, cap * sizeof *events);
            if (events)
                w->events = events;
            uint64_t *ids = realloc(w->event_store_id, cap * sizeof *ids);
            if (ids)
                w->event_store_id = ids;
            if (!events || !ids)
                return KT_ENOMEM;
            w->event_cap = cap;
        }
        w->events[at] = (struct kt_event){0};
        w->event_store_id[at] = 0;
        w->event_count++;
    }
    kt_event_fini(&w->events[at]);
    struct kt_event *e = &w->events[at];
    *e = *event;
    e->causes = copy(event->causes);
    e->filter = copy(event->filter);
    e->streams = copy(event->streams);
    e->id = w->event_store_id[at];
    int rc = w->store ? kt_store_put_event(w->store, e, &w->fault) : KT_OK;
    w->event_store_id[at] = e->id;
    return rc;
}

static int on_interval(void *ctx, const struct kt_interval *interval)
{
    struct kt_watch *w = ctx;
    return kt_detect_step(w->detect, interval, on_event, w);
}

static int commit(struct kt_watch *w, bool now)
{
    int64_t t = kt_monotonic();
    if (!now &&
        t - w->committed < KT_SECOND * 9 / 10) /* each interval of a second, if it jitters too */
        return KT_OK;
    w->committed = t;
    int rc = w->store ? kt_store_commit(w->store, &w->fault) : KT_OK;
    if (rc == KT_OK)
        kt_count_set(&w->watched, (uint64_t)w->closed);
    if (rc == KT_OK && w->web)
        kt_web_changed(w->web);
    return rc;
}

static int report(void *ctx, const struct kt_tick *tick, void **results, unsigned n)
{
    struct kt_watch *w = ctx;
    struct kt_harvest *h[KT_WORKERS_MAX];
    w->flows = w->evicted = 0;
    for (unsigned i = 0; i < n; i++) {
        h[i] = results[i];
        w->flows += h[i]->flows;
        w->evicted += h[i]->evicted;
    }
    kt_count_set(&w->flows_shared, w->flows);
    if (w->live && tick->closes && !tick->last)
        w->closed = tick->start + tick->length;
    int rc = kt_collect_take(w->collect, tick->start, tick->length, tick->closes, h, n, &w->fault);
    for (unsigned i = 0; i < n; i++)
        kt_harvest_done(h[i]);
    if (rc == KT_OK && tick->last)
        rc = kt_detect_end(w->detect, on_event, w);
    if (rc == KT_OK)
        rc = commit(w, tick->last);
    kt_report_progress(w, tick->last);
    return rc;
}

static void warn(struct kt_watch *w, const char *sentence)
{
    kt_buf_printf(&w->warnings, "%s%s", w->warnings.len ? "\n" : "", sentence);
}

static void notice(void *ctx, const struct kt_error *what)
{
    struct kt_watch *w = ctx;
    w->input_faults += what->code < 0;
    warn(w, what->text);
}

static const struct kt_pipeline_ops ops = {.worker_new = worker_new,
                                           .look = look,
                                           .packets = worker_packets,
                                           .tick = worker_tick,
                                           .report = report,
                                           .notice = notice,
                                           .result_free = result_free,
                                           .worker_free = worker_free};

/* ---- the page's view of the run ---- */

static void status(void *ctx, struct kt_web_status *s)
{
    struct kt_watch *w = ctx;
    *s = (struct kt_web_status){.done = kt_count_get(&w->done),
                                .bytes_done = kt_count_get(&w->stats.bytes_done),
                                .bytes_total = kt_count_get(&w->stats.bytes_total),
                                .packets = kt_count_get(&w->stats.packets),
                                .bytes = kt_count_get(&w->stats.bytes),
                                .flows = kt_count_get(&w->flows_shared),
                                .lost = kt_count_get(&w->stats.lost),
                                .not_ip = kt_count_get(&w->stats.not_ip),
                                .malformed = kt_count_get(&w->stats.malformed),
                                .first = (int64_t)kt_count_get(&w->stats.first),
                                .last = (int64_t)kt_count_get(&w->stats.last),
                                .interval = w->pipeline.interval,
                                .earlier = w->earlier,
                                .workers = w->pipeline.workers};
    s->live = w->live;
    /* Silence was watched too. */
    int64_t watched = (int64_t)kt_count_get(&w->watched) - 1;
    if (s->first && watched > s->last)
        s->last = watched;
    if (w->earlier_last) {
        s->first = s->first && s->first < w->earlier_first ? s->first : w->earlier_first;
        s->last = s->last > w->earlier_last ? s->last : w->earlier_last;
    }
    size_t at = 0;
    for (unsigned i = 0; i < w->pipeline.input_count && at < sizeof s->input; i++)
        at += (size_t)snprintf(s->input + at, sizeof s->input - at, "%s%s", i ? ", " : "",
                               kt_input_name(w->pipeline.inputs[i]));
    if (s->done && w->warnings.len) { /* set before done, and never after */
        snprintf(s->warning, sizeof s->warning, "%s", w->warnings.data);
        if (w->warnings.len >= sizeof s->warning) /* whole sentences only */
            *strrchr(s->warning, '\n') = '\0';
    }
}

/* ---- start and end ---- */

static const char *app_name(void *ctx, unsigned app)
{
    return kt_rules_app_name(ctx, app);
}

static int begin_run(struct kt_watch *w, struct kt_error *err)
{
    int64_t first, last;
    if (kt_store_range(w->store, &first, &last, NULL) == KT_OK) {
        w->earlier_first = first;
        if (__builtin_add_overflow(last, w->pipeline.interval - 1, &w->earlier_last))
            w->earlier_last = last;
    }
    struct kt_buf names = {0};
    for (unsigned i = 0; i < w->pipeline.input_count; i++)
        kt_buf_printf(&names, "%s%s", i ? "\n" : "", kt_input_name(w->pipeline.inputs[i]));
    int rc = names.failed ? kt_fail(err, KT_ENOMEM, 0, "no memory for the names of the inputs")
                          : kt_store_begin_run(w->store, names.data, &w->earlier, err);
    kt_buf_free(&names);
    return rc;
}

/* Own rules are new to us, so their examples are run; those that are built in were tested. */
static int load_rules(struct kt_watch *w, struct kt_error *err)
{
    const struct kt_option_list *own = &w->rule_paths;
    if (own->n == 0)
        return kt_rules_load_builtin(&w->rules, err);
    int rc = (w->only_own_rules ? kt_rules_load : kt_rules_load_beside)(&w->rules, own->text,
                                                                        own->n, err);
    return rc == KT_OK ? kt_rules_check(w->rules, err) : rc;
}

static int open_store(struct kt_watch *w, struct kt_error *err)
{
    int rc = kt_store_open(&w->store, w->store_path, KT_STORE_WRITE, err);
    if (rc == KT_OK)
        rc = kt_store_set_interval(w->store, w->pipeline.interval, err);
    if (rc == KT_OK)
        rc = begin_run(w, err);
    return rc == KT_OK ? kt_store_commit(w->store, err) : rc;
}

/* The library's sentences know no options. */
static int start_page(struct kt_watch *w, struct kt_error *err)
{
    struct kt_error e = {0};
    int rc = kt_web_start(&w->web,
                          &(struct kt_web_options){.listen = w->listen,
                                                   .store_path = kt_store_path(w->store),
                                                   .status = status,
                                                   .rules = w->rules,
                                                   .ctx = w},
                          &e);
    if (rc < 0)
        return kt_fail(err, rc, 0, "--listen %s%s", e.text,
                       rc == KT_EBUSY ? "; try another port, or --listen 127.0.0.1:0 for any" : "");
    fprintf(stderr, "page: %s\n", kt_web_url(w->web));
    return KT_OK;
}

static int start(struct kt_watch *w)
{
    struct kt_error *err = &w->fault;
    int rc = load_rules(w, err);
    if (rc == KT_OK && kt_rules_announce(w->rules))
        rc = kt_expect_new(&w->expect, w->rules, err);
    if (rc == KT_OK)
        rc = open_store(w, err);
    if (rc == KT_EFULL && !w->live) { /* what can't be kept can be summed up */
        w->unkept = true;
        warn(w, err->text);
        kt_store_close(w->store);
        w->store = NULL;
        rc = KT_OK;
    }
    if (rc == KT_OK)
        rc = kt_detect_new(&w->detect,
                           &(struct kt_detect_options){.app_name = app_name, .ctx = w->rules}, err);
    if (rc == KT_OK)
        rc = kt_collect_new(&w->collect,
                            &(struct kt_collect_options){.rules = w->rules,
                                                         .store = w->store,
                                                         .interval = on_interval,
                                                         .flows = on_flows,
                                                         .ctx = w},
                            err);
    return rc == KT_OK && !w->once && w->store ? start_page(w, err) : rc;
}

static void finish(struct kt_watch *w)
{
    kt_web_stop(w->web);
    kt_collect_free(w->collect);
    kt_detect_free(w->detect);
    kt_store_close(w->store);
    kt_expect_free(w->expect);
    kt_rules_free(w->rules);
    for (size_t i = 0; i < w->event_count; i++)
        kt_event_fini(&w->events[i]);
    free(w->events);
    free(w->event_store_id);
    kt_buf_free(&w->warnings);
    kt_buf_free(&w->line);
}

/* The inputs through the pipeline. False: not one of them could be read. */
static bool read_inputs(struct kt_watch *w, int *rc)
{
    struct kt_error err = {0};
    *rc = kt_pipeline_run(&w->pipeline, &ops, w, &w->stats, &err);
    if (*rc < 0 && !err.code)
        warn(w, w->fault.text[0] ? w->fault.text : kt_code_name(*rc));
    else if (*rc < 0 && !w->input_faults)
        warn(w, err.text);
    if (*rc < 0 && w->store) /* what was good before the fault is kept and shown */
        (void)!kt_store_commit(w->store, NULL);
    return *rc == KT_OK || kt_count_get(&w->stats.inputs) > 0;
}

static void complain(const struct kt_watch *w)
{
    for (const char *at = w->warnings.data; at && *at;) {
        size_t len = strcspn(at, "\n");
        fprintf(stderr, "kotare: %.*s\n", (int)len, at);
        at += len + (at[len] != '\0');
    }
}

static int run(struct kt_watch *w)
{
    int rc = start(w);
    if (rc < 0)
        warn(w, w->fault.text);
    bool read = rc == KT_OK && read_inputs(w, &rc);
    if (read) {
        kt_count_set(&w->done, 1);
        if (w->web)
            kt_web_changed(w->web);
        kt_report_summary(w);
    }
    complain(w);
    int code = kt_cmd_said(w->out_errno, kt_code_exit(w->unkept ? KT_EFULL : rc));
    if (read && w->web && !kt_flag_get(&kt_cmd_stop)) {
        fprintf(stderr, "the page stays at %s until Ctrl-C\n", kt_web_url(w->web));
        while (!kt_flag_get(&kt_cmd_stop))
            usleep(100000);
    }
    finish(w);
    return code;
}

#define DAY 86400 /* seconds */

int kt_cmd_watch(int argc, char **argv)
{
    struct kt_option_number workers = {1, 1, KT_WORKERS_MAX}, seconds = {1, 1, DAY},
                            active = {UINT64_MAX, 0, DAY};
    struct kt_watch w = {.listen = "127.0.0.1:8470"};
    const struct kt_option options[] = {
        {"store", KT_OPTION_TEXT, &w.store_path, "FILE", "keep everything in this file"},
        {"listen", KT_OPTION_TEXT, &w.listen, "ADDR:PORT", "where the page is (127.0.0.1:8470)"},
        {"workers", KT_OPTION_NUMBER, &workers, "N", "threads that work on packets (1)"},
        {"interval", KT_OPTION_NUMBER, &seconds, "SECONDS", "length of an interval (1)"},
        {"filter", KT_OPTION_TEXT, &w.pipeline.filter, "BPF", "which packets (pcap-filter(7))"},
        {"active-timeout", KT_OPTION_NUMBER, &active, "SECONDS",
         "records of flows that go on, so often (300, live 10; 0: none)"},
        {"rules", KT_OPTION_LIST, &w.rule_paths, "PATH",
         "own protocol rules beside the built-in: a file or folder; may repeat"},
        {"no-builtin-rules", KT_OPTION_FLAG, &w.only_own_rules, NULL, "only those of --rules"},
        {"once", KT_OPTION_FLAG, &w.once, NULL, "end after the summary; no page"},
        {"json", KT_OPTION_FLAG, &w.json, NULL, "one JSON object a line, each with a type"},
        {0}};
    struct kt_error err = {0};
    int n = kt_options_parse(options, argc, argv, &err);
    if (n > 0 && w.only_own_rules && w.rule_paths.n == 0)
        n = kt_fail(&err, KT_EINVAL, 0,
                    "--no-builtin-rules needs --rules PATH: else there are none");
    if (n <= 0) {
        if (n == 0)
            kt_fail(&err, KT_EINVAL, 0, "no input given; try --help");
        if (err.code)
            fprintf(stderr, "kotare watch: %s\n", err.text);
        else
            kt_options_help(options, "watch INPUT… [OPTIONS]",
                            "Reads captures (pcap, pcapng; packed or not; - is standard input) or "
                            "an interface,\nfinds flows, applications and events, and shows them "
                            "on a page.");
        return n != KT_ENOTFOUND;
    }
    w.pipeline.registry = kt_builtin_registry();
    w.pipeline.inputs = (const char *const *)(argv + 1);
    w.pipeline.input_count = (unsigned)n;
    w.live = kt_source_is_live(w.pipeline.registry, argv[1]);
    w.pipeline.workers = (unsigned)workers.value;
    if (active.value == UINT64_MAX)
        active.value = w.live ? 10 : 300;
    w.active = (int64_t)active.value * KT_SECOND;
    w.pipeline.interval = (int64_t)seconds.value * KT_SECOND;
    w.pipeline.stop = &kt_cmd_stop;
    w.quiet = w.json || !isatty(STDERR_FILENO);
    signal(SIGPIPE, SIG_IGN);
    kt_cmd_catch_stop();
    return run(&w);
}
