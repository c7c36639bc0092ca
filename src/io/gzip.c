/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "io/codec.h"
#include <isa-l/igzip_lib.h>
#include <stdlib.h>

static bool gzip_probe(const uint8_t *head, size_t len)
{
    return len >= 3 && head[0] == 0x1f && head[1] == 0x8b && head[2] == 8;
}

static void gzip_reset(struct inflate_state *s)
{
    isal_inflate_reset(s);
    s->crc_flag = ISAL_GZIP; /* reads the header and checks CRC and length behind the data */
}

static void *gzip_open(void)
{
    struct inflate_state *s = malloc(sizeof *s);
    if (s) {
        isal_inflate_init(s);
        gzip_reset(s);
    }
    return s;
}

static const char *gzip_reason(int rc)
{
    switch (rc) {
    case ISAL_INCORRECT_CHECKSUM:
        return "the checksum behind the gzip data does not match it";
    case ISAL_INVALID_WRAPPER:
    case ISAL_UNSUPPORTED_METHOD:
        return "the gzip header is not valid";
    default:
        return "the gzip data is corrupt";
    }
}

/* ISA-L counts a copy from too far back as done, though it wrote nothing: what lies there is old
 * memory. How long the copy was it does not say, but no copy is longer than this (RFC 1951). */
static void take_back(struct kt_codec_io *io, size_t made)
{
    size_t most = made < 258 ? made : 258;
    io->out -= most;
    io->out_len += most;
}

static int gzip_step(void *state, struct kt_codec_io *io)
{
    struct inflate_state *s = state;
    size_t room = io->out_len;
    s->next_in = (uint8_t *)(uintptr_t)io->in;
    s->avail_in = (uint32_t)io->in_len;
    s->next_out = io->out;
    s->avail_out = (uint32_t)io->out_len;
    int rc = isal_inflate(s);
    io->in = s->next_in;
    io->in_len = s->avail_in;
    io->out = s->next_out;
    io->out_len = s->avail_out;
    if (rc < 0) {
        if (rc == ISAL_INVALID_LOOKBACK)
            take_back(io, room - io->out_len);
        io->reason = gzip_reason(rc);
        return KT_EFORMAT;
    }
    if (s->block_state != ISAL_BLOCK_FINISH)
        return KT_OK;
    gzip_reset(s);
    return KT_END;
}

const struct kt_codec kt_codec_gzip = {
    .name = "gzip",
    .probe = gzip_probe,
    .open = gzip_open,
    .step = gzip_step,
    .close = free,
};
