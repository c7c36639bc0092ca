/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "chunk.h"
#include <lz4.h>
#include <stdlib.h>

enum { FORMAT = 1, HEAD = 6, ENTRY = 8 };

int kt_chunk_init(struct kt_chunk *c, uint32_t cap, unsigned ints, unsigned plain,
                  const unsigned *widths)
{
    *c = (struct kt_chunk){.ints = ints, .plain = plain};
    size_t size =
        (size_t)ints * (cap * 9 + 8); /* a length, 8 bytes; and 8 bytes are stored at once */
    for (unsigned i = 0; i < plain; i++)
        size += (size_t)widths[i] * cap;
    c->memory = malloc(size);
    if (!c->memory)
        return KT_ENOMEM;
    uint8_t *at = c->memory;
    for (unsigned i = 0; i < ints + plain; i++) {
        if (i < ints) {
            c->column[i].length = at;
            at += cap;
        }
        c->column[i].data = at;
        at += i < ints ? (size_t)cap * 8 + 8 : (size_t)widths[i - ints] * cap;
    }
    kt_chunk_reset(c);
    return KT_OK;
}

void kt_chunk_fini(struct kt_chunk *c)
{
    free(c->memory);
    *c = (struct kt_chunk){0};
}

void kt_chunk_reset(struct kt_chunk *c)
{
    c->rows = 0;
    for (unsigned i = 0; i < c->ints + c->plain; i++)
        c->column[i].at = c->column[i].data;
}

static void put32(uint8_t *p, uint32_t v)
{
    for (unsigned i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> 8 * i);
}

static void write_lengths(const struct kt_chunk *c, unsigned column, uint8_t *to)
{
    const uint8_t *len = c->column[column].length;
    uint32_t i = 0;
    for (; i + 1 < c->rows; i += 2)
        *to++ = (uint8_t)(len[i] | len[i + 1] << 4);
    if (i < c->rows)
        *to = len[i];
}

/* The bytes of a plain column, packed where that saves something. Returns the stored size. */
static size_t write_plain(const struct kt_chunk *c, unsigned column, uint8_t *to)
{
    const struct kt_chunk_column *col = &c->column[column];
    size_t len = (size_t)(col->at - col->data);
    if (c->pack && len > 64) {
        int n = LZ4_compress_fast((const char *)col->data, (char *)to, (int)len,
                                  (int)(len - len / 16), 2);
        if (n > 0)
            return (size_t)n;
    }
    memcpy(to, col->data, len);
    return len;
}

int kt_chunk_write(const struct kt_chunk *c, struct kt_buf *out)
{
    unsigned columns = c->ints + c->plain;
    size_t lengths = (c->rows + 1) / 2, most = HEAD + (size_t)columns * ENTRY;
    for (unsigned i = 0; i < columns; i++)
        most += (size_t)(c->column[i].at - c->column[i].data) + (i < c->ints ? lengths : 0);
    uint8_t *head = kt_buf_room(out, most);
    if (!head)
        return KT_ENOMEM;
    head[0] = FORMAT;
    head[1] = (uint8_t)columns;
    put32(head + 2, c->rows);
    uint8_t *entry = head + HEAD, *at = entry + (size_t)columns * ENTRY;
    for (unsigned i = 0; i < columns; i++, entry += ENTRY) {
        size_t len = (size_t)(c->column[i].at - c->column[i].data), stored;
        if (i < c->ints) {
            write_lengths(c, i, at);
            memcpy(at + lengths, c->column[i].data, len);
            stored = len += lengths;
        } else {
            stored = write_plain(c, i, at);
        }
        put32(entry, (uint32_t)stored);
        put32(entry + 4, (uint32_t)len);
        at += stored;
    }
    out->len += (size_t)(at - head);
    return KT_OK;
}

/* Sets up one column. `most` bounds what a hostile length can make us allocate. */
static int read_column(struct kt_chunk_in *in, unsigned i, const uint8_t *data, size_t stored,
                       size_t len, bool ints)
{
    enum { MOST = KT_CHUNK_ROWS * 256 };
    if (stored != len) {
        if (ints || len > MOST || stored > len || !(in->unpacked[i] = malloc(len)))
            return KT_EFORMAT;
        int n =
            LZ4_decompress_safe((const char *)data, (char *)in->unpacked[i], (int)stored, (int)len);
        if (n < 0 || (size_t)n != len)
            return KT_EFORMAT;
        data = in->unpacked[i];
    }
    in->column[i].at = data;
    in->column[i].end = data + len;
    if (ints) {
        size_t lengths = (in->rows + 1) / 2;
        if (len < lengths)
            return KT_EFORMAT;
        in->column[i].length = data;
        in->column[i].at += lengths;
    }
    return KT_OK;
}

int kt_chunk_read(struct kt_chunk_in *in, const void *blob, size_t len, unsigned ints,
                  unsigned plain)
{
    *in = (struct kt_chunk_in){0};
    struct kt_cursor c = kt_cursor(blob, len);
    const uint8_t *head = kt_cursor_take(&c, HEAD);
    const uint8_t *entry = kt_cursor_take(&c, (size_t)(ints + plain) * ENTRY);
    if (c.bad || head[0] != FORMAT || head[1] != ints + plain ||
        (in->rows = kt_le32(head + 2)) > KT_CHUNK_ROWS)
        return KT_EFORMAT;
    for (unsigned i = 0; i < ints + plain; i++, entry += ENTRY) {
        size_t stored = kt_le32(entry);
        const uint8_t *data = kt_cursor_take(&c, stored);
        if (!data || read_column(in, i, data, stored, kt_le32(entry + 4), i < ints) < 0) {
            kt_chunk_in_fini(in);
            return KT_EFORMAT;
        }
    }
    return KT_OK;
}

void kt_chunk_in_fini(struct kt_chunk_in *in)
{
    for (unsigned i = 0; i < KT_CHUNK_COLUMNS; i++)
        free(in->unpacked[i]);
    *in = (struct kt_chunk_in){.bad = true};
}
