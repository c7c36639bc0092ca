/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * pipeline: carries packets from the inputs to workers and what the workers found to one reporter.
 * Every packet of a flow reaches the same worker, in the order of the trace: also later fragments,
 * ICMP errors about it, and packets inside tunnels. Time is cut into intervals; at the end of each
 * every worker hands over a result, and the reporter gets the results of all workers together, in
 * order of time. Workers share nothing.
 *
 *     static const struct kt_pipeline_ops ops = {.worker_new = …, .packets = …, .tick = …,
 *                                                .report = …, .result_free = …, .worker_free = …};
 *     struct kt_pipeline_options options = {.registry = registry, .inputs = files, .input_count =
 * n}; struct kt_pipeline_stats stats = {0}; rc = kt_pipeline_run(&options, &ops, me, &stats, &err);
 *
 * One worker on files: everything runs in the caller's thread, without a queue. N workers on files:
 * one thread reads and decodes, N work, the caller reports. Live: a capture ring and a thread per
 * worker, the kernel keeps the packets of a flow together.
 *
 * Files are driven by the packets' own time: it never runs backwards (a packet that is late counts
 * in the interval that is open; more than an interval late is noticed, once an input), and silence
 * between packets gives empty intervals, at most 600 of them; what is left of it is a gap. Live,
 * the wall clock closes intervals too; what the kernel hashes otherwise than its flow (an ICMP
 * error, a packet in a tunnel) may come to another worker.
 *
 * Ownership: packets belong to the source and are valid during the call; a result belongs to the
 * worker until its tick returns it, to `report` from then on. Everything in the options must
 * outlive the run.
 *
 * Thread rule: kt_pipeline_run() may be called from one thread at a time for one `stats`; the ops
 * of one worker are never called at once, those of different workers are; `report` is called from
 * the thread that called kt_pipeline_run().
 *
 * Errors: KT_EINVAL for options that make no sense, KT_ENOMEM, the first fault of an input, or what
 * an op returned (then *err may be empty: the op knows why).
 */
#ifndef KOTARE_PIPELINE_H
#define KOTARE_PIPELINE_H

#include <kotare/trace.h>

#define KT_WORKERS_MAX 64

struct kt_tick {
    int64_t start, length; /* the interval, aligned to multiples of its length */
    bool closes;           /* the interval is over; else: only hand over what piled up */
    bool gap;  /* time jumped before this interval: nothing is known of the time between */
    bool last; /* the input is over */
};

struct kt_pipeline_ops {
    /* The state of a worker; NULL fails the run with KT_ENOMEM. */
    void *(*worker_new)(void *ctx, unsigned worker);
    /* Sees decoded packets before the workers do, and may mark them: all of a file in the order of
     * the trace, by one thread; live those of each ring, by several threads at a time. May be
     * NULL. */
    void (*look)(void *ctx, struct kt_packet *packets, unsigned n);
    /* Decoded packets in the order of the trace, 1 to KT_BATCH; valid during the call. */
    int (*packets)(void *worker, const struct kt_packet *packets, unsigned n);
    /* Hands over what is known at this tick; *result goes to the reporter, which owns it. */
    int (*tick)(void *worker, const struct kt_tick *tick, void **result);
    /* The results of all workers (in the workers' order) for one tick. One thread at a time. */
    int (*report)(void *ctx, const struct kt_tick *tick, void **results, unsigned n);
    /* A sentence about one of several inputs: the fault that ended it, or, with the code KT_OK,
     * something odd about its time. From the thread that reads; may be NULL. */
    void (*notice)(void *ctx, const struct kt_error *what);
    /* A result that no report took, after a failure. */
    void (*result_free)(void *result);
    void (*worker_free)(void *worker);
};

struct kt_pipeline_options {
    const struct kt_registry *registry;
    const char *const *inputs; /* files one after the other, or one live interface */
    unsigned input_count;
    unsigned workers;           /* 0: 1 */
    int64_t interval;           /* nanoseconds; 0: a second */
    int64_t silence;            /* longer ones are a gap from the start, no zeros; 0: 86400 */
    const char *filter;         /* a BPF expression (pcap-filter(7)); may be NULL */
    const struct kt_flag *stop; /* set it to end early, from any thread or a signal handler */
};

/* How the run stands: zero-initialise; read with kt_count_get() at any time from any thread. */
struct kt_pipeline_stats {
    uint64_t inputs;         /* that could be opened, so far */
    uint64_t packets, bytes; /* seen; bytes as on the wire */
    uint64_t not_ip, malformed;
    uint64_t lost;          /* packets known to be lost before they reached us */
    uint64_t lost_handover; /* of lost: live, another ring\'s worker had no room for them */
    uint64_t bytes_done, bytes_total; /* of the input files, as packed */
    uint64_t first, last;             /* time of the first packet and the latest, 0 before */
};

/* Runs to the end of the inputs or until told to stop. A fault of one input (see *err) ends that
 * input: what was good before it has been worked on, and the other inputs still are; the first
 * fault's code is returned at the end. A non-zero result of an op ends the run and is returned. */
KT_MUST_USE int kt_pipeline_run(const struct kt_pipeline_options *options,
                                const struct kt_pipeline_ops *ops, void *ctx,
                                struct kt_pipeline_stats *stats, struct kt_error *err);

#endif
