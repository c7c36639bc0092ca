/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * From the link header to the innermost transport header, once. Every read is checked against what
 * was captured (w->cap); what the headers claim is checked against what was on the wire. */
#include "walk.h"

static void malformed(struct kt_walk *w)
{
    w->p->flags |= KT_PKT_MALFORMED;
}

/* The rest of the packet, after the last header that was understood, is the payload. */
static void set_payload(struct kt_walk *w)
{
    uint32_t at = w->at < w->wire ? w->at : w->wire;
    w->p->payload = (uint16_t)(at < UINT16_MAX ? at : UINT16_MAX);
    w->p->payload_len = w->wire - at;
}

static void tcp(struct kt_walk *w)
{
    struct kt_packet *p = w->p;
    uint32_t left = kt_walk_left(w);
    const uint8_t *h = kt_walk_here(w);
    if (KT_UNLIKELY(left < 20)) {
        if (w->wire - w->at < 20)
            malformed(w);
        if (left >= 4) {
            p->key.port[0] = kt_be16(h);
            p->key.port[1] = kt_be16(h + 2);
        }
        return;
    }
    p->key.port[0] = kt_be16(h);
    p->key.port[1] = kt_be16(h + 2);
    p->tcp_flags = h[13];
    p->flags |= KT_PKT_TRANSPORT;
    uint32_t len = (h[12] >> 4) * 4u;
    if (KT_UNLIKELY(len < 20 || w->at + len > w->wire)) {
        malformed(w);
        w->at = w->wire;
    } else {
        w->at += len;
    }
    set_payload(w);
}

static bool udp(struct kt_walk *w)
{
    struct kt_packet *p = w->p;
    const uint8_t *h = kt_walk_here(w);
    uint32_t left = kt_walk_left(w);
    if (KT_UNLIKELY(left < 8)) {
        if (w->wire - w->at < 8)
            malformed(w);
        if (left >= 4) {
            p->key.port[0] = kt_be16(h);
            p->key.port[1] = kt_be16(h + 2);
        }
        return false;
    }
    p->key.port[0] = kt_be16(h);
    p->key.port[1] = kt_be16(h + 2);
    p->flags |= KT_PKT_TRANSPORT;
    uint32_t len = kt_be16(h + 4);
    if (len >= 8 && (w->at + len <= w->wire || p->flags & KT_PKT_FRAGMENT || w->part))
        kt_walk_limit(w, len);
    else if (len != 0) /* 0: a jumbogram or a segmentation offload */
        malformed(w);
    w->at += 8;
    set_payload(w);
    return kt_walk_udp_tunnel(w);
}

static void sctp(struct kt_walk *w)
{
    struct kt_packet *p = w->p;
    const uint8_t *h = kt_walk_here(w);
    if (kt_walk_left(w) < 12) {
        if (w->wire - w->at < 12)
            malformed(w);
        return;
    }
    p->key.port[0] = kt_be16(h);
    p->key.port[1] = kt_be16(h + 2);
    p->flags |= KT_PKT_TRANSPORT;
    w->at += 12;
    set_payload(w);
}

static uint8_t skip_ipv6_extensions(struct kt_walk *w, uint8_t next);
static uint8_t skip_authentication(struct kt_walk *w);

static bool icmp_is_error(uint8_t proto, uint8_t type)
{
    if (proto == KT_PROTO_ICMPV6)
        return type >= 1 && type <= 4;
    return type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
}

static bool icmp_has_id(uint8_t proto, uint8_t type)
{
    if (proto == KT_PROTO_ICMPV6)
        return type == 128 || type == 129;
    return type == 0 || type == 8 || (type >= 13 && type <= 18);
}

/* Goes on in the tunnel that the quoted packet may be of; true when something was inside. */
static bool quoted_tunnel(struct kt_walk *w)
{
    switch (w->p->key.proto) {
    case KT_PROTO_UDP:
        if (kt_walk_left(w) < 8)
            return false;
        w->at += 8;
        return kt_walk_udp_tunnel(w);
    case KT_PROTO_GRE:
        return kt_walk_gre(w);
    case KT_PROTO_IPIP:
        return kt_walk_ip_in_ip(w, KT_ETHER_IPV4);
    case KT_PROTO_IPV6:
        return kt_walk_ip_in_ip(w, KT_ETHER_IPV6);
    default:
        return false;
    }
}

/* The packet that an ICMP error quotes: its key, as its sender would have sent it, and as far in as
 * the quote reaches. A quoted later fragment has no ports, so nobody can tell which flow the error
 * is about. */
static bool quoted_key(const struct kt_walk *error, struct kt_key *key)
{
    struct kt_packet inside = {0}; /* what its headers say is not said of the error */
    struct kt_walk w = *error;
    struct kt_key *k = &inside.key;
    w.p = &inside;
    w.part = true; /* it ends where it pleased the router */
    memcpy(k->vlan, error->p->key.vlan, sizeof k->vlan);
    k->tunnel = error->p->key.tunnel;
    const uint8_t *h = kt_walk_here(&w);
    uint32_t left = kt_walk_left(&w);
    if (left >= 20 && h[0] >> 4 == 4) {
        uint32_t len = (h[0] & 15) * 4u;
        if (len < 20 || left < len || kt_be16(h + 6) & 0x1fff)
            return false;
        k->ip = 4;
        k->proto = h[9];
        memcpy(k->addr[0], h + 12, 4);
        memcpy(k->addr[1], h + 16, 4);
        w.at += len;
        if (k->proto == KT_PROTO_AH)
            k->proto = skip_authentication(&w);
    } else if (left >= 40 && h[0] >> 4 == 6) {
        k->ip = 6;
        memcpy(k->addr[0], h + 8, 16);
        memcpy(k->addr[1], h + 24, 16);
        w.at += 40;
        k->proto = skip_ipv6_extensions(&w, h[6]);
    } else {
        return false;
    }
    h = kt_walk_here(&w);
    left = kt_walk_left(&w);
    bool has_ports =
        k->proto == KT_PROTO_TCP || k->proto == KT_PROTO_UDP || k->proto == KT_PROTO_SCTP;
    if (has_ports && left >= 4) {
        k->port[0] = kt_be16(h);
        k->port[1] = kt_be16(h + 2);
    } else if ((k->proto == KT_PROTO_ICMP || k->proto == KT_PROTO_ICMPV6) && left >= 6 &&
               icmp_has_id(k->proto, h[0])) {
        k->port[0] = k->port[1] = kt_be16(h + 4);
    }
    if (!(inside.flags & KT_PKT_FRAGMENT_LATER) && quoted_tunnel(&w)) {
        has_ports =
            k->proto == KT_PROTO_TCP || k->proto == KT_PROTO_UDP || k->proto == KT_PROTO_SCTP;
        left = k->port[0] || k->port[1] ? 4 : 0;
    }
    *key = *k;
    return !(inside.flags & KT_PKT_FRAGMENT_LATER) && !(has_ports && left < 4);
}

static void icmp(struct kt_walk *w)
{
    struct kt_packet *p = w->p;
    const uint8_t *h = kt_walk_here(w);
    if (kt_walk_left(w) < 8) {
        if (w->wire - w->at < 4)
            malformed(w);
        return;
    }
    p->icmp_type = h[0];
    p->icmp_code = h[1];
    p->flags |= KT_PKT_TRANSPORT;
    w->at += 8;
    set_payload(w);
    if (icmp_has_id(p->key.proto, h[0])) {
        p->key.port[0] = p->key.port[1] = kt_be16(h + 4);
        return;
    }
    struct kt_key key;
    if (!icmp_is_error(p->key.proto, h[0]) || !quoted_key(w, &key))
        return;
    p->key = key;
    p->flags |= KT_PKT_ICMP_ERROR;
}

static void transport(struct kt_walk *w)
{
    struct kt_packet *p = w->p;
    p->l4 = (uint16_t)w->at;
    set_payload(w);
    switch (p->key.proto) {
    case KT_PROTO_TCP:
        tcp(w);
        break;
    case KT_PROTO_UDP:
        udp(w);
        break;
    case KT_PROTO_ICMP:
    case KT_PROTO_ICMPV6:
        icmp(w);
        break;
    case KT_PROTO_SCTP:
        sctp(w);
        break;
    case KT_PROTO_GRE:
        kt_walk_gre(w);
        break;
    case KT_PROTO_IPIP:
        kt_walk_ip_in_ip(w, KT_ETHER_IPV4);
        break;
    case KT_PROTO_IPV6:
        kt_walk_ip_in_ip(w, KT_ETHER_IPV6);
        break;
    default:
        break;
    }
}

static void ipv4(struct kt_walk *w)
{
    struct kt_packet *p = w->p;
    const uint8_t *h = kt_walk_here(w);
    if (KT_UNLIKELY(kt_walk_left(w) < 20 || h[0] >> 4 != 4)) {
        if (w->wire - w->at < 20 || kt_walk_left(w) >= 20)
            malformed(w);
        return;
    }
    uint32_t header = (h[0] & 15) * 4u, total = kt_be16(h + 2);
    if (KT_UNLIKELY(header < 20 || (total != 0 && total < header))) {
        malformed(w);
        return;
    }
    if (KT_UNLIKELY(w->at + total > w->wire && !w->part))
        malformed(w);
    p->flags |= KT_PKT_IP;
    p->l3 = (uint16_t)w->at;
    p->key.ip = 4;
    p->key.proto = h[9];
    memcpy(p->key.addr[0], h + 12, 4);
    memcpy(p->key.addr[1], h + 16, 4);
    if (KT_LIKELY(total != 0)) /* 0: the kernel's segmentation offload */
        kt_walk_limit(w, total);
    w->at += header;
    if (KT_UNLIKELY(w->at > w->wire)) {
        malformed(w);
        w->at = w->wire;
        return;
    }
    unsigned fragment = kt_be16(h + 6);
    if (KT_UNLIKELY(fragment & 0x3fff)) {
        p->frag_id = kt_be16(h + 4);
        p->flags |= KT_PKT_FRAGMENT;
        if (fragment & 0x1fff) {
            p->flags |= KT_PKT_FRAGMENT_LATER;
            set_payload(w);
            return;
        }
    }
    if (KT_UNLIKELY(h[9] == KT_PROTO_AH))
        p->key.proto = skip_authentication(w);
    transport(w);
}

/* RFC 4302, behind IPv4: what it covers lies open. Returns the protocol of that. */
static uint8_t skip_authentication(struct kt_walk *w)
{
    const uint8_t *h = kt_walk_here(w);
    uint32_t left = kt_walk_left(w), len = left >= 2 ? (h[1] + 2u) * 4 : 0;
    if (len == 0 || left < len)
        return KT_PROTO_AH;
    w->at += len;
    return h[0];
}

/* RFC 8200 section 4. Returns the protocol of what follows the extension headers; a fragment
 * header sets the packet's flags. On a cut chain the last type found is returned. */
static uint8_t skip_ipv6_extensions(struct kt_walk *w, uint8_t next)
{
    for (int i = 0; i < 12; i++) {
        const uint8_t *h = kt_walk_here(w);
        uint32_t left = kt_walk_left(w), len;
        switch (next) {
        case 0:   /* hop by hop */
        case 43:  /* routing */
        case 60:  /* destination */
        case 135: /* mobility */
        case 139: /* host identity */
        case 140: /* shim6 */
            len = left >= 2 ? (h[1] + 1u) * 8 : 0;
            break;
        case KT_PROTO_AH:
            len = left >= 2 ? (h[1] + 2u) * 4 : 0;
            break;
        case 44: /* fragment */
            len = 8;
            if (left >= 8) {
                unsigned offset = kt_be16(h + 2);
                w->p->frag_id = kt_be32(h + 4);
                if (offset & 0xfff9) /* a lone "atomic" fragment (RFC 6946) is a whole packet */
                    w->p->flags |= KT_PKT_FRAGMENT;
                if (offset & 0xfff8)
                    w->p->flags |= KT_PKT_FRAGMENT_LATER;
            }
            break;
        default:
            return next;
        }
        if (len == 0 || left < len || w->at + len > KT_WALK_REACH) {
            w->at = w->cap; /* cut: nothing behind it can be told */
            return next;
        }
        uint8_t this = next;
        next = h[0];
        w->at += len;
        if (this == 44 && w->p->flags & KT_PKT_FRAGMENT_LATER)
            return next;
    }
    malformed(w);
    return next;
}

static void ipv6(struct kt_walk *w)
{
    struct kt_packet *p = w->p;
    const uint8_t *h = kt_walk_here(w);
    if (KT_UNLIKELY(kt_walk_left(w) < 40 || h[0] >> 4 != 6)) {
        if (w->wire - w->at < 40 || kt_walk_left(w) >= 40)
            malformed(w);
        return;
    }
    uint32_t len = kt_be16(h + 4);
    if (KT_UNLIKELY(w->at + 40 + len > w->wire && !w->part))
        malformed(w);
    p->flags |= KT_PKT_IP;
    p->l3 = (uint16_t)w->at;
    p->key.ip = 6;
    memcpy(p->key.addr[0], h + 8, 16);
    memcpy(p->key.addr[1], h + 24, 16);
    w->at += 40;
    if (KT_LIKELY(len != 0)) /* 0: a jumbogram or the kernel's segmentation offload */
        kt_walk_limit(w, len);
    p->key.proto = skip_ipv6_extensions(w, h[6]);
    if (p->flags & KT_PKT_FRAGMENT_LATER) {
        set_payload(w);
        return;
    }
    transport(w);
}

/* RFC 3032: labels down to the bottom of the stack, then IP by its first nibble. A pseudowire
 * (RFC 4385 control word, then Ethernet) begins with a zero nibble. */
static void mpls(struct kt_walk *w)
{
    for (int i = 0; i < 16; i++) {
        if (kt_walk_left(w) < 5)
            return;
        bool bottom = kt_walk_here(w)[2] & 1;
        w->at += 4;
        if (!bottom)
            continue;
        switch (*kt_walk_here(w) >> 4) {
        case 4:
            ipv4(w);
            return;
        case 6:
            ipv6(w);
            return;
        case 0:
            if (kt_walk_left(w) > 18 && w->depth++ < KT_WALK_DEPTH) {
                w->at += 4;
                kt_walk_ether_type(w, kt_walk_ethernet(w));
            }
            return;
        default:
            return;
        }
    }
}

static void vlan_seen(struct kt_walk *w, uint16_t id)
{
    struct kt_key *k = &w->p->key;
    if (k->vlan[0] == 0)
        k->vlan[0] = id;
    else if (k->vlan[1] == 0)
        k->vlan[1] = id;
}

void kt_walk_ether_type(struct kt_walk *w, uint16_t type)
{
    for (int tags = 0; tags < 8; tags++) {
        switch (type) {
        case KT_ETHER_IPV4:
            ipv4(w);
            return;
        case KT_ETHER_IPV6:
            ipv6(w);
            return;
        case KT_ETHER_VLAN:
        case KT_ETHER_QINQ:
        case KT_ETHER_QINQ_OLD:
            if (kt_walk_left(w) < 4)
                return;
            vlan_seen(w, kt_be16(kt_walk_here(w)) & 0xfff);
            type = kt_be16(kt_walk_here(w) + 2);
            w->at += 4;
            break;
        case KT_ETHER_PPPOE: /* RFC 2516 */
            if (kt_walk_left(w) < 8 || kt_walk_here(w)[1] != 0)
                return;
            w->at += 6;
            kt_walk_limit(w, kt_be16(kt_walk_here(w) - 2));
            type = kt_walk_ppp(w);
            break;
        case KT_ETHER_MPLS:
        case KT_ETHER_MPLS_MULTI:
            mpls(w);
            return;
        default:
            return;
        }
    }
}

/* By far the most common packet in one go: TCP in IPv4 without options in Ethernet, captured up to
 * its payload. False, and nothing done: walk. tests/packet compares the two. */
static inline bool plain_tcp(struct kt_packet *p, uint32_t wire)
{
    const uint8_t *d = p->data;
    if (p->link != KT_LINK_ETHERNET || p->caplen < 54 || kt_be16(d + 12) != KT_ETHER_IPV4 ||
        d[14] != 0x45 || d[23] != KT_PROTO_TCP || kt_be16(d + 20) & 0x3fff)
        return false;
    uint32_t total = kt_be16(d + 16), header = (d[46] >> 4) * 4u;
    if (14 + total > wire || header < 20 || total < 20 + header)
        return false;
    p->flags |= KT_PKT_IP | KT_PKT_TRANSPORT;
    p->l3 = 14;
    p->l4 = 34;
    p->payload = (uint16_t)(34 + header);
    p->payload_len = total - 20 - header;
    p->tcp_flags = d[47];
    p->proto = KT_PROTO_TCP;
    memcpy(p->key.addr[0], d + 26, 4);
    memcpy(p->key.addr[1], d + 30, 4);
    p->key.port[0] = kt_be16(d + 34);
    p->key.port[1] = kt_be16(d + 36);
    p->key.ip = 4;
    p->key.proto = KT_PROTO_TCP;
    return true;
}

void kt_decode_headers(struct kt_packet *p)
{
    uint32_t wire = p->wirelen > p->caplen ? p->wirelen : p->caplen;
    p->flags = (uint16_t)((p->flags & KT_PKT_TX) | KT_PKT_DECODED |
                          (p->caplen < wire ? KT_PKT_SNAPPED : 0));
    p->l3 = p->l4 = p->payload = 0;
    p->payload_len = p->frag_id = p->hash = 0;
    p->tcp_flags = p->icmp_type = p->icmp_code = 0;
    memset(&p->key, 0, sizeof p->key);
    if (KT_LIKELY(plain_tcp(p, wire)))
        return;
    struct kt_walk w = {
        .p = p,
        .data = p->data,
        .cap = p->caplen < KT_WALK_REACH ? p->caplen : KT_WALK_REACH,
        .wire = wire,
    };
    kt_walk_ether_type(&w, kt_walk_link(&w, p->link));
    p->proto = p->key.proto;
}

void kt_decode(struct kt_packet *p)
{
    kt_decode_headers(p);
    p->hash = kt_key_hash(&p->key);
}
