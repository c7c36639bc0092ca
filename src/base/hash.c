/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <kotare/base.h>
#include <sys/random.h>

uint64_t kt_hash(const void *data, size_t len, uint64_t seed)
{
    const uint8_t *p = data;
    uint64_t h = seed ^ (len * UINT64_C(0x9e3779b97f4a7c15));
    while (len >= 8) {
        uint64_t w;
        memcpy(&w, p, 8);
        h = kt_mix64(h ^ w, UINT64_C(0xe7037ed1a0b428db));
        p += 8;
        len -= 8;
    }
    uint64_t tail = 0;
    if (len)
        memcpy(&tail, p, len);
    h = kt_mix64(h ^ tail, UINT64_C(0xa0761d6478bd642f));
    return kt_mix64(h, UINT64_C(0x8ebc6af09c88c6e3));
}

uint64_t kt_random_seed(void)
{
    uint64_t seed;
    if (getrandom(&seed, sizeof seed, 0) != sizeof seed)
        seed = (uint64_t)kt_now();
    return seed;
}
