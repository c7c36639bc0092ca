/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "internal.h"

#include <stdlib.h>

/* Those that explain others come first: what a scan or an outage does to the rates is no surge. */
static const struct kt_detector *const detectors[KT_DETECTORS] = {
    &kt_detector_scan, &kt_detector_outage, &kt_detector_latency,
    &kt_detector_loss, &kt_detector_level,
};

int kt_detect_new(struct kt_detect **out, const struct kt_detect_options *opt, struct kt_error *err)
{
    *out = NULL;
    struct kt_detect *d = calloc(1, sizeof(*d));
    if (!d)
        return kt_fail(err, KT_ENOMEM, 0, "detection: no memory");
    if (opt)
        d->opt = *opt;
    int rc = kt_activity_init(d);
    for (int i = 0; rc == KT_OK && i < KT_DETECTORS; i++)
        rc = detectors[i]->init(d, &d->state[i]);
    if (rc != KT_OK) {
        kt_detect_free(d);
        return kt_fail(err, rc, 0, "detection: no memory");
    }
    *out = d;
    return KT_OK;
}

/* Time has jumped: what was learnt before says nothing of what comes. */
static int begin_anew(struct kt_detect *d)
{
    int rc = kt_fuse_end(d);
    kt_fuse_forget(d);
    kt_activity_fini(d);
    d->now = d->accepted = 0;
    d->weight = 0;
    d->accepting = false;
    d->block = 0;
    if (rc == KT_OK)
        rc = kt_activity_init(d);
    for (int i = 0; i < KT_DETECTORS; i++) {
        detectors[i]->fini(d->state[i]);
        d->state[i] = NULL;
    }
    for (int i = 0; rc == KT_OK && i < KT_DETECTORS; i++)
        rc = detectors[i]->init(d, &d->state[i]);
    return rc;
}

int kt_detect_step(struct kt_detect *d, const struct kt_interval *interval, kt_event_fn *fn,
                   void *ctx)
{
    d->fn = fn;
    d->ctx = ctx;
    bool gap = d->length && interval->start != d->start + d->length;
    int rc = gap ? begin_anew(d) : KT_OK;
    d->iv = interval;
    d->start = interval->start;
    d->length = interval->length > 0 ? interval->length : KT_SECOND;
    if (rc == KT_OK)
        rc = kt_activity_step(d, interval);
    for (int i = 0; rc == KT_OK && i < KT_DETECTORS; i++)
        rc = detectors[i]->step(d, d->state[i]);
    if (rc == KT_OK)
        rc = kt_fuse_step(d);
    d->iv = NULL;
    d->now++;
    return rc;
}

int kt_detect_end(struct kt_detect *d, kt_event_fn *fn, void *ctx)
{
    d->fn = fn;
    d->ctx = ctx;
    return kt_fuse_end(d);
}

void kt_detect_free(struct kt_detect *d)
{
    if (!d)
        return;
    for (int i = 0; i < KT_DETECTORS; i++)
        if (d->state[i])
            detectors[i]->fini(d->state[i]);
    kt_fuse_forget(d);
    kt_activity_fini(d);
    free(d);
}
