/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "internal.h"

bool kt_intervals_due(struct kt_intervals *iv, int64_t ts, struct kt_tick *tick)
{
    if (KT_UNLIKELY(iv->start < 0))
        iv->start = ts - ts % iv->length;
    if (KT_LIKELY(ts - iv->start < iv->length && iv->since < KT_TICK_PACKETS))
        return false;
    *tick = (struct kt_tick){.start = iv->start, .length = iv->length, .gap = iv->gap};
    iv->zeros = iv->since ? 0 : iv->zeros + 1;
    iv->since = 0;
    if (ts - iv->start < iv->length)
        return true;
    tick->closes = true;
    int64_t empty = (ts - iv->start) / iv->length - 1;
    int64_t silence = iv->silence ? iv->silence : KT_SILENCE_MAX;
    uint64_t zeros = iv->empty > KT_EMPTY_MANY ? KT_ZEROS_SHORT : KT_ZEROS_MAX;
    iv->gap = empty > silence || (empty > 0 && iv->zeros >= zeros && !iv->live);
    iv->empty += empty > 0 && !iv->gap;
    iv->start = iv->gap ? ts - ts % iv->length : iv->start + iv->length;
    return true;
}

struct kt_tick kt_intervals_last(const struct kt_intervals *iv)
{
    return (struct kt_tick){.start = iv->start < 0 ? 0 : iv->start,
                            .length = iv->length,
                            .gap = iv->gap,
                            .closes = iv->start >= 0,
                            .last = true};
}
