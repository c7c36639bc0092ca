/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <arpa/inet.h>
#include <kotare/packet.h>
#include <stdio.h>

char *kt_addr_text(const uint8_t addr[16], int ip, char buf[KT_ADDR_TEXT])
{
    buf[0] = '\0';
    if (ip == 4 || ip == 6)
        inet_ntop(ip == 4 ? AF_INET : AF_INET6, addr, buf, KT_ADDR_TEXT);
    return buf;
}

int kt_addr_parse(const char *text, uint8_t addr[16], int *ip)
{
    memset(addr, 0, 16);
    if (inet_pton(AF_INET, text, addr) == 1)
        *ip = 4;
    else if (inet_pton(AF_INET6, text, addr) == 1)
        *ip = 6;
    else
        return KT_EINVAL;
    return KT_OK;
}

const char *kt_proto_text(uint8_t proto, char *buf)
{
    switch (proto) {
    case KT_PROTO_ICMP:
        return "icmp";
    case KT_PROTO_IGMP:
        return "igmp";
    case KT_PROTO_IPIP:
        return "ipip";
    case KT_PROTO_TCP:
        return "tcp";
    case KT_PROTO_UDP:
        return "udp";
    case KT_PROTO_IPV6:
        return "ipv6";
    case KT_PROTO_GRE:
        return "gre";
    case KT_PROTO_ESP:
        return "esp";
    case KT_PROTO_AH:
        return "ah";
    case KT_PROTO_ICMPV6:
        return "icmpv6";
    case KT_PROTO_SCTP:
        return "sctp";
    default:
        snprintf(buf, 16, "proto-%u", proto);
        return buf;
    }
}
