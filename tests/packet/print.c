/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * What kt_decode() says of each packet of a capture, a line each, for tshark.py. The packet lies in
 * memory of its own that ends with it, so that ASan sees every read beyond. */
#include <kotare/trace.h>
#include <stdio.h>
#include <stdlib.h>

#include "plugins.h"

static const struct {
    unsigned flag;
    const char *name;
} flag_names[] = {
    {KT_PKT_IP, "ip"},
    {KT_PKT_TRANSPORT, "transport"},
    {KT_PKT_FRAGMENT, "fragment"},
    {KT_PKT_FRAGMENT_LATER, "later"},
    {KT_PKT_ICMP_ERROR, "icmp-error"},
    {KT_PKT_TUNNEL, "tunnel"},
    {KT_PKT_MALFORMED, "malformed"},
    {KT_PKT_SNAPPED, "snapped"},
};

static void print(uint64_t number, struct kt_packet p)
{
    uint8_t *copy = malloc(p.caplen ? p.caplen : 1);
    if (!copy)
        exit(1);
    memcpy(copy, p.data, p.caplen);
    p.data = copy;
    kt_decode(&p);
    char a[KT_ADDR_TEXT], b[KT_ADDR_TEXT];
    printf("number=%llu\tcaplen=%u\twirelen=%u\tip=%u\tsrc=%s\tdst=%s\tproto=%u\tsport=%u\tdport=%u"
           "\tvlan=%u,%u\ttunnel=%u\thash=%u\tl3=%u\tl4=%u\tpayload=%u\tpayload_len=%u\tflags=",
           (unsigned long long)number, p.caplen, p.wirelen, p.key.ip,
           kt_addr_text(p.key.addr[0], p.key.ip, a), kt_addr_text(p.key.addr[1], p.key.ip, b),
           p.key.proto, p.key.port[0], p.key.port[1], p.key.vlan[0], p.key.vlan[1], p.key.tunnel,
           p.hash, p.l3, p.l4, p.payload, p.payload_len);
    for (size_t i = 0; i < KT_ARRAY_LEN(flag_names); i++)
        if (p.flags & flag_names[i].flag)
            printf("%s,", flag_names[i].name);
    if (p.flags & KT_PKT_FRAGMENT)
        printf("\tfrag_id=%u", p.frag_id);
    /* what the flow table reads, under the same conditions */
    if (p.proto == KT_PROTO_TCP && p.flags & KT_PKT_TRANSPORT &&
        !(p.flags & (KT_PKT_ICMP_ERROR | KT_PKT_FRAGMENT_LATER)))
        printf("\ttcp_flags=%u\tseq=%u", p.tcp_flags, kt_be32(p.data + p.l4 + 4));
    if (p.flags & KT_PKT_ICMP_ERROR ||
        ((p.proto == KT_PROTO_ICMP || p.proto == KT_PROTO_ICMPV6) && p.flags & KT_PKT_TRANSPORT))
        printf("\ticmp=%u,%u", p.icmp_type, p.icmp_code);
    putchar('\n');
    free(copy);
}

int main(int argc, char **argv)
{
    struct kt_error err = {0};
    struct kt_packet packets[KT_BATCH];
    struct kt_batch batch = {.packet = packets};
    struct kt_source *src;
    int rc =
        argc == 2 ? kt_source_open(&src, kt_builtin_registry(), argv[1], NULL, &err) : KT_EINVAL;
    uint64_t number = 0;
    if (rc == KT_OK) {
        while ((rc = kt_source_read(src, &batch, &err)) == KT_OK)
            for (unsigned i = 0; i < batch.n; i++)
                print(++number, packets[i]);
        kt_source_close(src);
    }
    if (rc < 0)
        fprintf(stderr, "%s\n", err.text);
    return rc < 0;
}
