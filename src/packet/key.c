/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <kotare/packet.h>

#define K1 UINT64_C(0xa0761d6478bd642f)
#define K2 UINT64_C(0xe7037ed1a0b428db)
#define K3 UINT64_C(0x8ebc6af09c88c6e3)

static inline uint64_t load64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return v;
}

/* The sides are hashed apart and added, so that their order does not matter. All that makes two
 * keys differ goes in, and the seed wherever outsiders could cancel one part by another. */
uint32_t kt_key_hash_seeded(const struct kt_key *k, uint64_t seed)
{
    uint64_t a = load64(k->addr[0]), b = load64(k->addr[1]);
    if (k->ip == 6) {
        a ^= kt_mix64(load64(k->addr[0] + 8) ^ K2 ^ seed, K3 ^ seed);
        b ^= kt_mix64(load64(k->addr[1] + 8) ^ K2 ^ seed, K3 ^ seed);
    }
    a = kt_mix64(a ^ K1 ^ seed, K2 ^ seed ^ k->port[0]);
    b = kt_mix64(b ^ K1 ^ seed, K2 ^ seed ^ k->port[1]);
    uint64_t rest = (uint64_t)k->vlan[0] << 48 | (uint64_t)k->vlan[1] << 32 |
                    (uint64_t)k->tunnel << 16 | k->proto;
    uint64_t h = kt_mix64((a + b) ^ K1, rest ^ K3 ^ seed);
    uint32_t folded = (uint32_t)(h ^ h >> 32);
    return folded ? folded : 1;
}

uint64_t kt_datagram(const struct kt_key *k, uint32_t frag_id)
{
    struct kt_key id = *k;
    id.port[0] = id.port[1] = 0;
    return kt_hash(&id, sizeof id, frag_id);
}

void kt_key_reverse(struct kt_key *k)
{
    uint8_t addr[16];
    memcpy(addr, k->addr[0], 16);
    memcpy(k->addr[0], k->addr[1], 16);
    memcpy(k->addr[1], addr, 16);
    uint16_t port = k->port[0];
    k->port[0] = k->port[1];
    k->port[1] = port;
}

bool kt_key_equal(const struct kt_key *a, const struct kt_key *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}
