/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * The state of one decoding, shared by the files of this room. */
#ifndef KOTARE_PACKET_WALK_H
#define KOTARE_PACKET_WALK_H

#include <kotare/packet.h>

/* Where the walk stands. Captured bytes end at `cap`, bytes on the wire at `wire`: both shrink to
 * what each header says of its own length, so that padding and trailers never count as payload. */
struct kt_walk {
    struct kt_packet *p;
    const uint8_t *data;
    uint32_t at;
    uint32_t cap;
    uint32_t wire;
    unsigned depth; /* encapsulations gone through */
    bool part;      /* in a tunnel's first fragment: what it carries ends in the later ones */
    bool quote;     /* this is what an ICMP error quotes */
};

/* Hostile input nests without end; real traffic has not been seen beyond four. */
#define KT_WALK_DEPTH 8
/* Offsets are 16 bits wide; no header of use lies beyond. */
#define KT_WALK_REACH 0xff00u

enum {
    KT_ETHER_IPV4 = 0x0800,
    KT_ETHER_TEB = 0x6558, /* Ethernet inside GRE, GENEVE */
    KT_ETHER_VLAN = 0x8100,
    KT_ETHER_IPV6 = 0x86dd,
    KT_ETHER_MPLS = 0x8847,
    KT_ETHER_MPLS_MULTI = 0x8848,
    KT_ETHER_PPPOE = 0x8864,
    KT_ETHER_QINQ = 0x88a8,
    KT_ETHER_QINQ_OLD = 0x9100,
};

static inline uint32_t kt_walk_left(const struct kt_walk *w)
{
    return w->at < w->cap ? w->cap - w->at : 0;
}

static inline const uint8_t *kt_walk_here(const struct kt_walk *w)
{
    return w->data + w->at;
}

/* The bytes after `at` are at most `len` long on the wire. */
static inline void kt_walk_limit(struct kt_walk *w, uint32_t len)
{
    uint32_t end = w->at + len;
    if (end < w->wire)
        w->wire = end;
    if (end < w->cap)
        w->cap = end;
}

/* link.c: each steps over a link header and returns the Ethernet type of what follows, or 0. */
uint16_t kt_walk_link(struct kt_walk *w, unsigned link);
uint16_t kt_walk_ethernet(struct kt_walk *w);
uint16_t kt_walk_ppp(struct kt_walk *w);
/* decode.c: VLAN tags, MPLS and PPPoE, then IP and all that lies in it. */
void kt_walk_ether_type(struct kt_walk *w, uint16_t type);
/* tunnel.c: true when the walk went on inside. */
bool kt_walk_gre(struct kt_walk *w);
bool kt_walk_ip_in_ip(struct kt_walk *w, uint16_t type);
bool kt_walk_udp_tunnel(struct kt_walk *w);

#endif
