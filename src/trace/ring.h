/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * A kernel ring of one interface: ring_open.c sets it up, ring.c reads it.
 */
#ifndef KOTARE_TRACE_RING_H
#define KOTARE_TRACE_RING_H

#include "internal.h"
#include <net/if.h>

#define KT_RING_BLOCK ((size_t)256 << 10)

struct kt_live_block {
    struct kt_block block; /* first: a block is its kt_live_block */
    uint32_t taken;        /* not given back to the kernel yet */
};

struct kt_live {
    int fd;
    char name[IF_NAMESIZE];
    unsigned index;
    uint16_t link;
    bool loopback;
    int wake;     /* ends waiting, too; 0: nothing does */
    uint8_t *map; /* `blocks` times KT_RING_BLOCK, shared with the kernel */
    unsigned blocks, at;
    struct kt_live_block *block;
    unsigned users; /* the source and each block taken: the last one frees */
    /* the open block */
    struct kt_live_block *open;
    const uint8_t *next;
    unsigned left;
    /* for other threads */
    uint64_t lost_ring, lost_nic, nic_before;
};

/* Fills a zeroed *l. On failure what was opened stays there for kt_live_free(). */
int kt_live_open(struct kt_live *l, const char *name, const struct kt_source_options *opt,
                 struct kt_error *err);
void kt_live_free(struct kt_live *l);
/* fanout.c: a program of classic BPF that gives the number of a ring among `lanes`, as
 * kt_fanout_lane() does; link_header: bytes before what a packet that is sent carries. Returns its
 * length, at most max, or 0. */
struct sock_filter;
unsigned kt_fanout_program(struct sock_filter *code, unsigned max, unsigned lanes,
                           uint32_t link_header);
/* Packets that the interface says it had no room for. */
uint64_t kt_live_missed(const struct kt_live *l);

#endif
