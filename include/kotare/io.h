/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * io: byte streams. A reader gives the plain bytes of a file, a pipe or standard input ("-"),
 * whatever they are packed with: gzip, bzip2, xz, zstd and lz4 are told by their magic bytes,
 * also when several members follow each other.
 *
 *     struct kt_reader *in;
 *     if (kt_reader_open(&in, "day.pcap.zst", &err) < 0) …
 *     while ((n = kt_reader_read(in, buf, sizeof buf, &err)) > 0) …   // buf is the caller's
 *     if (n < 0) …                                                    // err says what and where
 *     kt_reader_close(in);
 *
 * Ownership: bytes are copied into the caller's buffer; the reader is the caller's until it is
 * closed.
 *
 * Thread rule: one thread at a time, but kt_reader_progress(), which any may call. Packed input is
 * unpacked by a thread of the reader's own, which runs at most 1 MiB ahead.
 *
 * Errors: the system's (KT_EIO, KT_ENOTFOUND, KT_EPERM, …) with its reason; KT_EFORMAT and
 * KT_ETRUNCATED for packed bytes, with the place in the packed file. What could be read before a
 * fault is delivered first.
 *
 * Each codec is one file in src/io and one line in its table. Sources: gzip, RFC 1952; zstd, RFC
 * 8878; the LZ4 frame format; the .xz file format; bzip2.
 */
#ifndef KOTARE_IO_H
#define KOTARE_IO_H

#include <kotare/base.h>
#include <sys/types.h>

struct kt_reader;

KT_MUST_USE int kt_reader_open(struct kt_reader **reader, const char *path, struct kt_error *err);
/* The same, but once `stop` is set, also by a signal handler, a wait for more from a pipe ends as
 * if the input did. The flag must outlive the reader; it may be NULL. */
KT_MUST_USE int kt_reader_open_until(struct kt_reader **reader, const char *path,
                                     const struct kt_flag *stop, struct kt_error *err);
/* Fills up to `len` bytes. Returns how many (fewer only at the end or before a fault), 0 at the
 * end, or a negative code. What could be read before a fault is delivered first. */
KT_MUST_USE ssize_t kt_reader_read(struct kt_reader *r, void *buf, size_t len,
                                   struct kt_error *err);
/* The same, but returns as soon as there is anything: for what is written while it is read. */
KT_MUST_USE ssize_t kt_reader_read_some(struct kt_reader *r, void *buf, size_t len,
                                        struct kt_error *err);
/* Bytes consumed from the file so far (packed), and the file's size or 0: for a progress bar.
 * May be called from another thread. */
void kt_reader_progress(const struct kt_reader *r, uint64_t *done, uint64_t *total);
/* What messages call a path: itself, or "standard input". */
const char *kt_input_name(const char *path);
/* "plain", "gzip", … */
const char *kt_reader_codec(const struct kt_reader *r);
const char *kt_reader_name(const struct kt_reader *r);
void kt_reader_close(struct kt_reader *r);

#endif
