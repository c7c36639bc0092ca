/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "io/codec.h"

static const struct kt_codec *const codecs[] = {
    &kt_codec_gzip, &kt_codec_zstd, &kt_codec_lz4, &kt_codec_bzip2, &kt_codec_xz,
};

const struct kt_codec *kt_codec_find(const uint8_t *head, size_t len)
{
    for (size_t i = 0; i < KT_ARRAY_LEN(codecs); i++)
        if (codecs[i]->probe(head, len))
            return codecs[i];
    return NULL;
}
