/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * collect: turns what the workers saw into closed intervals: the points of every stream, and the
 * activity (who did what) that explains a change. An interval closes once, in order of time; also
 * the silent ones are there, with zeros.
 */
#ifndef KOTARE_COLLECT_H
#define KOTARE_COLLECT_H

#include <kotare/flow.h>
#include <kotare/series.h>

/* What one flow did in one interval. */
enum kt_slice_flag {
    KT_SLICE_NEW = 1,        /* the flow began in this interval */
    KT_SLICE_UNANSWERED = 2, /* … and nothing came back in it */
    KT_SLICE_REFUSED = 4,    /* SYN answered by RST, or an ICMP error */
};
struct kt_slice {
    uint8_t addr[2][16]; /* side 0 is the initiator */
    uint16_t port[2];
    uint8_t ip, proto;
    uint8_t flags;
    uint8_t tcp_flags;
    uint16_t app; /* for kt_rules_app_name(); what was known when the interval closed */
    uint16_t retransmits;
    uint32_t rtt_us;   /* handshake finished in this interval, else 0 */
    uint32_t bytes[2]; /* by sending side, saturating */
    uint32_t packets[2];
};

/* The value of one stream in an interval. */
struct kt_sample {
    uint32_t stream; /* index into kt_interval.streams: grows, never renumbered */
    int64_t value[KT_VALUES];
};

/* Health streams (KT_STREAM_HEALTH), value in column 0, number of samples behind it in column 1:
 *   rtt          median handshake RTT, microseconds (absent without a sample)
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

#endif
