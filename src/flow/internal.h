/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * The table: `slot` finds by hash, `flow` holds what every packet touches (two cache lines), `more`
 * what only some do. All three are indexed, never pointed into from outside, and the last two are
 * reserved address space that the kernel fills page by page as flows come. */
#ifndef KOTARE_FLOW_INTERNAL_H
#define KOTARE_FLOW_INTERNAL_H

#include <kotare/flow.h>

#define NONE UINT32_MAX
#define NO_SLICE UINT32_MAX

enum state {
    ST_SYN = 1,    /* SYN of side 0 seen */
    ST_SYNACK = 2, /* SYN+ACK of side 1 seen */
    ST_OPEN = 4,   /* handshake finished, or met in the middle */
    ST_SEQ = 8,    /* next_seq[0] is known; << 1 for side 1 */
    ST_FIRST = 32, /* the first payload of side 0 is kept; << 1 for side 1 */
    ST_FIRSTS = 96,
    ST_STALE = 128, /* evidence came since the last match */
};

struct flow {
    struct kt_key key;
    uint16_t bucket;                      /* of the wheel */
    uint8_t slice_flags, slice_tcp_flags; /* of the open interval */
    int64_t last;
    uint32_t slice; /* of the open interval, or NO_SLICE */
    uint8_t state;
    uint8_t flags; /* enum kt_flow_flag */
    uint8_t tcp_flags[2];
    uint64_t packets[2], bytes[2], payload[2];
    uint32_t next_seq[2];
    uint32_t newer, older; /* in its bucket of the wheel */
};
_Static_assert(sizeof(struct flow) == 128, "two cache lines");

/* Told to the collector under a label that may still change. */
struct told {
    int64_t interval;
    uint64_t bytes;
    uint32_t packets, flows;
};
#define TOLD_MAX 4

/* The first cache line is what a slice asks for. */
struct more {
    _Alignas(KT_CACHE_LINE) uint64_t told_packets[2]; /* at the last slice */
    uint64_t told_bytes[2];
    uint32_t retransmits[2], told_retransmits;
    uint32_t rtt_us;
    struct kt_verdict verdict;
    bool rtt_new;
    uint8_t tolds;
    uint8_t early[2]; /* payload packets passed over while waiting for the first */
    uint8_t name_kind, name_len;
    uint16_t iface;
    uint64_t id;
    int64_t first, syn_ts;
    uint32_t isn[2];
    uint32_t hash;
    uint64_t announcer;                              /* the packet, when seen.announced */
    uint64_t recorded_packets[2], recorded_bytes[2]; /* told by interim records */
    int64_t due;                                     /* the next of them */
    uint32_t due_next;                               /* in its bucket */
    bool queued; /* stands in one; outlives the flow, and so does due_next */
    struct kt_seen seen;
    struct told told[TOLD_MAX];
    char name[KT_NAME_MAX];
};
_Static_assert(offsetof(struct more, id) == KT_CACHE_LINE, "slices touch one line of it");

struct slot {
    uint32_t tag;   /* the hash */
    uint32_t index; /* + 1; 0: empty */
};

#define WHEEL 1024 /* seconds; longer than the longest time-out */
#define WHEEL_TURN KT_SECOND

struct kt_flow_table {
    struct slot *slot;
    uint32_t mask;
    struct flow *flow;
    struct more *more;
    uint32_t used, fresh, free_list, max;
    uint64_t begun, evicted;
    const struct kt_rules *rules;
    uint16_t *app_of;         /* by label */
    struct kt_expect *expect; /* or NULL */
    struct kt_flow_ref *ask;  /* new flows to be looked up there once more */
    size_t asks, ask_cap;
    int64_t interval;
    int64_t began_at; /* the second of the first packet */
    int64_t wheel_at; /* the second up to which time-outs were handled; -1 before the first tick */
    uint32_t wheel[WHEEL];
    int64_t active; /* between interim records; 0: none are made */
    int64_t due_at; /* as wheel_at, of interim records */
    uint32_t due[WHEEL];
    struct kt_harvest *out; /* being filled */
    uint32_t *slice_flow;   /* whose slice it is, NONE when it is made already */
    uint32_t slice_flow_cap;
    struct kt_harvest *spare; /* handed back; exchanged atomically */
    bool no_memory;
};

/* timeout.c */
int64_t kt_flow_timeout(const struct flow *f);
#define KT_FLOW_TIMEOUT_LEAST (5 * KT_SECOND) /* no flow has a shorter one */
void kt_wheel_add(struct kt_flow_table *t, uint32_t index);
void kt_wheel_remove(struct kt_flow_table *t, uint32_t index);
void kt_wheel_expire(struct kt_flow_table *t, int64_t now);
uint32_t kt_wheel_first(struct kt_flow_table *t); /* that would time out first, or NONE */
enum kt_flow_end kt_flow_why_over(const struct flow *f);

/* interim.c */
void kt_due_begin(struct kt_flow_table *t, uint32_t index, int64_t first);
void kt_due_tell(struct kt_flow_table *t, int64_t now);

/* table.c */
void kt_flow_end(struct kt_flow_table *t, uint32_t index, enum kt_flow_end why);

/* evidence.c */
void kt_flow_begin_evidence(struct kt_flow_table *t, uint32_t index);
void kt_flow_evidence(struct kt_flow_table *t, uint32_t index, unsigned side,
                      const struct kt_packet *p, uint32_t seq);
void kt_flow_match(struct kt_flow_table *t, uint32_t index);
void kt_flow_announced(struct kt_flow_table *t, uint32_t index, uint64_t clue);
/* Live: what others announced and was read too late. */
void kt_flow_ask(struct kt_flow_table *t, uint32_t index);
bool kt_flow_ask_first(struct kt_flow_table *t, uint32_t index, int64_t interval);
void kt_flow_ask_again(struct kt_flow_table *t);

/* harvest.c */
bool kt_flow_touch(struct kt_flow_table *t, uint32_t index, uint64_t seq);
void kt_flow_make_slice(struct kt_flow_table *t, uint32_t index, int64_t interval);
void kt_flow_record(const struct kt_flow_table *t, uint32_t index, enum kt_flow_end why,
                    struct kt_flow_record *record);
struct kt_harvest *kt_harvest_new(struct kt_flow_table *t);
void kt_harvest_free(struct kt_harvest *h);
/* Room for one more; NULL (and t->no_memory) when there is none. */
struct kt_flow_record *kt_harvest_record(struct kt_flow_table *t);
struct kt_relabel *kt_harvest_relabel(struct kt_flow_table *t);
struct kt_announcer *kt_harvest_announcer(struct kt_flow_table *t);

static inline void kt_flow_prefetch(const struct kt_flow_table *t, uint32_t index)
{
    __builtin_prefetch(&t->flow[index]);
    __builtin_prefetch((const char *)&t->flow[index] + KT_CACHE_LINE);
}

static inline void kt_more_prefetch(const struct kt_flow_table *t, uint32_t index)
{
    for (size_t at = 0; at < sizeof *t->more; at += KT_CACHE_LINE)
        __builtin_prefetch((const char *)&t->more[index] + at);
}

/* Will its label stay? */
static inline bool kt_flow_decided(const struct kt_flow_table *t, uint32_t index)
{
    const struct flow *f = &t->flow[index];
    if (f->key.proto != KT_PROTO_TCP && f->key.proto != KT_PROTO_UDP)
        return true;
    return (f->state & ST_FIRSTS) == ST_FIRSTS &&
           !(t->expect && t->more[index].verdict.label <= KT_LABEL_NO_PAYLOAD);
}

static inline bool kt_flow_closed(const struct flow *f)
{
    return (f->tcp_flags[0] | f->tcp_flags[1]) & KT_TCP_RST ||
           f->tcp_flags[0] & f->tcp_flags[1] & KT_TCP_FIN;
}

#endif
