/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * collect: turns what the workers saw into closed intervals: the points of every stream, and the
 * activity (who did what) that explains a change. An interval closes once, in order of time; also
 * the silent ones are there, with zeros.
 *
 *     struct kt_collect *c;
 *     struct kt_collect_options opt = {.rules = rules, .store = st, .interval = on_interval};
 *     if (kt_collect_new(&c, &opt, &err) < 0) …
 *     // at each tick, with what every worker's table handed over:
 *     rc = kt_collect_take(c, tick->start, tick->length, tick->closes, harvest, workers, &err);
 *     kt_collect_free(c);
 *
 * Ownership: harvests stay the caller's. What a callback gets is valid during the call.
 *
 * Thread rule: one thread at a time, the one that writes the store.
 *
 * Errors: KT_ENOMEM, what the store says, or a callback's non-zero result.
 *
 * Source: the ranges of ports that stand for those without a stream of their own, RFC 6335.
 */
#ifndef KOTARE_COLLECT_H
#define KOTARE_COLLECT_H

#include <kotare/flow.h>
#include <kotare/series.h>
#include <kotare/store.h>

/* The value of one stream in an interval. */
struct kt_sample {
    uint32_t stream; /* index into kt_interval.streams: grows, never renumbered */
    int64_t value[KT_VALUES];
};

/* Health streams (KT_STREAM_HEALTH), value in column 0, number of samples behind it in column 1:
 *   rtt          median handshake RTT, microseconds (absent without a sample; column 2 counts the
 *                intervals that had one, so that a mean over several can be told)
 *   retransmits  TCP retransmitted segments
 *   refused      connections refused (RST to a SYN, ICMP errors)
 *   unanswered   new flows without an answer within the interval
 *   fanout       the most distinct (address, port) pairs that one initiator opened new flows to */

struct kt_interval {
    int64_t start, length;
    const struct kt_stream *streams; /* all streams so far */
    size_t stream_count;
    const struct kt_sample *samples; /* every known stream once, zeros included (rtt: if sampled) */
    size_t sample_count;
    const struct kt_slice *slices; /* who did it, in a fixed order */
    size_t slice_count;
    int64_t first_interval; /* start of the first interval of the run */
};

/* ---- the collector ---- */

struct kt_collect;

struct kt_collect_options {
    const struct kt_rules *rules; /* must outlive it */
    struct kt_store *store;       /* points go there; may be NULL */
    /* Each closed interval, in order. A non-zero result ends the run. May be NULL. */
    int (*interval)(void *ctx, const struct kt_interval *interval);
    /* Flows that ended, by id within a call of kt_collect_take(). May be NULL. */
    int (*flows)(void *ctx, const struct kt_flow_record *flows, size_t n);
    void *ctx;
};

KT_MUST_USE int kt_collect_new(struct kt_collect **c, const struct kt_collect_options *opt,
                               struct kt_error *err);
/* Takes what the workers' tables handed over at one tick; the result is the same whatever their
 * number. The harvests still belong to the caller. */
KT_MUST_USE int kt_collect_take(struct kt_collect *c, int64_t start, int64_t length, bool closes,
                                struct kt_harvest *const *harvest, unsigned n,
                                struct kt_error *err);

/* What was counted so far of an application; the sum over them is all traffic. */
struct kt_app_total {
    uint64_t bytes, packets, flows;
};
const struct kt_app_total *kt_collect_totals(const struct kt_collect *c); /* by app number */
void kt_collect_free(struct kt_collect *c);

#endif
