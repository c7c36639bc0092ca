/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef KOTARE_PIPELINE_INTERNAL_H
#define KOTARE_PIPELINE_INTERNAL_H

#include <kotare/pipeline.h>

/* ---- intervals.c: packet time to ticks ---- */

struct kt_intervals {
    int64_t length;
    int64_t start;   /* of the open interval; -1 before the first packet */
    int64_t silence; /* see kt_pipeline_options; 0: KT_SILENCE_MAX */
    uint64_t since;  /* packets since the last tick */
    uint64_t zeros;  /* of files: intervals without a packet, in a row */
    uint64_t empty;  /* … and so far */
    bool live;       /* the clock closes what no packet does: all silence is zeros */
    bool gap;
};

/* Silence longer than this many intervals is a gap, not zeros: a clock that was set, or a file put
 * together from captures of different days. */
#define KT_SILENCE_MAX 86400
/* Of a shorter one so many are zeros: by then detection has seen all that zeros can tell. What is
 * left of it is a gap. */
#define KT_ZEROS_MAX 600
/* After so many empty intervals (100 days at a second) fewer will do: a file made of jumps would
 * keep us busy for ever. */
#define KT_EMPTY_MANY UINT64_C(8640000)
#define KT_ZEROS_SHORT 60
/* So many packets without a tick, and the workers hand over what piled up: memory stays bounded
 * when a capture's time stands still. */
#define KT_TICK_PACKETS (UINT64_C(1) << 18)

/* Must a tick come before a packet of time `ts`? Fills it and opens what comes next; ask again. */
bool kt_intervals_due(struct kt_intervals *iv, int64_t ts, struct kt_tick *tick);
/* No tick before this packet: what kt_intervals_due() would say of nearly all, quicker. */
static inline bool kt_intervals_inside(const struct kt_intervals *iv, int64_t ts)
{
    return iv->start >= 0 && ts - iv->start < iv->length && iv->since < KT_TICK_PACKETS;
}
/* The open interval ends with the input. */
struct kt_tick kt_intervals_last(const struct kt_intervals *iv);

/* ---- steer.c: to whom a packet belongs ---- */

struct kt_steer;
/* The seed of the packets' hashes: one for all of a run. */
struct kt_steer *kt_steer_new(uint64_t seed);
void kt_steer_free(struct kt_steer *s);
/* Decodes n packets and gives later fragments the ports of their first one. */
void kt_steer_decode(struct kt_steer *s, struct kt_packet *p, unsigned n,
                     struct kt_pipeline_stats *stats);

static inline unsigned kt_steer_owner(const struct kt_packet *p, unsigned workers)
{
    return (unsigned)((uint64_t)p->hash * workers >> 32);
}

/* ---- feed.c: several inputs as one trace ---- */

struct kt_run;
struct kt_feed {
    const struct kt_run *run;
    struct kt_source_options source;
    struct kt_source *src;
    unsigned next_input;
    uint64_t seq, first_seq;           /* of the next packet, of this input's first one */
    uint64_t done_before, lost_before; /* of the inputs that are over */
    int64_t latest, latest_before;     /* time so far, and when this input was opened */
    unsigned latest_input;             /* which one had it then */
    struct {
        uint64_t packets; /* of this input, by more than an interval */
        int64_t by;       /* the most */
        bool first;       /* the first packet, too */
    } late;
    struct kt_error fault; /* the first one */
};

/* KT_OK with packets, KT_END. Faults are kept in feed->fault. */
int kt_feed_read(struct kt_feed *f, struct kt_batch *batch);
void kt_feed_close(struct kt_feed *f);

/* ---- the three ways to run ---- */

struct kt_run {
    const struct kt_pipeline_options *opt;
    const struct kt_pipeline_ops *ops;
    void *ctx;
    struct kt_pipeline_stats *stats;
    unsigned workers;
    int64_t interval;
    uint64_t seed;         /* secret: outsiders can't make flows collide */
    struct kt_flag failed; /* an op failed: everyone stops */
    int code;              /* its result; the first one wins */
};

static inline bool kt_run_stopped(const struct kt_run *r)
{
    return kt_flag_get(&r->failed) || (r->opt->stop && kt_flag_get(r->opt->stop));
}
void kt_run_fail(struct kt_run *r, int code);

static inline void kt_run_look(const struct kt_run *r, struct kt_packet *p, unsigned n)
{
    if (r->ops->look)
        r->ops->look(r->ctx, p, n);
}

int kt_run_inline(struct kt_run *r, struct kt_error *err);
int kt_run_many(struct kt_run *r, struct kt_error *err);
int kt_run_live(struct kt_run *r, struct kt_error *err);

/* ---- handover.c: live, packets of one ring for another one's worker ---- */

struct kt_handover;
struct kt_parcel;
struct kt_handover *kt_handover_new(unsigned lanes);
void kt_handover_free(struct kt_handover *h);
/* A descriptor that is readable while something waits for this lane; 0: none. */
int kt_handover_wake(const struct kt_handover *h, unsigned lane);
/* Copies the view and holds the block. False: no room. */
bool kt_handover_give(struct kt_handover *h, unsigned from, unsigned to, const struct kt_packet *p,
                      struct kt_block *block);
/* What was given goes on its way: once a batch, as a parcel holds one block. */
void kt_handover_send(struct kt_handover *h, unsigned from);
/* The next packets for this lane, or NULL. They are good until the next call, which *held (NULL at
 * first) must come back to: also the one that returns NULL. */
struct kt_packet *kt_handover_take(struct kt_handover *h, unsigned lane, unsigned *n,
                                   struct kt_parcel **held);

/* ---- crew.c: worker threads' results to the reporter ---- */

struct kt_result {
    struct kt_tick tick;
    void *data;
};
/* Takes one result of each ring a tick and reports it, until the rings are closed and empty. */
void kt_report_loop(struct kt_run *r, struct kt_ring *const *rings);
/* Calls the worker's tick and sends what it gives. */
void kt_worker_tick(struct kt_run *r, void *worker, const struct kt_tick *tick,
                    struct kt_ring *results);
/* Passes packets to a worker unless the run has failed. */
void kt_worker_packets(struct kt_run *r, void *worker, const struct kt_packet *p, unsigned n);

#endif
