/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * The main job: from the inputs through every room to the page. watch.c runs it, report.c tells
 * people and machines what came out. */
#ifndef KOTARE_CMD_WATCH_H
#define KOTARE_CMD_WATCH_H

#include "cmd.h"
#include <kotare/collect.h>
#include <kotare/detect.h>
#include <kotare/pipeline.h>
#include <kotare/web.h>
#include <stdio.h>

struct kt_watch {
    /* what was asked for */
    struct kt_pipeline_options pipeline;
    const char *store_path, *listen;
    struct kt_option_list rule_paths;
    bool only_own_rules;
    bool once, json, quiet;
    int64_t active; /* between records of a flow that goes on; 0: none */
    /* the rooms */
    struct kt_rules *rules;
    struct kt_expect *expect; /* NULL: no rule announces anything */
    struct kt_store *store;
    struct kt_collect *collect;
    struct kt_detect *detect;
    struct kt_web *web;
    struct kt_pipeline_stats stats;
    int out_errno; /* of the first line that could not be written */
    bool live;
    bool unkept;           /* the disk was full before anything could be stored */
    struct kt_error fault; /* of an op, or of an input */
    /* what the events were, by the detector's number */
    struct kt_event *events;
    uint64_t *event_store_id;
    size_t event_count, event_cap;
    uint64_t flows, evicted;
    uint64_t flows_shared; /* the same, for the web's threads */
    int64_t closed;        /* live: the end of the last interval, packets or none */
    uint64_t watched;      /* the same, once it is in the store, for the web's threads */
    unsigned earlier;      /* runs that added to the store before, and what they left: */
    int64_t earlier_first, earlier_last; /* 0: nothing */
    uint64_t done;
    struct kt_buf warnings;          /* sentences, a line each: faults, and what is odd of inputs */
    unsigned input_faults;           /* how many of them are told by the pipeline */
    int64_t committed, shown, began; /* monotonic */
    struct kt_buf line;
};

void kt_report_progress(struct kt_watch *w, bool last);
void kt_report_flow(struct kt_watch *w, const struct kt_flow_record *r);
void kt_report_summary(struct kt_watch *w);

#endif
