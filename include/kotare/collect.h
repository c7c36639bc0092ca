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
