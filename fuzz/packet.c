/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * One packet: link type (an index, so that every known one comes up), how many bytes more it had on
 * the wire, then its bytes. What decoding says lies within the packet, and it says it again.
 */
#include "fuzz.h"
#include <kotare/packet.h>

static const uint16_t links[] = {
    KT_LINK_ETHERNET,   KT_LINK_NULL,      KT_LINK_PPP,         KT_LINK_RAW_BSD, KT_LINK_RAW,
    KT_LINK_PPP_SERIAL, KT_LINK_PPP_ETHER, KT_LINK_RAW_OPENBSD, KT_LINK_CHDLC,   KT_LINK_IEEE80211,
    KT_LINK_LOOP,       KT_LINK_LINUX_SLL, KT_LINK_RADIOTAP,    KT_LINK_IPV4,    KT_LINK_IPV6,
    KT_LINK_LINUX_SLL2, 147 /* unknown */,
};

static void check_header(const struct kt_packet *p)
{
    uint32_t least = 8;
    if (p->flags & KT_PKT_ICMP_ERROR)
        least = 8; /* the key is that of the quoted packet */
    else if (p->proto == KT_PROTO_TCP)
        least = 20;
    else if (p->proto == KT_PROTO_SCTP)
        least = 12;
    fuzz_must(p->l4 > 0 && p->l4 >= p->l3 && p->l4 + least <= p->caplen);
    fuzz_must(p->payload >= p->l4);
}

static void check_key(const struct kt_packet *p)
{
    struct kt_key back = p->key;
    kt_key_reverse(&back);
    fuzz_must(p->hash != 0 && p->hash == kt_key_hash(&back));
    kt_key_reverse(&back);
    fuzz_must(kt_key_equal(&back, &p->key) && p->proto == p->key.proto);
    static const uint8_t none[12];
    for (int i = 0; i < 2 && p->key.ip != 6; i++)
        fuzz_must(memcmp(p->key.addr[i] + 4, none, 12) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kt_packet p = {0}, again;
    if (size < 2)
        return 0;
    p.link = links[data[0] % KT_ARRAY_LEN(links)];
    p.caplen = (uint32_t)size - 2;
    p.wirelen = p.caplen + (data[1] < 128 ? 0 : data[1] * 16u);
    p.data = data + 2;
    kt_decode(&p);
    fuzz_must(p.flags & KT_PKT_DECODED);
    fuzz_must(p.key.ip == (p.flags & KT_PKT_IP ? p.key.ip : 0));
    fuzz_must(!(p.flags & KT_PKT_IP) || p.key.ip == 4 || p.key.ip == 6);
    fuzz_must(!(p.flags & KT_PKT_IP) || p.l3 + 20u <= p.caplen);
    fuzz_must((uint64_t)p.payload + p.payload_len <= p.wirelen);
    fuzz_must(p.payload + kt_payload_captured(&p) <= p.caplen || kt_payload_captured(&p) == 0);
    fuzz_must(!!(p.flags & KT_PKT_SNAPPED) == (p.caplen < p.wirelen));
    if (p.flags & KT_PKT_TRANSPORT)
        check_header(&p);
    check_key(&p);
    again = p;
    kt_decode(&again);
    fuzz_must(memcmp(&p, &again, sizeof p) == 0);
    return 0;
}
