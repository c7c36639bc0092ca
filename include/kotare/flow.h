/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * flow: bidirectional flows. A table (one per worker) finds the flow of each packet, keeps its
 * counters and what identification needs, and hands out a record when it ends or is too old.
 *
 *     struct kt_flow_table *t;
 *     struct kt_harvest *h;
 *     if (kt_flow_table_new(&t, &(struct kt_flow_options){.rules = rules}, &err) < 0) …
 *     kt_flow_table_packets(t, packets, n);                  // decoded ones; again and again
 *     kt_flow_table_tick(t, start, true, false, &h);         // the interval is over
 *     for (size_t i = 0; i < h->records; i++) …              // flows that ended in it
 *     kt_harvest_done(h);
 *     kt_flow_table_free(t);
 *
 * Side 0 is the initiator: the sender of the first packet seen, or, when that packet is a SYN+ACK,
 * its receiver. A flow that is met in its middle has no first packet: there the side with a port
 * below 1024 is taken for the responder when the other's is not.
 *
 * Ownership: a harvest is the caller's until kt_harvest_done(), which must come before the table is
 * freed; a record is a plain value. The last harvest (`rest`) reads from the table: no packets may
 * follow it.
 *
 * Thread rule: a table belongs to one thread, a harvest to the one that has it: the reporter may
 * read one while the worker fills the next.
 *
 * Errors: KT_ENOMEM only. A full table is none: it ends a flow for each new one and counts it.
 *
 * Sources: RFC 2722 and 5103 for what a flow is, RFC 9293 for TCP; the wheel of time-outs, G.
 * Varghese and T. Lauck, Hashed and Hierarchical Timing Wheels, 1987.
 */
#ifndef KOTARE_FLOW_H
#define KOTARE_FLOW_H

#include <kotare/ident.h>
#include <kotare/packet.h>

enum kt_flow_end {
    KT_FLOW_ACTIVE = 0,  /* still running: end of the input */
    KT_FLOW_IDLE = 1,    /* nothing for its time-out */
    KT_FLOW_CLOSED = 2,  /* FIN both ways */
    KT_FLOW_RESET = 3,   /* RST */
    KT_FLOW_REUSED = 4,  /* a new SYN on the same tuple */
    KT_FLOW_EVICTED = 5, /* the memory cap */
};

enum kt_flow_flag {
    KT_FLOW_SYN = 1,        /* the start of the connection was seen */
    KT_FLOW_ANSWERED = 2,   /* both sides sent something */
    KT_FLOW_ICMP_ERROR = 4, /* an ICMP error quoted it */
    KT_FLOW_REFUSED = 8,    /* SYN answered by RST */
    KT_FLOW_INTERIM = 16,   /* of a record: the flow goes on, and more of its records follow */
};

/* A packet that announced a flow, and the flow it belongs to. */
struct kt_announcer {
    uint64_t packet, flow; /* positions in the trace; flow KT_FLOW_NONE: not known any more */
};
#define KT_FLOW_NONE UINT64_MAX

/* What is kept of a flow for ever. A plain value: copy at will. */
struct kt_flow_record {
    struct kt_key key;   /* side 0 is the initiator */
    uint64_t id;         /* position in the trace of its first packet: unique, the same whatever
                            the number of workers */
    int64_t first, last; /* first and last packet */
    uint64_t packets[2], bytes[2]; /* by sending side; bytes on the wire, link layer included */
    /* … of these, what earlier records of the flow had told: the differences of all its records sum
     * up to the whole */
    uint64_t told_packets[2], told_bytes[2];
    uint64_t payload[2];
    uint32_t rtt_us; /* from SYN to the ACK of the handshake as seen here, 0: not seen */
    uint32_t retransmits[2];
    struct kt_seen seen; /* the evidence */
    struct kt_verdict verdict;
    struct kt_announcer announcer; /* when seen.announced */
    uint8_t tcp_flags[2];          /* OR of all */
    uint8_t end;                   /* enum kt_flow_end */
    uint8_t flags;                 /* enum kt_flow_flag */
    uint16_t iface;
    uint8_t name_kind; /* enum kt_name_kind */
    uint8_t name_len;
    char name[KT_NAME_MAX]; /* not NUL-terminated */
};

const char *kt_flow_end_text(int end);

/* ---- what a table hands over ---- */

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
    uint64_t bytes[2]; /* by sending side; an interval may last a day */
    uint32_t packets[2];
};

/* What was counted under one application, in an interval that is closed, belongs to another: its
 * first payload came later. Move it, and every sum stays equal to the sum over the flows. */
struct kt_relabel {
    int64_t interval;  /* its start */
    uint16_t from, to; /* application numbers */
    uint32_t packets, flows;
    uint64_t bytes;
};

struct kt_flow_table;

/* A flow that is still in the table; kt_flow_rest() makes its record. */
struct kt_flow_ref {
    uint64_t id;
    uint32_t index;
};

/* All that happened since the last one. Slices lie in the order of their first packet in the trace,
 * whose position is in slice_seq: lists of several workers can be merged. */
struct kt_harvest {
    struct kt_flow_table *table;
    struct kt_slice *slice;
    uint64_t *slice_seq;
    uint32_t slices, slice_cap;
    struct kt_flow_record *record; /* flows that ended, and interim records, in no order */
    size_t records, record_cap;
    struct kt_relabel *relabel;
    size_t relabels, relabel_cap;
    struct kt_announcer *announcer; /* of this table's flows, in trace order */
    size_t announcers, announcer_cap;
    struct kt_flow_ref *rest; /* with the last harvest: flows still in the table, by id */
    uint32_t rests;
    uint64_t flows;   /* flows begun so far */
    uint64_t evicted; /* flows that the memory cap ended early, so far */
};

/* ---- the table ---- */

struct kt_flow_options {
    const struct kt_rules *rules; /* must outlive the table */
    uint32_t max_flows; /* 0: 2^20. About 600 bytes each, used only as flows come; when full, one
                           of those that would time out first is ended */
    int64_t interval;
    int64_t active; /* nanoseconds after which a flow that goes on gets an interim record, and again
                       after as long; 0: never. At the end of an interval */
    /* Live with several rings, where what announces a flow may be read after it: a new flow that is
     * not known at the end of its first interval is looked up there. NULL: not so. */
    struct kt_expect *expect;
};

/* One table belongs to one worker thread. */
KT_MUST_USE int kt_flow_table_new(struct kt_flow_table **table, const struct kt_flow_options *opt,
                                  struct kt_error *err);
/* Packets as the pipeline gives them: decoded, all packets of a flow, in order. KT_ENOMEM. */
KT_MUST_USE int kt_flow_table_packets(struct kt_flow_table *t, const struct kt_packet *p,
                                      unsigned n);
/* The interval that began at `start` ends now when `closes`: its slices are made, and flows that
 * timed out are ended. With `last` the flows that are still there are listed in `rest`. Otherwise
 * only the records that piled up are handed over. Give *harvest back with kt_harvest_done(). */
KT_MUST_USE int kt_flow_table_tick(struct kt_flow_table *t, int64_t start, bool closes, bool last,
                                   struct kt_harvest **harvest);
/* Any thread. */
void kt_harvest_done(struct kt_harvest *h);
/* The record of harvest->rest[i]. */
void kt_flow_rest(const struct kt_harvest *h, uint32_t i, struct kt_flow_record *record);
void kt_flow_table_free(struct kt_flow_table *t);

/* ---- flows that others announce ---- */

/* What FTP's PASV, a session description and others say of flows to come. All packets pass here in
 * the order of the trace, before they go to the workers: then it does not matter whose flows they
 * are. Bounded: when full, what would be over first is forgotten. */
struct kt_expect;

KT_MUST_USE int kt_expect_new(struct kt_expect **expect, const struct kt_rules *rules,
                              struct kt_error *err); /* the rules must outlive it */
/* Marks those that announce, and those of flows that were announced. Any thread. */
void kt_expect_packets(struct kt_expect *e, struct kt_packet *p, unsigned n);
/* Was a flow with this key, side 0 its initiator, announced? Then *clue is what a packet would have
 * been marked with. */
bool kt_expect_find(struct kt_expect *e, const struct kt_key *flow, int64_t ts, uint64_t *clue);
struct kt_expect_stats {
    uint64_t announced; /* endpoints named */
    uint64_t met;       /* … at which a flow was seen */
    uint64_t forgotten; /* … that a newer one took the place of */
};
struct kt_expect_stats kt_expect_stats(struct kt_expect *e);
void kt_expect_free(struct kt_expect *e);

#endif
