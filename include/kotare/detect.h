/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * detect: finds what changed and says why. Fed with closed intervals in order; calls back with
 * events. Deterministic: the same intervals give the same events, ids and texts.
 *
 *     struct kt_detect *d;
 *     if (kt_detect_new(&d, &(struct kt_detect_options){.app_name = app_name}, &err) < 0) …
 *     kt_detect_step(d, &interval, on_event, me);      // for each interval, in order
 *     kt_detect_end(d, on_event, me);
 *     kt_detect_free(d);
 *
 * Each detector is one file in src/detect with streaming, O(1) work a point; docs/detection.md says
 * what they look at and when they speak.
 *
 * Ownership: an interval and an event are valid during their calls only.
 *
 * Thread rule: one thread at a time.
 *
 * Errors: KT_ENOMEM, or the callback's non-zero result, which ends the step.
 *
 * Sources: J. Jung et al., Fast Portscan Detection Using Sequential Hypothesis Testing, 2004; K.-Y.
 * Whang et al., A Linear-Time Probabilistic Counting Algorithm, 1990; R. S. Boyer and J S. Moore,
 * MJRTY, 1981.
 */
#ifndef KOTARE_DETECT_H
#define KOTARE_DETECT_H

#include <kotare/collect.h>
#include <kotare/store.h>

struct kt_detect;

struct kt_detect_options {
    /* Names for slices' app numbers. */
    const char *(*app_name)(void *ctx, unsigned app);
    void *ctx;
};

/* An event is new or an update of one told before: event->id is the detector's own number from 1,
 * the same for all updates. It is on while event->ended is 0. The pointer is valid during the
 * call. */
typedef int kt_event_fn(void *ctx, const struct kt_event *event);

KT_MUST_USE int kt_detect_new(struct kt_detect **d, const struct kt_detect_options *opt,
                              struct kt_error *err);
/* Returns KT_OK, KT_ENOMEM, or the callback's non-zero result. */
int kt_detect_step(struct kt_detect *d, const struct kt_interval *interval, kt_event_fn *fn,
                   void *ctx);
/* The input is over: ends what is still on. */
int kt_detect_end(struct kt_detect *d, kt_event_fn *fn, void *ctx);
void kt_detect_free(struct kt_detect *d);

#endif
