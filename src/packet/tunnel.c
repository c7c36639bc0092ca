/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Tunnels: GRE (RFC 2784, 2890), IP in IP (RFC 2003, 4213), VXLAN (RFC 7348), GENEVE (RFC 8926),
 * GTP-U (3GPP TS 29.281), Teredo (RFC 4380). The packet inside becomes the packet; what carried it
 * lives on in key.tunnel. A guess by port is taken back when no sound IP header lies inside. */
#include "walk.h"

enum { PORT_TEREDO = 3544, PORT_GTP = 2152, PORT_VXLAN = 4789, PORT_GENEVE = 6081 };

static uint64_t half(const uint8_t *addr)
{
    uint64_t lo, hi;
    memcpy(&lo, addr, 8);
    memcpy(&hi, addr + 8, 8);
    return kt_mix64(lo ^ UINT64_C(0x9e3779b97f4a7c15), hi ^ UINT64_C(0xd6e8feb86659fd93));
}

/* The tunnel's identity, the same both ways; tunnels in tunnels add up. Never 0. */
static uint16_t identity(const struct kt_key *outer, uint32_t number)
{
    uint64_t ends = half(outer->addr[0]) + half(outer->addr[1]);
    uint64_t h = kt_mix64(ends ^ outer->tunnel, number ^ UINT64_C(0xa0761d6478bd642f));
    uint16_t id = (uint16_t)(h ^ h >> 16 ^ h >> 32 ^ h >> 48);
    return id ? id : 1;
}

/* Tries to go on inside at w->at + skip; leaves everything as it was when that fails. */
static bool enter(struct kt_walk *w, uint32_t skip, uint16_t type, uint32_t number)
{
    if (w->depth >= KT_WALK_DEPTH || kt_walk_left(w) <= skip)
        return false;
    struct kt_packet *p = w->p;
    struct kt_packet before = *p;
    struct kt_walk outside = *w;
    w->at += skip;
    w->depth++;
    if (type == KT_ETHER_TEB)
        type = kt_walk_ethernet(w);
    memset(&p->key, 0, sizeof p->key);
    memcpy(p->key.vlan, before.key.vlan, sizeof p->key.vlan);
    p->key.tunnel = identity(&before.key, number);
    p->flags &= (uint16_t) ~(KT_PKT_IP | KT_PKT_TRANSPORT | KT_PKT_FRAGMENT);
    w->part |= before.flags & KT_PKT_FRAGMENT;
    p->l4 = 0;
    p->payload_len = 0;
    kt_walk_ether_type(w, type);
    if (p->flags & KT_PKT_IP) {
        p->flags |= KT_PKT_TUNNEL;
        if (KT_UNLIKELY(before.flags & KT_PKT_FRAGMENT)) {
            p->flags |= KT_PKT_FRAGMENT_OUTER;
            p->clue = kt_datagram(&before.key, before.frag_id);
        }
        return true;
    }
    *p = before;
    *w = outside;
    return false;
}

bool kt_walk_ip_in_ip(struct kt_walk *w, uint16_t type)
{
    return enter(w, 0, type, 0);
}

bool kt_walk_gre(struct kt_walk *w)
{
    if (kt_walk_left(w) < 4)
        return false;
    const uint8_t *h = kt_walk_here(w);
    unsigned flags = h[0], version = h[1] & 7;
    uint16_t type = kt_be16(h + 2);
    uint32_t len = 4 + (flags & 0xc0 ? 4 : 0), number = 0;
    if (flags & 0x40) /* source routes: obsolete, and never seen */
        return false;
    bool has_key = flags & 0x20;
    uint32_t key_at = len;
    len += (has_key ? 4 : 0) + (flags & 0x10 ? 4 : 0);
    if (version == 1) /* PPTP (RFC 2637): an acknowledgement number, then PPP */
        len += h[1] & 0x80 ? 4 : 0;
    else if (version != 0)
        return false;
    if (kt_walk_left(w) < len)
        return false;
    if (has_key && version == 0)
        number = kt_be32(h + key_at);
    if (version == 1) {
        struct kt_walk inside = *w;
        inside.at += len;
        type = kt_walk_ppp(&inside);
        len = inside.at - w->at;
    }
    return enter(w, len, type, number);
}

static bool vxlan(struct kt_walk *w)
{
    const uint8_t *h = kt_walk_here(w);
    if (kt_walk_left(w) < 8 || !(h[0] & 0x08))
        return false;
    return enter(w, 8, KT_ETHER_TEB, kt_be24(h + 4));
}

static bool geneve(struct kt_walk *w)
{
    const uint8_t *h = kt_walk_here(w);
    if (kt_walk_left(w) < 8 || h[0] >> 6 != 0)
        return false;
    return enter(w, 8 + (h[0] & 0x3fu) * 4, kt_be16(h + 2), kt_be24(h + 4));
}

static uint16_t ip_version(const struct kt_walk *w, uint32_t skip)
{
    if (kt_walk_left(w) <= skip)
        return 0;
    unsigned version = kt_walk_here(w)[skip] >> 4;
    return version == 4 ? KT_ETHER_IPV4 : version == 6 ? KT_ETHER_IPV6 : 0;
}

static bool gtp(struct kt_walk *w)
{
    const uint8_t *h = kt_walk_here(w);
    if (kt_walk_left(w) < 8 || h[0] >> 5 != 1 || !(h[0] & 0x10) || h[1] != 0xff)
        return false;
    uint32_t len = 8;
    if (h[0] & 7) {
        if (kt_walk_left(w) < 12)
            return false;
        unsigned next = h[0] & 4 ? h[11] : 0;
        len = 12;
        for (int i = 0; next && i < 8; i++) { /* extension headers, in units of four bytes */
            if (kt_walk_left(w) <= len)
                return false;
            uint32_t ext = h[len] * 4u;
            if (ext == 0 || kt_walk_left(w) < len + ext)
                return false;
            len += ext;
            next = h[len - 1];
        }
    }
    /* the tunnel number differs by direction: the ends must do */
    return enter(w, len, ip_version(w, len), 0);
}

static bool teredo(struct kt_walk *w)
{
    const uint8_t *h = kt_walk_here(w);
    uint32_t skip = 0;
    if (kt_walk_left(w) >= 4 && h[0] == 0 && h[1] == 1) /* authentication */
        skip = 13u + h[2] + h[3];
    if (kt_walk_left(w) >= skip + 8 && h[skip] == 0 && h[skip + 1] == 0) /* origin */
        skip += 8;
    if (ip_version(w, skip) != KT_ETHER_IPV6)
        return false;
    return enter(w, skip, KT_ETHER_IPV6, 0);
}

bool kt_walk_udp_tunnel(struct kt_walk *w)
{
    uint16_t from = w->p->key.port[0], to = w->p->key.port[1];
    if (to == PORT_VXLAN)
        return vxlan(w);
    if (to == PORT_GENEVE)
        return geneve(w);
    if (to == PORT_GTP || from == PORT_GTP)
        return gtp(w);
    if (to == PORT_TEREDO || from == PORT_TEREDO)
        return teredo(w);
    return false;
}
