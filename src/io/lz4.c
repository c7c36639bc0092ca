/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "io/codec.h"
#include <lz4frame.h>

static bool lz4_probe(const uint8_t *head, size_t len)
{
    return len >= 4 && kt_le32(head) == 0x184d2204;
}

static void *lz4_open(void)
{
    LZ4F_dctx *d;
    return LZ4F_isError(LZ4F_createDecompressionContext(&d, LZ4F_VERSION)) ? NULL : d;
}

static int lz4_step(void *state, struct kt_codec_io *io)
{
    size_t in = io->in_len, out = io->out_len;
    size_t rc = LZ4F_decompress(state, io->out, &out, io->in, &in, NULL);
    if (LZ4F_isError(rc)) {
        io->reason = strstr(LZ4F_getErrorName(rc), "hecksum")
                         ? "a checksum of the lz4 data does not match it"
                         : "the lz4 data is corrupt";
        return KT_EFORMAT;
    }
    io->in += in;
    io->in_len -= in;
    io->out += out;
    io->out_len -= out;
    return rc == 0 ? KT_END : KT_OK;
}

static void lz4_close(void *state)
{
    LZ4F_freeDecompressionContext(state);
}

const struct kt_codec kt_codec_lz4 = {
    .name = "lz4",
    .probe = lz4_probe,
    .open = lz4_open,
    .step = lz4_step,
    .close = lz4_close,
};
