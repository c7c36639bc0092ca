/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "internal.h"

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
    kt_count_set(&f->stats->bytes_done, f->done_before + st.bytes_done);
    kt_count_set(&f->stats->lost, f->lost_before + st.lost_nic + st.lost_ring);
}

static void close_input(struct kt_feed *f)
{
    if (!f->src)
        return;
    progress(f, true);
    kt_source_close(f->src);
    f->src = NULL;
}

/* An input that was told to stop ends anywhere: that is no fault. */
static void keep_fault(struct kt_feed *f, const struct kt_error *err)
{
    bool stopped = f->opt->stop && kt_flag_get(f->opt->stop) && err->code == KT_ETRUNCATED;
    if (!f->fault.code && !stopped)
        f->fault = *err;
}

static int open_next(struct kt_feed *f)
{
    while (!f->src) {
        if (f->next_input >= f->opt->input_count || (f->opt->stop && kt_flag_get(f->opt->stop)))
            return KT_END;
        struct kt_error err = {0};
        const char *uri = f->opt->inputs[f->next_input++];
        f->source.filter = f->opt->filter;
        int rc = kt_source_open(&f->src, f->opt->registry, uri, &f->source, &err);
        if (rc < 0) {
            if (!err.code)
                kt_fail(&err, rc, 0, "%s: %s", uri, kt_code_name(rc));
            keep_fault(f, &err);
        }
    }
    return KT_OK;
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
            for (unsigned i = 0; i < batch->n; i++) {
                struct kt_packet *p = &batch->packet[i];
                p->seq = f->seq++;
                p->ts = p->ts < 1 ? 1 : p->ts > TIME_MAX ? TIME_MAX : p->ts;
            }
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
