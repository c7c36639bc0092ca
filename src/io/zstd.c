/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "io/codec.h"
#include <zstd.h>
#include <zstd_errors.h>

static bool zstd_probe(const uint8_t *head, size_t len)
{
    if (len < 4)
        return false;
    uint32_t magic = kt_le32(head);
    return magic == ZSTD_MAGICNUMBER ||
           (magic & ZSTD_MAGIC_SKIPPABLE_MASK) == ZSTD_MAGIC_SKIPPABLE_START;
}

static void *zstd_open(void)
{
    return ZSTD_createDStream();
}

static int zstd_step(void *state, struct kt_codec_io *io)
{
    ZSTD_inBuffer in = {io->in, io->in_len, 0};
    ZSTD_outBuffer out = {io->out, io->out_len, 0};
    size_t rc = ZSTD_decompressStream(state, &out, &in);
    io->in += in.pos;
    io->in_len -= in.pos;
    io->out += out.pos;
    io->out_len -= out.pos;
    if (!ZSTD_isError(rc))
        return rc == 0 ? KT_END : KT_OK;
    switch (ZSTD_getErrorCode(rc)) {
    case ZSTD_error_checksum_wrong:
        io->reason = "the checksum behind the zstd data does not match it";
        return KT_EFORMAT;
    case ZSTD_error_frameParameter_windowTooLarge:
        io->reason = "the zstd frame needs a window of more than 128 MiB";
        return KT_EUNSUPPORTED;
    case ZSTD_error_dictionary_wrong:
        io->reason = "the zstd frame needs a dictionary";
        return KT_EUNSUPPORTED;
    case ZSTD_error_memory_allocation:
        io->reason = "no memory for the zstd window";
        return KT_ENOMEM;
    default:
        io->reason = "the zstd data is corrupt";
        return KT_EFORMAT;
    }
}

static void zstd_close(void *state)
{
    ZSTD_freeDStream(state);
}

const struct kt_codec kt_codec_zstd = {
    .name = "zstd",
    .probe = zstd_probe,
    .open = zstd_open,
    .step = zstd_step,
    .close = zstd_close,
};
