/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Flow records in the columns of a chunk.
 */
#ifndef KT_STORE_FLOW_CHUNK_H
#define KT_STORE_FLOW_CHUNK_H

#include "chunk.h"
#include <kotare/store.h>

enum kt_flow_column {
    /* integers */
    FLOW_ID,     /* difference to the row before */
    FLOW_FIRST,  /* difference to the row before */
    FLOW_LENGTH, /* last - first */
    FLOW_PORT,
    FLOW_VLAN = FLOW_PORT + 2,
    FLOW_TUNNEL = FLOW_VLAN + 2,
    FLOW_PACKETS,
    FLOW_BYTES = FLOW_PACKETS + 2,
    FLOW_PAYLOAD = FLOW_BYTES + 2,
    FLOW_RTT = FLOW_PAYLOAD + 2,
    FLOW_RETRANSMITS,
    FLOW_HEAD_LEN = FLOW_RETRANSMITS + 2,
    FLOW_LABEL = FLOW_HEAD_LEN + 2, /* the store's number */
    FLOW_ACCEPT,
    FLOW_IFACE,
    FLOW_NAME_LEN,
    FLOW_ANNOUNCER, /* its packet and its flow, one higher; 0: none */
    FLOW_INTS = FLOW_ANNOUNCER + 2,
    /* bytes */
    FLOW_SMALL = FLOW_INTS, /* FLOW_SMALL_SIZE a row: see flow_chunk.c */
    FLOW_ADDR,              /* 4 or 16 bytes a side, by the IP version */
    FLOW_HEAD,              /* what was captured of both first payloads */
    FLOW_NAME,
    FLOW_COLUMNS
};

enum { FLOW_SMALL_SIZE = 10 };

/* What the columns of differences start from. */
struct kt_flow_base {
    uint64_t id, first;
};

KT_MUST_USE int kt_flow_chunk_init(struct kt_chunk *c, uint32_t rows);
/* Appends one record; there must be room. */
void kt_flow_chunk_add(struct kt_chunk *c, struct kt_flow_base *base,
                       const struct kt_flow_record *r, uint32_t label);

/* The next record, with the store's number of its label in verdict.label. False at the end, and
 * when the chunk is damaged (then in->bad). */
bool kt_flow_chunk_next(struct kt_chunk_in *in, struct kt_flow_base *base,
                        struct kt_flow_record *r);

/* Chunks of older files have fewer columns: what they lack reads as 0. */
KT_MUST_USE int kt_flow_chunk_read(struct kt_chunk_in *in, const void *blob, size_t len);

#endif
