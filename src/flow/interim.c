/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Records of flows that go on. A flow's first falls due when the active time-out has passed since
 * its first packet, the next ones at multiples of it; one that heard nothing since the last is
 * passed over. A wheel of seconds like that of the time-outs, but of single links, and nobody takes
 * a flow out of it: an end costs nothing, and who comes by later finds the place free, or another
 * flow in it, which then has its own time. */
#include "internal.h"

static void put(struct kt_flow_table *t, uint32_t index)
{
    struct more *m = &t->more[index];
    int64_t second = m->due / WHEEL_TURN;
    if (second < t->due_at) /* a packet that came late */
        second = t->due_at;
    uint32_t *bucket = &t->due[(uint64_t)second % WHEEL];
    m->due_next = *bucket;
    m->queued = true;
    *bucket = index;
}

void kt_due_begin(struct kt_flow_table *t, uint32_t index, int64_t first)
{
    struct more *m = &t->more[index];
    m->due = first + t->active;
    if (!m->queued)
        put(t, index);
}

static void tell(struct kt_flow_table *t, uint32_t index)
{
    struct flow *f = &t->flow[index];
    struct more *m = &t->more[index];
    if (f->packets[0] + f->packets[1] == m->recorded_packets[0] + m->recorded_packets[1])
        return;
    kt_flow_match(t, index);
    struct kt_flow_record *r = kt_harvest_record(t);
    if (!r)
        return;
    kt_flow_record(t, index, KT_FLOW_ACTIVE, r);
    r->flags |= KT_FLOW_INTERIM;
    memcpy(m->recorded_packets, f->packets, sizeof m->recorded_packets);
    memcpy(m->recorded_bytes, f->bytes, sizeof m->recorded_bytes);
}

static void look_at(struct kt_flow_table *t, uint32_t *bucket, int64_t now)
{
    uint32_t index = *bucket;
    *bucket = NONE;
    while (index != NONE) {
        struct more *m = &t->more[index];
        uint32_t next = m->due_next;
        if (next != NONE)
            kt_more_prefetch(t, next);
        m->queued = false;
        if (m->id != KT_FLOW_NONE) {
            if (m->due <= now) {
                tell(t, index);
                m->due += ((now - m->due) / t->active + 1) * t->active;
            }
            put(t, index);
        }
        index = next;
    }
}

void kt_due_tell(struct kt_flow_table *t, int64_t now)
{
    int64_t second = now / WHEEL_TURN;
    if (t->active <= 0)
        return;
    if (t->due_at < 0 || second - t->due_at >= WHEEL)
        t->due_at = second - WHEEL + 1;
    for (; t->due_at < second; t->due_at++)
        look_at(t, &t->due[(uint64_t)t->due_at % WHEEL], now);
    look_at(t, &t->due[(uint64_t)t->due_at % WHEEL], now);
}
