/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * What explain.c (the sums) and words.c (the sentences) share.
 */
#ifndef KOTARE_DETECT_EXPLAIN_H
#define KOTARE_DETECT_EXPLAIN_H

#include "internal.h"

/* What one conversation did before and during an incident, per interval. */
struct kt_part {
    const struct kt_talk *talk;
    double before, after;
    double ms_before, ms_after; /* latency: sums of as many round trips as `after` counts */
    uint16_t app;
};

struct kt_change {
    struct kt_part *part;
    size_t parts, cap;
    uint32_t number; /* its talks carry it */
    double before, after;
};

int kt_change_take(struct kt_detect *d, struct kt_change *c, const struct kt_incident *in);
void kt_change_fini(struct kt_change *c);

enum kt_cause_kind {
    KT_BY_FLOW,
    KT_BY_CLIENT,
    KT_BY_SERVER,
    KT_BY_PORT,
    KT_BY_APP,
    KT_CAUSE_KINDS
};

struct kt_cause {
    enum kt_cause_kind kind;
    uint64_t hash;
    struct kt_part sum; /* talk: one that has the property */
    double share;
    unsigned more; /* of this kind, that account for enough but are left out behind this one */
};

#define KT_CAUSES_OF 6 /* listed of a kind */
#define KT_CAUSES (KT_CAUSES_OF * KT_CAUSE_KINDS)
struct kt_causes {
    struct kt_cause cause[KT_CAUSES]; /* by falling share */
    unsigned n;
    unsigned active[KT_CAUSE_KINDS]; /* how many took part */
};

int kt_causes_of(const struct kt_change *c, struct kt_causes *out);
/* The one of a kind that accounts for at least `share`, or NULL. */
const struct kt_cause *kt_cause_top(const struct kt_causes *c, enum kt_cause_kind kind,
                                    double share);

#endif
