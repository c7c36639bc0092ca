/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * What the two halves of a reader share: the file itself, and the thread that unpacks it.
 */
#ifndef KOTARE_IO_READER_H
#define KOTARE_IO_READER_H

#include "io/codec.h"
#include <kotare/io.h>

struct kt_unpack;

struct kt_reader {
    int fd;
    int wake[2];                /* a pipe: closing its writing end ends a wait for more input */
    const struct kt_flag *stop; /* ends it too; may be NULL */
    bool regular;               /* a file on disk: reads of it never wait */
    char *name;
    const struct kt_codec *codec; /* NULL: plain */
    struct kt_unpack *unpack;     /* NULL: plain */
    uint64_t done, total;         /* done is read by other threads */
    uint8_t head[KT_CODEC_HEAD];  /* read to tell the codec, and still to be delivered */
    size_t head_len, head_at;
};

/* Bytes as they lie in the file: at least one, 0 at the end, or a negative code. */
ssize_t kt_reader_raw(struct kt_reader *r, void *buf, size_t len, struct kt_error *err);

int kt_unpack_start(struct kt_unpack **unpack, struct kt_reader *r, struct kt_error *err);
ssize_t kt_unpack_read(struct kt_unpack *u, void *buf, size_t len, struct kt_error *err);
/* The thread must not be waiting for input any more. */
void kt_unpack_stop(struct kt_unpack *u);

#endif
