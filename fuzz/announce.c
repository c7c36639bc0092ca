/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * What payloads announce. The first byte chooses transport, IP version and first header; the rest
 * is the payload.
 */
#include "fuzz.h"
#include <kotare/flow.h>

static struct kt_rules *rules;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!rules)
        fuzz_must(kt_rules_load_builtin(&rules, NULL) == KT_OK);
    if (size < 1 || size > 65535)
        return 0;
    uint8_t how = *data++,
            *payload = malloc(size); /* of its own, so that reading beyond it is seen */
    size--;
    fuzz_must(payload);
    memcpy(payload, data, size);
    struct kt_packet p = {.data = payload,
                          .caplen = (uint32_t)size,
                          .wirelen = (uint32_t)size,
                          .payload_len = (uint32_t)size,
                          .flags = KT_PKT_DECODED | KT_PKT_IP | KT_PKT_TRANSPORT,
                          .proto = how & 1 ? KT_PROTO_TCP : KT_PROTO_UDP,
                          .ts = KT_SECOND};
    p.key = (struct kt_key){.ip = how & 2 ? 6 : 4, .proto = p.proto, .port = {1, 2}};
    struct kt_announcement a[KT_ANNOUNCEMENTS];
    unsigned n = kt_ident_announcements(rules, &p, a);
    fuzz_must(n <= KT_ANNOUNCEMENTS);
    for (unsigned i = 0; i < n; i++)
        fuzz_must((a[i].ip == 4 || a[i].ip == 6) && a[i].port && a[i].life > 0 &&
                  a[i].label >= KT_LABEL_FIXED_COUNT && a[i].label < kt_rules_labels(rules));
    struct kt_expect *e;
    fuzz_must(kt_expect_new(&e, rules, NULL) == KT_OK);
    kt_expect_packets(e, &p, 1);
    fuzz_must(!!(p.flags & KT_PKT_ANNOUNCES) == (n > 0 && kt_ident_may_announce(&p)));
    if (p.flags & KT_PKT_ANNOUNCES) { /* the flow comes, from there and to there */
        struct kt_packet q = {.flags = p.flags & (uint16_t)~KT_PKT_ANNOUNCES,
                              .proto = a[0].proto,
                              .tcp_flags = KT_TCP_SYN,
                              .ts = p.ts,
                              .data = payload};
        q.key = (struct kt_key){.ip = a[0].ip, .proto = a[0].proto, .port = {9, a[0].port}};
        memcpy(q.key.addr[0], a[0].peer, 16);
        memcpy(q.key.addr[1], a[0].addr, 16);
        kt_expect_packets(e, &q, 1);
        fuzz_must(q.flags & KT_PKT_ANNOUNCED);
    }
    kt_expect_free(e);
    free(payload);
    return 0;
}
