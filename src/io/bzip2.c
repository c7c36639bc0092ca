/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "io/codec.h"
#include <bzlib.h>
#include <stdlib.h>

static bool bzip2_probe(const uint8_t *head, size_t len)
{
    return len >= 4 && memcmp(head, "BZh", 3) == 0 && head[3] >= '1' && head[3] <= '9';
}

static void *bzip2_open(void)
{
    bz_stream *s = calloc(1, sizeof *s);
    if (s && BZ2_bzDecompressInit(s, 0, 0) != BZ_OK) {
        free(s);
        return NULL;
    }
    return s;
}

static int bzip2_step(void *state, struct kt_codec_io *io)
{
    bz_stream *s = state;
    s->next_in = (char *)(uintptr_t)io->in;
    s->avail_in = (unsigned)io->in_len;
    s->next_out = (char *)io->out;
    s->avail_out = (unsigned)io->out_len;
    int rc = BZ2_bzDecompress(s);
    io->in = (const uint8_t *)s->next_in;
    io->in_len = s->avail_in;
    io->out = (uint8_t *)s->next_out;
    io->out_len = s->avail_out;
    switch (rc) {
    case BZ_OK:
        return KT_OK;
    case BZ_STREAM_END: /* has no reset: begin anew */
        BZ2_bzDecompressEnd(s);
        *s = (bz_stream){0};
        if (BZ2_bzDecompressInit(s, 0, 0) == BZ_OK)
            return KT_END;
        /* fall through */
    case BZ_MEM_ERROR:
        io->reason = "no memory to unpack bzip2 data";
        return KT_ENOMEM;
    default:
        io->reason = "the bzip2 data is corrupt";
        return KT_EFORMAT;
    }
}

static void bzip2_close(void *state)
{
    BZ2_bzDecompressEnd(state);
    free(state);
}

const struct kt_codec kt_codec_bzip2 = {
    .name = "bzip2",
    .probe = bzip2_probe,
    .open = bzip2_open,
    .step = bzip2_step,
    .close = bzip2_close,
};
