/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "internal.h"
#include <kotare/io.h>

/* Far enough from the ends of the type that sums of times and time-outs never overflow. */
#define TIME_MAX INT64_C(4000000000000000000)

static void progress(struct kt_feed *f, bool over)
{
    struct kt_trace_stats st;
    kt_source_stats(f->src, &st);
    if (over) {
        f->done_before += st.bytes_total ? st.bytes_total : st.bytes_done;
        f->lost_before += st.lost_nic + st.lost_ring;
        st = (struct kt_trace_stats){0};
    }
    kt_count_set(&f->run->stats->bytes_done, f->done_before + st.bytes_done);
    kt_count_set(&f->run->stats->lost, f->lost_before + st.lost_nic + st.lost_ring);
}

static void notice(const struct kt_feed *f, const struct kt_error *what)
{
    if (f->run->ops->notice)
        f->run->ops->notice(f->run->ctx, what);
}

/* Tells of packets that came late, and begins anew. */
static void tell_late(struct kt_feed *f)
{
    const char *name = kt_source_name(f->src);
    const char *latest = kt_input_name(f->run->opt->inputs[f->latest_input]);
    unsigned long long n = f->late.packets;
    double by = (double)f->late.by / (double)KT_SECOND;
    struct kt_error e = {0};
    if (f->late.first)
        kt_fail(&e, KT_OK, 0,
                "%s: begins before the end of %s: %llu of its packets came more than an interval "
                "late, by up to %.1f s; give inputs in order of time",
                name, latest, n, by);
    else if (n)
        kt_fail(&e, KT_OK, 0,
                "%s: its time runs backwards: %llu of its packets came more than an interval late, "
                "by up to %.1f s",
                name, n, by);
    if (n)
        notice(f, &e);
    memset(&f->late, 0, sizeof f->late);
    if (f->latest > f->latest_before)
        f->latest_input = f->next_input - 1;
    f->latest_before = f->latest;
}

static void close_input(struct kt_feed *f)
{
    if (!f->src)
        return;
    tell_late(f);
    progress(f, true);
    kt_source_close(f->src);
    f->src = NULL;
}

/* An input that was told to stop ends anywhere: that is no fault. */
static void keep_fault(struct kt_feed *f, const struct kt_error *err)
{
    bool stopped =
        f->run->opt->stop && kt_flag_get(f->run->opt->stop) && err->code == KT_ETRUNCATED;
    if (stopped)
        return;
    if (!f->fault.code)
        f->fault = *err;
    notice(f, err);
}

static int open_next(struct kt_feed *f)
{
    while (!f->src) {
        if (f->next_input >= f->run->opt->input_count ||
            (f->run->opt->stop && kt_flag_get(f->run->opt->stop)))
            return KT_END;
        struct kt_error err = {0};
        const char *uri = f->run->opt->inputs[f->next_input++];
        f->source.filter = f->run->opt->filter;
        int rc = kt_source_open(&f->src, f->run->opt->registry, uri, &f->source, &err);
        if (rc < 0) {
            if (!err.code)
                kt_fail(&err, rc, 0, "%s: %s", kt_input_name(uri), kt_code_name(rc));
            keep_fault(f, &err);
            continue;
        }
        f->first_seq = f->seq;
        kt_count_add(&f->run->stats->inputs, 1);
    }
    return KT_OK;
}

static void count_late(struct kt_feed *f, const struct kt_packet *p, int64_t by)
{
    f->late.first |= p->seq == f->first_seq;
    f->late.packets++;
    f->late.by = by > f->late.by ? by : f->late.by;
}

/* Positions and times of packets, and which are far behind what came before. */
static void keep_order(struct kt_feed *f, struct kt_packet *p, unsigned n)
{
    uint64_t seq = f->seq;
    int64_t latest = f->latest, patience = f->run->interval;
    for (; n; n--, p++) {
        int64_t ts = p->ts < 1 ? 1 : p->ts > TIME_MAX ? TIME_MAX : p->ts;
        p->seq = seq++;
        p->ts = ts;
        if (KT_UNLIKELY(latest - ts > patience))
            count_late(f, p, latest - ts);
        latest = ts > latest ? ts : latest;
    }
    f->seq = seq;
    f->latest = latest;
}

int kt_feed_read(struct kt_feed *f, struct kt_batch *batch)
{
    for (;;) {
        batch->n = 0;
        if (open_next(f) == KT_END)
            return KT_END;
        struct kt_error err = {0};
        int rc = kt_source_read(f->src, batch, &err);
        if (rc == KT_OK) {
            keep_order(f, batch->packet, batch->n);
            progress(f, false);
            return KT_OK;
        }
        if (rc < 0) {
            if (!err.code)
                kt_fail(&err, rc, 0, "%s: %s", kt_source_name(f->src), kt_code_name(rc));
            keep_fault(f, &err);
        }
        close_input(f);
    }
}

void kt_feed_close(struct kt_feed *f)
{
    close_input(f);
}
