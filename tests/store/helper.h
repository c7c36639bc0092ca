/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * What the tests of the store share: random records, a folder of their own, labels.
 */
#ifndef TESTS_STORE_HELPER_H
#define TESTS_STORE_HELPER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <kotare/store.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CHECK(call)                                                                                \
    do {                                                                                           \
        struct kt_error err_ = {0};                                                                \
        struct kt_error *why = &err_;                                                              \
        int rc_ = (call);                                                                          \
        if (rc_ < 0)                                                                               \
            fail_msg("%s: %d %s", #call, rc_, err_.text);                                          \
    } while (0)

static inline uint64_t rnd(uint64_t *seed)
{
    *seed += UINT64_C(0x9e3779b97f4a7c15);
    return kt_mix64(*seed, *seed ^ UINT64_C(0xe7037ed1a0b428db));
}

/* A number of any magnitude. */
static inline uint64_t rnd_any(uint64_t *seed)
{
    uint64_t v = rnd(seed);
    return v >> rnd(seed) % 64;
}

static inline char *temp_folder(void)
{
    char *name = strdup("/tmp/kotare-test-XXXXXX");
    assert_non_null(mkdtemp(name));
    return name;
}

static inline void remove_folder(char *name)
{
    char command[256];
    snprintf(command, sizeof command, "rm -r '%s'", name);
    assert_int_equal(system(command), 0);
    free(name);
}

#define LABELS 7
static inline struct kt_flow_label label_of(void *ctx, unsigned label)
{
    static const struct kt_flow_label label_text[LABELS] = {
        {"DNS", "services", "dns-udp"}, {"TLS", "web", "tls"},
        {"HTTP", "web", "http"},        {"SSH", "remote", "ssh"},
        {"NTP", "services", "ntp"},     {"Unknown TCP", "unknown", NULL},
        {"DNS", "services", "dns-tcp"},
    };
    (void)ctx;
    return label_text[label % LABELS];
}

static inline void random_flow(struct kt_flow_record *r, uint64_t *seed, uint64_t id, int64_t first)
{
    memset(r, 0, sizeof *r);
    r->id = id;
    r->first = first;
    r->last = first + (int64_t)(rnd(seed) >> (rnd(seed) % 40 + 24));
    struct kt_key *k = &r->key;
    k->ip = rnd(seed) % 10 ? 4 : 6;
    k->proto = rnd(seed) % 20 == 0 ? (uint8_t)rnd(seed) : rnd(seed) % 2 ? 6 : 17;
    for (unsigned s = 0; s < 2; s++) {
        for (unsigned i = 0; i < (k->ip == 4 ? 4u : 16u); i++)
            k->addr[s][i] = (uint8_t)rnd(seed);
        k->port[s] = (uint16_t)rnd(seed);
        k->vlan[s] = rnd(seed) % 4 ? 0 : rnd(seed) % 4096;
        r->packets[s] = rnd_any(seed);
        r->bytes[s] = rnd_any(seed);
        r->payload[s] = rnd_any(seed);
        r->retransmits[s] = (uint32_t)rnd_any(seed);
        r->tcp_flags[s] = (uint8_t)rnd(seed);
        struct kt_first *f = &r->seen.dir[s];
        f->len = (uint32_t)rnd_any(seed);
        f->captured = (uint8_t)(rnd(seed) % (KT_IDENT_HEAD + 1));
        for (unsigned i = 0; i < f->captured; i++)
            f->head[i] = rnd(seed) % 3 ? 0 : (uint8_t)rnd(seed);
        if (k->ip == 4)
            r->seen.ip4[s] = kt_be32(k->addr[s]);
    }
    k->tunnel = rnd(seed) % 4 ? 0 : (uint16_t)rnd(seed);
    r->seen.proto = k->proto;
    r->seen.ip = k->ip;
    r->seen.client = k->port[0];
    r->seen.server = k->port[1];
    if (rnd(seed) % 8 == 0) { /* by which label is not kept */
        r->seen.announced = 1;
        r->announcer.packet = rnd(seed) >> 1;
        r->announcer.flow = rnd(seed) % 4 ? rnd(seed) >> 1 : KT_FLOW_NONE;
    }
    r->rtt_us = (uint32_t)rnd_any(seed);
    r->verdict.label = rnd(seed) % LABELS;
    r->verdict.confidence = rnd(seed) % 101;
    r->verdict.accept = (uint16_t)rnd_any(seed);
    r->end = 1 + rnd(seed) % 5;
    r->flags = rnd(seed) % 16;
    r->iface = (uint16_t)rnd_any(seed);
    if (rnd(seed) % 3 == 0) {
        r->name_kind = 1 + rnd(seed) % 3;
        r->name_len = (uint8_t)(rnd(seed) % (KT_NAME_MAX + 1));
        for (unsigned i = 0; i < r->name_len; i++)
            r->name[i] = (char)('a' + rnd(seed) % 26);
    }
}

#endif
