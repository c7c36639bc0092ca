/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * When a flow is over. The time-outs are those of the expiry policy of libflowmanager's default and
 * RFC 2722 practice; a wheel of seconds finds flows to look at, lazily: a flow stays in the bucket
 * of an early guess, and is put on when its time has not come. */
#include "internal.h"

enum {
    TIMEOUT_UNANSWERED = 30,
    TIMEOUT_TCP = 600,
    TIMEOUT_CLOSED = 10,
    TIMEOUT_RESET = KT_FLOW_TIMEOUT_LEAST / KT_SECOND,
    TIMEOUT_UDP = 120,
    TIMEOUT_ICMP = 30,
    TIMEOUT_OTHER = 60,
};

int64_t kt_flow_timeout(const struct flow *f)
{
    int s = TIMEOUT_OTHER;
    switch (f->key.proto) {
    case KT_PROTO_TCP:
        if ((f->tcp_flags[0] | f->tcp_flags[1]) & KT_TCP_RST)
            s = TIMEOUT_RESET;
        else if (kt_flow_closed(f))
            s = TIMEOUT_CLOSED;
        else if (f->state & ST_SYN && f->packets[1] == 0)
            s = TIMEOUT_UNANSWERED;
        else
            s = TIMEOUT_TCP;
        break;
    case KT_PROTO_UDP:
        s = TIMEOUT_UDP;
        break;
    case KT_PROTO_ICMP:
    case KT_PROTO_ICMPV6:
        s = TIMEOUT_ICMP;
        break;
    default:
        break;
    }
    return s * KT_SECOND;
}

void kt_wheel_add(struct kt_flow_table *t, uint32_t index)
{
    struct flow *f = &t->flow[index];
    int64_t second = (f->last + kt_flow_timeout(f)) / WHEEL_TURN;
    if (KT_UNLIKELY(second < t->wheel_at)) /* a packet that came late */
        second = t->wheel_at;
    uint16_t bucket = (uint16_t)(second % WHEEL);
    f->bucket = bucket;
    f->older = t->wheel[bucket];
    f->newer = NONE;
    if (f->older != NONE)
        t->flow[f->older].newer = index;
    t->wheel[bucket] = index;
}

void kt_wheel_remove(struct kt_flow_table *t, uint32_t index)
{
    struct flow *f = &t->flow[index];
    if (f->newer != NONE)
        t->flow[f->newer].older = f->older;
    else
        t->wheel[f->bucket] = f->older;
    if (f->older != NONE)
        t->flow[f->older].newer = f->newer;
}

enum kt_flow_end kt_flow_why_over(const struct flow *f)
{
    if ((f->tcp_flags[0] | f->tcp_flags[1]) & KT_TCP_RST)
        return KT_FLOW_RESET;
    return kt_flow_closed(f) ? KT_FLOW_CLOSED : KT_FLOW_IDLE;
}

static void look_at(struct kt_flow_table *t, uint16_t bucket, int64_t now)
{
    uint32_t index = t->wheel[bucket];
    t->wheel[bucket] = NONE;
    while (index != NONE) {
        struct flow *f = &t->flow[index];
        uint32_t next = f->older;
        if (next != NONE) {
            kt_flow_prefetch(t, next);
            kt_more_prefetch(t, next);
        }
        bool over = f->last + kt_flow_timeout(f) <= now;
        kt_wheel_add(t, index); /* the list was taken off: also a flow that ends needs a place */
        if (over)
            kt_flow_end(t, index, kt_flow_why_over(f));
        index = next;
    }
}

/* The wheel stands where the last tick put it, and nowhere before the first one: what is ended when
 * depends on the ticks, which all workers share, and not on what else a worker's table holds. */
void kt_wheel_expire(struct kt_flow_table *t, int64_t now)
{
    int64_t second = now / WHEEL_TURN;
    if (t->wheel_at < 0 || second - t->wheel_at >= WHEEL)
        t->wheel_at = second - WHEEL + 1;
    for (; t->wheel_at < second; t->wheel_at++)
        look_at(t, (uint16_t)((uint64_t)t->wheel_at % WHEEL), now);
    look_at(t, (uint16_t)((uint64_t)t->wheel_at % WHEEL), now);
}

/* Flows that were put off are put where they belong on the way: else one that is in use all the
 * time would be taken for the one that rested longest. */
uint32_t kt_wheel_first(struct kt_flow_table *t)
{
    enum { PATIENCE = 64 }; /* of flows that were put off: the first due of so many will do */
    uint32_t best = NONE, seen = 0;
    int64_t best_due = INT64_MAX;
    int64_t from = t->wheel_at < 0 ? t->began_at : t->wheel_at;
    for (int64_t at = from; at < from + WHEEL; at++) {
        uint32_t index = t->wheel[(uint64_t)at % WHEEL], next;
        for (; index != NONE; index = next) {
            const struct flow *f = &t->flow[index];
            int64_t due = (f->last + kt_flow_timeout(f)) / WHEEL_TURN;
            next = f->older;
            if (due <= at)
                return index;
            if (due < best_due) {
                best = index;
                best_due = due;
            }
            if (++seen == PATIENCE)
                return best;
            kt_wheel_remove(t, index);
            kt_wheel_add(t, index);
        }
    }
    return best;
}
