/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "watch.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define WIDTH 30

void kt_report_progress(struct kt_watch *w, bool last)
{
    int64_t now = kt_monotonic();
    if (w->quiet || (!last && now - w->shown < KT_SECOND / 5))
        return;
    w->shown = now;
    uint64_t done = kt_count_get(&w->stats.bytes_done), total = kt_count_get(&w->stats.bytes_total);
    char packets[KT_SIZE_TEXT], bytes[KT_SIZE_TEXT], bar[WIDTH * 3 + 1] = "";
    double part = total ? (double)done / (double)total : 0;
    part = last || part > 1 ? 1 : part;
    for (int i = 0; i < WIDTH; i++)
        strcat(bar, i < part * WIDTH ? "█" : "░");
    char share[WIDTH * 3 + 16] = ""; /* what has no size has no part of it either */
    if (total)
        snprintf(share, sizeof share, "%s %3.0f %%  ", bar, part * 100);
    fprintf(stderr, "\r%s%s packets  %s\033[K%s", share,
            kt_count_text(kt_count_get(&w->stats.packets), packets),
            kt_bytes_text(kt_count_get(&w->stats.bytes), bytes), last ? "\n" : "");
}

/* As the page writes it: what is there is never 0. */
static const char *percent(uint64_t part, uint64_t all, char text[KT_SIZE_TEXT])
{
    double p = all ? 100.0 * (double)part / (double)all : 0;
    if (part && p < 0.05)
        snprintf(text, KT_SIZE_TEXT, "< 0.1 %%");
    else
        snprintf(text, KT_SIZE_TEXT, "%.*f %%", p < 9.95, p);
    return text;
}

/* ---- JSON lines ---- */

static struct kt_json begin(struct kt_watch *w, const char *type)
{
    kt_buf_clear(&w->line);
    struct kt_json j = kt_json(&w->line);
    kt_json_open(&j, '{');
    kt_json_key(&j, "type");
    kt_json_str(&j, type);
    return j;
}

static void end(struct kt_watch *w, struct kt_json *j)
{
    kt_json_close(j, '}');
    if (w->line.failed || w->out_errno || puts(w->line.data) != EOF)
        return;
    w->out_errno = errno;
    if (w->once && !w->store_path) /* then nobody gets anything of the rest */
        kt_flag_set(&kt_cmd_stop);
}

void kt_report_flow(struct kt_watch *w, const struct kt_flow_record *r)
{
    const struct kt_label *label = kt_rules_label(w->rules, r->verdict.label);
    struct kt_stored_flow flow = {
        .record = *r, .app = label->name, .category = label->category, .rule = label->id};
    if (w->store) /* none when the disk was full from the start */
        kt_store_number(w->store, &flow.record);
    bool interim = r->flags & KT_FLOW_INTERIM;
    struct kt_json j = begin(w, interim ? "interim" : "flow");
    kt_stored_flow_json(&j, &flow);
    if (interim || r->told_packets[0] || r->told_packets[1]) { /* since the last record */
        kt_json_key(&j, "delta");
        kt_json_open(&j, '{');
        kt_json_put_u64(&j, "packets_up", r->packets[0] - r->told_packets[0]);
        kt_json_put_u64(&j, "packets_down", r->packets[1] - r->told_packets[1]);
        kt_json_put_u64(&j, "bytes_up", r->bytes[0] - r->told_bytes[0]);
        kt_json_put_u64(&j, "bytes_down", r->bytes[1] - r->told_bytes[1]);
        kt_json_close(&j, '}');
    }
    end(w, &j);
}

/* ---- the summary ---- */

struct row {
    const char *name, *category;
    struct kt_app_total t;
};

static int by_bytes(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    if (x->t.bytes != y->t.bytes)
        return x->t.bytes > y->t.bytes ? -1 : 1;
    return strcmp(x->name, y->name);
}

static size_t app_rows(const struct kt_watch *w, struct row *row)
{
    size_t n = 0;
    const struct kt_app_total *t = kt_collect_totals(w->collect);
    for (unsigned a = 0; a < kt_rules_apps(w->rules); a++)
        if (t[a].packets)
            row[n++] = (struct row){kt_rules_app_name(w->rules, a),
                                    kt_rules_app_category(w->rules, a), t[a]};
    qsort(row, n, sizeof *row, by_bytes);
    return n;
}

static size_t category_rows(const struct row *app, size_t apps, struct row *row)
{
    size_t n = 0;
    for (size_t i = 0; i < apps; i++) {
        size_t k = 0;
        while (k < n && strcmp(row[k].name, app[i].category) != 0)
            k++;
        if (k == n)
            row[n++] = (struct row){.name = app[i].category};
        row[k].t.bytes += app[i].t.bytes;
        row[k].t.packets += app[i].t.packets;
        row[k].t.flows += app[i].t.flows;
    }
    qsort(row, n, sizeof *row, by_bytes);
    return n;
}

static void table(const char *head, const struct row *row, size_t n, uint64_t all)
{
    printf("\n%-24s %12s %8s %10s %9s\n", head, "bytes", "share", "packets", "flows");
    for (size_t i = 0; i < n; i++) {
        char bytes[KT_SIZE_TEXT], share[KT_SIZE_TEXT], packets[KT_SIZE_TEXT], flows[KT_SIZE_TEXT];
        printf("%-24s %12s %8s %10s %9s\n", row[i].name, kt_bytes_text(row[i].t.bytes, bytes),
               percent(row[i].t.bytes, all, share), kt_count_text(row[i].t.packets, packets),
               kt_count_text(row[i].t.flows, flows));
    }
}

static uint64_t unknown_bytes(const struct kt_watch *w)
{
    const struct kt_app_total *t = kt_collect_totals(w->collect);
    return t[kt_rules_label(w->rules, KT_LABEL_UNKNOWN_TCP)->app].bytes +
           t[kt_rules_label(w->rules, KT_LABEL_UNKNOWN_UDP)->app].bytes;
}

static void people(struct kt_watch *w, const struct row *app, size_t apps,
                   const struct row *category, size_t categories)
{
    uint64_t all = kt_count_get(&w->stats.bytes);
    char a[KT_TIME_TEXT], b[KT_TIME_TEXT], bytes[KT_SIZE_TEXT], packets[KT_SIZE_TEXT],
        flows[KT_SIZE_TEXT], unknown[KT_SIZE_TEXT];
    printf("%s packets, %s, %s flows; unknown %s of bytes\n",
           kt_count_text(kt_count_get(&w->stats.packets), packets), kt_bytes_text(all, bytes),
           kt_count_text(w->flows, flows), percent(unknown_bytes(w), all, unknown));
    if (kt_count_get(&w->stats.packets))
        printf("%s to %s\n", kt_time_text((int64_t)kt_count_get(&w->stats.first), 3, a),
               kt_time_text((int64_t)kt_count_get(&w->stats.last), 3, b));
    if (kt_count_get(&w->stats.lost))
        printf("%llu packets were lost before they could be read\n",
               (unsigned long long)kt_count_get(&w->stats.lost));
    if (w->evicted)
        printf("%llu flows were ended early: the table was full\n", (unsigned long long)w->evicted);
    table("application", app, apps, all);
    table("category", category, categories, all);
    printf("\n%zu event%s\n", w->event_count, w->event_count == 1 ? "" : "s");
    for (size_t i = 0; i < w->event_count; i++) {
        const struct kt_event *e = &w->events[i];
        printf("  %s  %-8s %s (%.0f %% sure)\n", kt_time_text(e->began, 0, a), e->kind, e->title,
               e->confidence * 100);
    }
}

static void machines(struct kt_watch *w, const struct row *app, size_t apps,
                     const struct row *category, size_t categories)
{
    struct kt_json j;
    for (size_t i = 0; i < apps + categories; i++) {
        const struct row *r = i < apps ? &app[i] : &category[i - apps];
        j = begin(w, i < apps ? "application" : "category");
        kt_json_put_str(&j, "name", r->name);
        if (i < apps)
            kt_json_put_str(&j, "category", r->category);
        kt_json_put_u64(&j, "bytes", r->t.bytes);
        kt_json_put_u64(&j, "packets", r->t.packets);
        kt_json_put_u64(&j, "flows", r->t.flows);
        end(w, &j);
    }
    for (size_t i = 0; i < w->event_count; i++) {
        const struct kt_event *e = &w->events[i];
        j = begin(w, "event");
        kt_json_put_u64(&j, "id", i + 1);
        kt_event_json(&j, e);
        end(w, &j);
    }
    j = begin(w, "summary");
    kt_json_put_u64(&j, "packets", kt_count_get(&w->stats.packets));
    kt_json_put_u64(&j, "bytes", kt_count_get(&w->stats.bytes));
    kt_json_put_u64(&j, "flows", w->flows);
    kt_json_put_u64(&j, "unknown_bytes", unknown_bytes(w));
    kt_json_put_u64(&j, "not_ip", kt_count_get(&w->stats.not_ip));
    kt_json_put_u64(&j, "malformed", kt_count_get(&w->stats.malformed));
    kt_json_put_u64(&j, "lost", kt_count_get(&w->stats.lost));
    kt_json_put_u64(&j, "lost_handover", kt_count_get(&w->stats.lost_handover));
    kt_json_put_u64(&j, "evicted", w->evicted);
    if (w->expect) {
        struct kt_expect_stats e = kt_expect_stats(w->expect);
        kt_json_put_u64(&j, "announced", e.announced);
        kt_json_put_u64(&j, "announced_met", e.met);
        kt_json_put_u64(&j, "announced_forgotten", e.forgotten);
    }
    kt_json_put_big(&j, "first", (int64_t)kt_count_get(&w->stats.first));
    kt_json_put_big(&j, "last", (int64_t)kt_count_get(&w->stats.last));
    if (w->warnings.len)
        kt_json_put_str(&j, "warning", w->warnings.data);
    end(w, &j);
}

void kt_report_summary(struct kt_watch *w)
{
    unsigned apps = kt_rules_apps(w->rules);
    struct row *app = calloc(2 * (size_t)apps + 1, sizeof *app);
    if (!app)
        return;
    size_t n = app_rows(w, app);
    size_t categories = category_rows(app, n, app + apps);
    (w->json ? machines : people)(w, app, n, app + apps, categories);
    if (fflush(stdout) != 0 && !w->out_errno)
        w->out_errno = errno;
    free(app);
}
