/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * What pcapng_blocks.c (describing blocks) and pcapng.c (packets) share.
 */
#ifndef KOTARE_TRACE_PCAPNG_H
#define KOTARE_TRACE_PCAPNG_H

#include "internal.h"

enum {
    KT_NG_SECTION = 0x0a0d0d0a,
    KT_NG_INTERFACE = 1,
    KT_NG_PACKET_OLD = 2,
    KT_NG_SIMPLE = 3,
    KT_NG_STATISTICS = 5,
    KT_NG_ENHANCED = 6,
};

struct kt_ng_interface {
    uint32_t link;
    uint32_t snaplen;
    uint8_t resolution; /* as in the option: a power of ten, or of two with the top bit */
    uint8_t fcs;        /* bytes of check sequence that the lengths count */
    int64_t offset;     /* seconds */
    uint64_t lost_nic, lost_ring;
};

struct kt_ng {
    bool big;
    struct kt_ng_interface *interface; /* of the section */
    uint32_t n, cap;
    uint32_t first; /* interfaces of the sections before */
    int64_t last_ts;
    uint64_t lost_nic, lost_ring; /* for other threads */
};

static inline uint32_t kt_ng_u32(const struct kt_ng *g, const uint8_t *at)
{
    return g->big ? kt_be32(at) : kt_le32(at);
}
static inline uint16_t kt_ng_u16(const struct kt_ng *g, const uint8_t *at)
{
    return g->big ? kt_be16(at) : kt_le16(at);
}

/* The value of an option among the `len` bytes at `from`, when it has at least `size` bytes. */
const uint8_t *kt_ng_option(const struct kt_ng *g, const uint8_t *from, size_t len, unsigned code,
                            unsigned size);
int64_t kt_ng_time(const struct kt_ng_interface *i, uint64_t ticks);
/* NULL, or what is wrong with the block; `len` bytes of it stand at `body`. */
const char *kt_ng_section(struct kt_ng *g, const uint8_t *block);
const char *kt_ng_describe(struct kt_ng *g, const uint8_t *body, size_t len);
void kt_ng_statistics(struct kt_ng *g, const uint8_t *body, size_t len);

#endif
