/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * What one way of packing implements: one file in this folder, one line in codecs.c.
 */
#ifndef KOTARE_IO_CODEC_H
#define KOTARE_IO_CODEC_H

#include <kotare/base.h>

#define KT_CODEC_HEAD 8 /* bytes that probe() gets to see, fewer when the file is shorter */

/* What goes through one step: packed bytes to take from, room to fill. Both are advanced. */
struct kt_codec_io {
    const uint8_t *in;
    size_t in_len;
    uint8_t *out;
    size_t out_len;
    const char *reason; /* why a step failed, a constant */
};

struct kt_codec {
    const char *name;
    bool (*probe)(const uint8_t *head, size_t len);
    void *(*open)(void); /* NULL: no memory */
    /* Unpacks as far as input and room reach. KT_OK: wants more of either; KT_END: a member is
     * complete, the next step begins another; or a negative code with io->reason. */
    int (*step)(void *state, struct kt_codec_io *io);
    void (*close)(void *state);
};

extern const struct kt_codec kt_codec_gzip, kt_codec_zstd, kt_codec_lz4, kt_codec_bzip2,
    kt_codec_xz;

/* The codec that a file with these first bytes is packed with, NULL: none. */
const struct kt_codec *kt_codec_find(const uint8_t *head, size_t len);

#endif
