/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * series: what a time series is. A stream is named by its kind and one property; a point carries
 * the counters of one interval. Counters are additive: two points of one stream with the same time
 * add up, so what is learnt late (an application known only at its third packet) is just a further
 * point, negative where something was counted elsewhere before.
 *
 *     struct kt_stream dns = {.kind = KT_STREAM_APP, .name = "DNS"};
 *     struct kt_point p = {.ts = start, .value = {[KT_VALUE_BYTES] = 1200, [KT_VALUE_PACKETS] =
 * 9}}; if (kt_store_stream(st, &dns, &p.stream, &err) < 0 || kt_store_add_points(st, &p, 1, &err) <
 * 0) … int kind = kt_stream_kind_parse("app");          // KT_STREAM_APP
 *
 * All of these are plain values without an owner, for any thread; the only error is KT_EINVAL for a
 * text that names no kind.
 */
#ifndef KOTARE_SERIES_H
#define KOTARE_SERIES_H

#include <kotare/base.h>

enum kt_stream_kind {
    KT_STREAM_TOTAL = 0, /* name "" */
    KT_STREAM_APP = 1,   /* name: the application's display name */
    KT_STREAM_CATEGORY = 2,
    KT_STREAM_DIRECTION = 3, /* "up" (from the initiator) and "down" */
    KT_STREAM_PORT = 4,      /* port class of the responder: "tcp/443", …, "udp/dynamic" */
    KT_STREAM_HEALTH = 5, /* "rtt", "retransmits", "refused", "unanswered", "fanout": see collect.h;
                             the value stands in KT_VALUE_BYTES' place, see kt_value */
    KT_STREAM_KINDS
};

const char *kt_stream_kind_text(enum kt_stream_kind kind); /* "total", "app", … */
int kt_stream_kind_parse(const char *text);                /* or KT_EINVAL */

/* The columns of a point. */
enum kt_value {
    KT_VALUE_BYTES = 0,   /* bytes on the wire; for KT_STREAM_HEALTH the measured value */
    KT_VALUE_PACKETS = 1, /* for KT_STREAM_HEALTH the number of samples behind it */
    KT_VALUE_FLOWS = 2,   /* flows that began */
    KT_VALUES
};

struct kt_stream {
    enum kt_stream_kind kind;
    char name[64];
};

struct kt_point {
    uint32_t stream; /* number given by kt_store_stream() */
    int64_t ts;      /* start of the interval */
    int64_t value[KT_VALUES];
};

#endif
