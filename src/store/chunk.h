/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * A chunk: some thousand rows of a table, column by column, in one blob.
 *
 *     format u8 (1) · columns u8 · rows u32 · per column: stored u32, length u32 · the columns
 *
 * (little endian). Columns of integers come first: the byte length of each value in a nibble (0 for
 * zero), then the values' low bytes one behind the other. That packs small numbers as well as a
 * varint does, and neither writing nor reading branches on the value. The others are plain bytes
 * whose lengths stand in columns of integers. A column whose stored size differs from its length is
 * an LZ4 block. A decoder checks every length: a blob may hold anything.
 */
#ifndef KT_STORE_CHUNK_H
#define KT_STORE_CHUNK_H

#include <kotare/base.h>

#define KT_CHUNK_COLUMNS 40
#define KT_CHUNK_ROWS 8192 /* at most */

struct kt_chunk_column {
    uint8_t *length; /* integers: bytes of each value */
    uint8_t *data, *at;
};

/* A chunk that is being written: rows 0 … rows-1 of `ints` integer columns and `plain` byte
 * columns. */
struct kt_chunk {
    unsigned ints, plain;
    bool pack; /* byte columns through LZ4 */
    uint32_t rows;
    struct kt_chunk_column column[KT_CHUNK_COLUMNS];
    uint8_t *memory;
};

/* Room for `cap` rows; widths[] tells the most bytes a row puts into each byte column. */
KT_MUST_USE int kt_chunk_init(struct kt_chunk *c, uint32_t cap, unsigned ints, unsigned plain,
                              const unsigned *widths);
void kt_chunk_fini(struct kt_chunk *c);
void kt_chunk_reset(struct kt_chunk *c);
/* Appends the blob to out. */
KT_MUST_USE int kt_chunk_write(const struct kt_chunk *c, struct kt_buf *out);

static inline uint64_t kt_le64_swap(uint64_t v)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return v;
#else
    return __builtin_bswap64(v);
#endif
}

static inline uint64_t kt_zigzag(int64_t v)
{
    return (uint64_t)v << 1 ^ (uint64_t)(v >> 63);
}

static inline int64_t kt_unzigzag(uint64_t v)
{
    return (int64_t)(v >> 1 ^ (0 - (v & 1)));
}

/* One integer into the row that is being written. */
static inline void kt_chunk_put(struct kt_chunk *c, unsigned column, uint64_t v)
{
    struct kt_chunk_column *col = &c->column[column];
    unsigned n = (unsigned)(71 - __builtin_clzll(v | 1)) >> 3;
    n -= v == 0;
    uint64_t le = kt_le64_swap(v);
    memcpy(col->at, &le, 8);
    col->at += n;
    col->length[c->rows] = (uint8_t)n;
}

static inline void kt_chunk_put_bytes(struct kt_chunk *c, unsigned column, const void *data,
                                      size_t len)
{
    struct kt_chunk_column *col = &c->column[column];
    memcpy(col->at, data, len);
    col->at += len;
}

/* A chunk that is being read. */
struct kt_chunk_in {
    uint32_t rows, row; /* kt_chunk_get() reads row `row` */
    bool bad;
    struct {
        const uint8_t *length; /* two lengths a byte */
        const uint8_t *at, *end;
    } column[KT_CHUNK_COLUMNS];
    uint8_t *unpacked[KT_CHUNK_COLUMNS]; /* LZ4 columns */
};

/* The blob must outlive the reader. KT_EFORMAT for anything else than `ints` and `plain` columns
 * of sane size. */
KT_MUST_USE int kt_chunk_read(struct kt_chunk_in *in, const void *blob, size_t len, unsigned ints,
                              unsigned plain);
void kt_chunk_in_fini(struct kt_chunk_in *in);

static inline uint64_t kt_chunk_get(struct kt_chunk_in *in, unsigned column)
{
    unsigned n = in->column[column].length[in->row >> 1] >> (in->row & 1) * 4 & 15;
    const uint8_t *at = in->column[column].at;
    size_t left = (size_t)(in->column[column].end - at);
    if (KT_UNLIKELY(n > 8 || n > left)) {
        in->bad = true;
        return 0;
    }
    uint64_t v = 0;
    in->column[column].at = at + n;
    if (KT_LIKELY(left >= 8)) {
        memcpy(&v, at, 8);
        v = kt_le64_swap(v);
        return n ? v & UINT64_MAX >> (64 - 8 * n) : 0;
    }
    for (unsigned i = 0; i < n; i++)
        v |= (uint64_t)at[i] << 8 * i;
    return v;
}

/* The next n bytes of a byte column, or NULL (and bad). */
static inline const uint8_t *kt_chunk_get_bytes(struct kt_chunk_in *in, unsigned column, size_t n)
{
    const uint8_t *at = in->column[column].at;
    if (KT_UNLIKELY((size_t)(in->column[column].end - at) < n)) {
        in->bad = true;
        return NULL;
    }
    in->column[column].at = at + n;
    return at;
}

#endif
