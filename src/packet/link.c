/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Link layers. Numbers: https://www.tcpdump.org/linktypes.html */
#include "walk.h"

uint16_t kt_walk_ethernet(struct kt_walk *w)
{
    if (kt_walk_left(w) < 14)
        return 0;
    uint16_t type = kt_be16(kt_walk_here(w) + 12);
    w->at += 14;
    if (type >= 0x600)
        return type;
    /* IEEE 802.3: a length, then LLC; IP comes in SNAP */
    const uint8_t *llc = kt_walk_here(w);
    if (kt_walk_left(w) < 8 || llc[0] != 0xaa || llc[1] != 0xaa)
        return 0;
    kt_walk_limit(w, type);
    w->at += 8;
    return kt_be16(llc + 6);
}

uint16_t kt_walk_ppp(struct kt_walk *w)
{
    const uint8_t *h = kt_walk_here(w);
    if (kt_walk_left(w) >= 2 && h[0] == 0xff && h[1] == 0x03) {
        w->at += 2;
        h += 2;
    }
    if (kt_walk_left(w) < 2)
        return 0;
    /* RFC 1661: the protocol field may be compressed to its odd second byte */
    unsigned proto = h[0];
    w->at += 1;
    if (!(h[0] & 1)) {
        proto = kt_be16(h);
        w->at += 1;
    }
    switch (proto) {
    case 0x0021:
        return KT_ETHER_IPV4;
    case 0x0057:
        return KT_ETHER_IPV6;
    case 0x0281:
        return KT_ETHER_MPLS;
    default:
        return 0;
    }
}

static uint16_t by_version(struct kt_walk *w)
{
    if (kt_walk_left(w) < 1)
        return 0;
    unsigned version = *kt_walk_here(w) >> 4;
    return version == 4 ? KT_ETHER_IPV4 : version == 6 ? KT_ETHER_IPV6 : 0;
}

/* BSD loopback: the address family, in the byte order of the machine that captured. */
static uint16_t loopback(struct kt_walk *w)
{
    if (kt_walk_left(w) < 4)
        return 0;
    w->at += 4;
    return by_version(w);
}

static uint16_t skip_to(struct kt_walk *w, uint32_t header, uint32_t type_at)
{
    if (kt_walk_left(w) < header)
        return 0;
    uint16_t type = kt_be16(kt_walk_here(w) + type_at);
    w->at += header;
    return type;
}

/* IEEE 802.11 data frames, then LLC/SNAP; anything protected is opaque. */
static uint16_t wifi(struct kt_walk *w)
{
    const uint8_t *h = kt_walk_here(w);
    if (kt_walk_left(w) < 24)
        return 0;
    unsigned type = h[0] >> 2 & 3, subtype = h[0] >> 4;
    bool null_data = subtype & 4, protected_frame = h[1] & 0x40;
    if (type != 2 || null_data || protected_frame)
        return 0;
    uint32_t header = 24;
    if ((h[1] & 3) == 3)
        header += 6; /* a fourth address */
    if (subtype & 8)
        header += (h[1] & 0x80) ? 6 : 2; /* QoS, and HT control */
    if (kt_walk_left(w) < header + 8)
        return 0;
    const uint8_t *llc = h + header;
    if (llc[0] != 0xaa || llc[1] != 0xaa)
        return 0;
    w->at += header + 8;
    return kt_be16(llc + 6);
}

static uint16_t radiotap(struct kt_walk *w)
{
    if (kt_walk_left(w) < 8)
        return 0;
    uint32_t len = kt_le16(kt_walk_here(w) + 2);
    if (len < 8 || kt_walk_left(w) < len)
        return 0;
    w->at += len;
    return wifi(w);
}

uint16_t kt_walk_link(struct kt_walk *w, unsigned link)
{
    switch (link) {
    case KT_LINK_ETHERNET:
        return kt_walk_ethernet(w);
    case KT_LINK_LINUX_SLL:
        return skip_to(w, 16, 14);
    case KT_LINK_LINUX_SLL2:
        return skip_to(w, 20, 0);
    case KT_LINK_RAW:
    case KT_LINK_RAW_BSD:
    case KT_LINK_RAW_OPENBSD:
    case KT_LINK_IPV4:
    case KT_LINK_IPV6:
        return by_version(w);
    case KT_LINK_NULL:
    case KT_LINK_LOOP:
        return loopback(w);
    case KT_LINK_PPP:
    case KT_LINK_PPP_SERIAL:
        /* RFC 1547: Cisco HDLC also comes under the second number */
        if (kt_walk_left(w) >= 1 && (*kt_walk_here(w) == 0x0f || *kt_walk_here(w) == 0x8f))
            return skip_to(w, 4, 2);
        return kt_walk_ppp(w);
    case KT_LINK_CHDLC:
        return skip_to(w, 4, 2);
    case KT_LINK_PPP_ETHER:
        return KT_ETHER_PPPOE;
    case KT_LINK_IEEE80211:
        return wifi(w);
    case KT_LINK_RADIOTAP:
        return radiotap(w);
    default:
        return 0;
    }
}

bool kt_link_known(unsigned link)
{
    switch (link) {
    case KT_LINK_NULL:
    case KT_LINK_ETHERNET:
    case KT_LINK_PPP:
    case KT_LINK_RAW_BSD:
    case KT_LINK_RAW_OPENBSD:
    case KT_LINK_PPP_SERIAL:
    case KT_LINK_PPP_ETHER:
    case KT_LINK_RAW:
    case KT_LINK_CHDLC:
    case KT_LINK_IEEE80211:
    case KT_LINK_LOOP:
    case KT_LINK_LINUX_SLL:
    case KT_LINK_RADIOTAP:
    case KT_LINK_IPV4:
    case KT_LINK_IPV6:
    case KT_LINK_LINUX_SLL2:
        return true;
    default:
        return false;
    }
}
