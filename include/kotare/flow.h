/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * flow: bidirectional flows. A table (one per worker) finds the flow of each packet, keeps its
 * counters and what identification needs, and hands out a record when it ends or is too old.
 *
 * Side 0 is the initiator: the sender of the first packet seen, or, when that packet is a SYN+ACK,
 * its receiver.
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
    KT_FLOW_SYN = 1,         /* the start of the connection was seen */
    KT_FLOW_ANSWERED = 2,    /* both sides sent something */
    KT_FLOW_ICMP_ERROR = 4,  /* an ICMP error quoted it */
    KT_FLOW_REFUSED = 8,     /* SYN answered by RST */
};

/* What is kept of a flow for ever. A plain value: copy at will. */
struct kt_flow_record {
    struct kt_key key;   /* side 0 is the initiator */
    uint64_t id;         /* position in the trace of its first packet: unique, the same whatever
                            the number of workers */
    int64_t first, last; /* first and last packet */
    uint64_t packets[2], bytes[2]; /* by sending side; bytes on the wire, link layer included */
    uint64_t payload[2];
    uint32_t rtt_us;     /* from SYN to the ACK of the handshake as seen here, 0: not seen */
    uint32_t retransmits[2];
    struct kt_seen seen; /* the evidence */
    struct kt_verdict verdict;
    uint8_t tcp_flags[2]; /* OR of all */
    uint8_t end;          /* enum kt_flow_end */
    uint8_t flags;        /* enum kt_flow_flag */
    uint16_t iface;
    uint8_t name_kind; /* enum kt_name_kind */
    uint8_t name_len;
    char name[KT_NAME_MAX]; /* not NUL-terminated */
};

const char *kt_flow_end_text(int end);

#endif
