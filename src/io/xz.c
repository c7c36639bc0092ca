/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "io/codec.h"
#include <lzma.h>
#include <stdlib.h>

#define XZ_MEMORY (UINT64_C(256) << 20) /* xz -9 needs 65 MiB */

static bool xz_probe(const uint8_t *head, size_t len)
{
    return len >= 6 && memcmp(head,
                              "\xfd"
                              "7zXZ",
                              6) == 0;
}

static bool xz_start(lzma_stream *s)
{
    return lzma_stream_decoder(s, XZ_MEMORY, 0) == LZMA_OK;
}

static void *xz_open(void)
{
    lzma_stream *s = malloc(sizeof *s);
    if (!s)
        return NULL;
    *s = (lzma_stream)LZMA_STREAM_INIT;
    if (!xz_start(s)) {
        free(s);
        return NULL;
    }
    return s;
}

static int xz_step(void *state, struct kt_codec_io *io)
{
    lzma_stream *s = state;
    s->next_in = io->in;
    s->avail_in = io->in_len;
    s->next_out = io->out;
    s->avail_out = io->out_len;
    lzma_ret rc = lzma_code(s, LZMA_RUN);
    io->in = s->next_in;
    io->in_len = s->avail_in;
    io->out = s->next_out;
    io->out_len = s->avail_out;
    switch (rc) {
    case LZMA_OK:
    case LZMA_BUF_ERROR: /* no progress: the caller knows what to do */
        return KT_OK;
    case LZMA_STREAM_END:
        if (xz_start(s))
            return KT_END;
        /* fall through */
    case LZMA_MEM_ERROR:
        io->reason = "no memory to unpack xz data";
        return KT_ENOMEM;
    case LZMA_MEMLIMIT_ERROR:
        io->reason = "the xz data needs more than 256 MiB to unpack";
        return KT_EUNSUPPORTED;
    case LZMA_OPTIONS_ERROR:
        io->reason = "the xz data uses options that are not supported";
        return KT_EUNSUPPORTED;
    default:
        io->reason = "the xz data is corrupt";
        return KT_EFORMAT;
    }
}

static void xz_close(void *state)
{
    lzma_end(state);
    free(state);
}

const struct kt_codec kt_codec_xz = {
    .name = "xz",
    .probe = xz_probe,
    .open = xz_open,
    .step = xz_step,
    .close = xz_close,
};
