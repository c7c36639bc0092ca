/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * packet: one captured packet as a view into memory that its source owns, and what its headers
 * say. kt_decode() walks link, network, transport and tunnel headers once; everyone after it reads
 * the cached offsets and the flow key.
 *
 *     struct kt_packet p = {.data = bytes, .caplen = n, .wirelen = n, .link = KT_LINK_ETHERNET};
 *     kt_decode(&p);
 *     if (p.proto == KT_PROTO_TCP && p.tcp_flags & KT_TCP_SYN) …
 *     char text[KT_ADDR_TEXT];
 *     puts(kt_addr_text(p.key.addr[0], p.key.ip, text));
 *
 * Ownership: `data` stays its source's, and must be there as long as somebody reads it. No function
 * here allocates, keeps the packet or touches bytes beyond caplen.
 *
 * Thread rule: no state is shared; a packet belongs to one thread while it is decoded.
 *
 * Errors: there are none. What is cut or contradicts itself leaves fields at 0 and sets a flag
 * (KT_PKT_SNAPPED, KT_PKT_MALFORMED); what is not understood is payload.
 *
 * Sources: IPv4 RFC 791, IPv6 RFC 8200, TCP RFC 9293, UDP RFC 768, ICMP RFC 792 and 4443, SCTP RFC
 * 9260; VLAN IEEE 802.1Q, MPLS RFC 3032, PPPoE RFC 2516; GRE RFC 2784 and 2890, IP in IP RFC 2003
 * and 4213, VXLAN RFC 7348, GENEVE RFC 8926, GTP-U 3GPP TS 29.281, Teredo RFC 4380.
 */
#ifndef KOTARE_PACKET_H
#define KOTARE_PACKET_H

#include <kotare/base.h>

/* Link types, numbered as in pcap files (https://www.tcpdump.org/linktypes.html). */
enum kt_link {
    KT_LINK_NULL = 0,
    KT_LINK_ETHERNET = 1,
    KT_LINK_PPP = 9,
    KT_LINK_RAW_BSD = 12,
    KT_LINK_RAW_OPENBSD = 14,
    KT_LINK_PPP_SERIAL = 50,
    KT_LINK_PPP_ETHER = 51,
    KT_LINK_RAW = 101,
    KT_LINK_CHDLC = 104,
    KT_LINK_IEEE80211 = 105,
    KT_LINK_LOOP = 108,
    KT_LINK_LINUX_SLL = 113,
    KT_LINK_RADIOTAP = 127,
    KT_LINK_IPV4 = 228,
    KT_LINK_IPV6 = 229,
    KT_LINK_LINUX_SLL2 = 276,
};

enum kt_proto {
    KT_PROTO_ICMP = 1,
    KT_PROTO_IGMP = 2,
    KT_PROTO_IPIP = 4,
    KT_PROTO_TCP = 6,
    KT_PROTO_UDP = 17,
    KT_PROTO_IPV6 = 41,
    KT_PROTO_GRE = 47,
    KT_PROTO_ESP = 50,
    KT_PROTO_AH = 51,
    KT_PROTO_ICMPV6 = 58,
    KT_PROTO_SCTP = 132,
};

enum kt_tcp_flag {
    KT_TCP_FIN = 1,
    KT_TCP_SYN = 2,
    KT_TCP_RST = 4,
    KT_TCP_PSH = 8,
    KT_TCP_ACK = 16,
};

/* Who talks to whom. Side 0 is the sender of the packet (in a flow: of its first packet). IPv4
 * addresses stand in the first 4 bytes, the rest is zero. Compared and hashed as bytes: no padding,
 * always zero-initialised. */
struct kt_key {
    uint8_t addr[2][16];
    uint16_t port[2]; /* host order; ICMP echo: the identifier on both sides; else 0 */
    uint8_t ip;       /* 4, 6, or 0: not IP */
    uint8_t proto;    /* enum kt_proto */
    uint16_t vlan[2]; /* outer and inner VLAN id, 0 = none */
    uint16_t tunnel;  /* hash of the tunnel's own identity (VNI, GRE key, outer ends), 0 = none */
};
_Static_assert(sizeof(struct kt_key) == 44, "kt_key has no padding");

enum kt_packet_flag {
    KT_PKT_DECODED = 1,
    KT_PKT_IP = 2,                /* an IP header was found and is sound */
    KT_PKT_TRANSPORT = 4,         /* the transport header was captured whole */
    KT_PKT_FRAGMENT = 8,          /* part of a fragmented datagram */
    KT_PKT_FRAGMENT_LATER = 16,   /* not its first part: ports unknown */
    KT_PKT_ICMP_ERROR = 32,       /* key is the quoted packet's, as its sender would have sent it */
    KT_PKT_TUNNEL = 64,           /* key and offsets are those of the innermost packet */
    KT_PKT_MALFORMED = 128,       /* a header contradicts itself or is cut by the wire length */
    KT_PKT_SNAPPED = 256,         /* cut by the snap length */
    KT_PKT_TX = 512,              /* sent by the capturing host, where the source tells */
    KT_PKT_ANNOUNCES = 1024,      /* its payload told of a flow to come */
    KT_PKT_ANNOUNCED = 2048,      /* of a flow that another one told of: see clue */
    KT_PKT_FRAGMENT_OUTER = 4096, /* in a tunnel whose packet was cut: this is its first part, and
                                     clue is kt_datagram() of the parts */
};

struct kt_packet {
    /* set by the source */
    const uint8_t *data; /* owned by the source */
    int64_t ts;          /* nanoseconds since 1970 UTC */
    uint64_t seq;        /* position in the trace, from 0 */
    uint32_t caplen;     /* bytes at data */
    uint32_t wirelen;    /* bytes on the wire, without FCS */
    uint16_t link;       /* enum kt_link */
    uint16_t iface;      /* which interface of the source */
    /* set by kt_decode() */
    uint16_t flags;       /* enum kt_packet_flag */
    uint16_t l3;          /* offset of the innermost IP header, 0 = none unless KT_PKT_IP */
    uint16_t l4;          /* offset of the transport header, 0 = none */
    uint16_t payload;     /* offset of the transport payload (may equal caplen) */
    uint32_t payload_len; /* its length on the wire, by the IP length */
    uint32_t frag_id;     /* IP identification, for fragments */
    uint32_t hash;        /* the same for both directions of a flow; 0 before decoding */
    uint8_t tcp_flags;
    uint8_t proto; /* = key.proto */
    uint8_t icmp_type, icmp_code;
    struct kt_key key;
    /* set by who knows other flows, with KT_PKT_ANNOUNCED: kt_clue() */
    uint64_t clue;
};

/* Packet `seq` announced a flow that speaks protocol number `label`. */
static inline uint64_t kt_clue(uint64_t seq, uint16_t label)
{
    return seq << 16 | label;
}
static inline uint64_t kt_clue_packet(uint64_t clue)
{
    return clue >> 16;
}
static inline uint16_t kt_clue_label(uint64_t clue)
{
    return (uint16_t)clue;
}

/* Bytes of payload that were captured. */
static inline uint32_t kt_payload_captured(const struct kt_packet *p)
{
    uint32_t here = p->caplen > p->payload ? p->caplen - p->payload : 0;
    return here < p->payload_len ? here : p->payload_len;
}

/* Can packets of this link type (a number as in pcap files) be decoded? */
bool kt_link_known(unsigned link);
/* What tcpdump.org calls one that can't be, without LINKTYPE_: "USB_LINUX". NULL: a rare one. */
const char *kt_link_name(unsigned link);

/* Decodes in place; safe on any bytes. A packet without IP keeps key.ip == 0. */
void kt_decode(struct kt_packet *p);
/* The same without the hash, for who needs no flows or takes a seed of its own. */
void kt_decode_headers(struct kt_packet *p);

/* The same for all fragments of a datagram, whether their ports are known or not. */
uint64_t kt_datagram(const struct kt_key *k, uint32_t frag_id);
/* The hash of a key: equal for both directions. Never 0. Who chooses the packets can make them
 * collide unless the seed is secret: a table of what outsiders send takes one. */
uint32_t kt_key_hash_seeded(const struct kt_key *k, uint64_t seed);
static inline uint32_t kt_key_hash(const struct kt_key *k)
{
    return kt_key_hash_seeded(k, 0);
}
/* Swaps the two sides. */
void kt_key_reverse(struct kt_key *k);
bool kt_key_equal(const struct kt_key *a, const struct kt_key *b);

/* "10.0.0.1" or "2001:db8::1" of an address as it stands in a key. Returns buf. */
#define KT_ADDR_TEXT 46
char *kt_addr_text(const uint8_t addr[16], int ip, char buf[KT_ADDR_TEXT]);
/* Parses either form. KT_OK with *ip 4 or 6, or KT_EINVAL. */
int kt_addr_parse(const char *text, uint8_t addr[16], int *ip);
/* "tcp", "udp", "icmp", … or "proto-NNN" in buf (at least 16 bytes). */
const char *kt_proto_text(uint8_t proto, char *buf);

#endif
