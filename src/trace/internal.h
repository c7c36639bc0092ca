/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef KOTARE_TRACE_INTERNAL_H
#define KOTARE_TRACE_INTERNAL_H

#include <kotare/io.h>
#include <kotare/trace.h>

/* ---- pool.c: blocks of memory that packets lie in ---- */

#define KT_BLOCK_SIZE ((size_t)256 << 10)

struct kt_pool;
/* At most `limit` blocks are out at a time: kt_pool_take() waits for one to come back. */
struct kt_pool *kt_pool_new(unsigned limit);
/* A block of `size` bytes at least, held once, or NULL without memory. */
struct kt_block *kt_pool_take(struct kt_pool *p, size_t size);
/* Blocks that are still held stay good; the pool goes with the last one. */
void kt_pool_free(struct kt_pool *p);

/* ---- window.c: a stretch of a file in one block, for formats made of records ---- */

struct kt_window {
    struct kt_reader *reader;
    struct kt_pool *pool;
    struct kt_block *block;
    size_t at, end;        /* what is left of the block */
    uint64_t offset;       /* in the unpacked file, of the block's first byte */
    bool over;             /* nothing comes after the block */
    struct kt_error fault; /* what ended the file early; told once the good bytes are used up */
};

int kt_window_init(struct kt_window *w, struct kt_reader *reader, unsigned blocks,
                   struct kt_error *err);
void kt_window_fini(struct kt_window *w);
/* Makes `need` bytes stand at w->at, in a new block when packets of the old one are still held.
 * KT_OK; KT_END at the very end; KT_ETRUNCATED or the reader's fault, with a sentence, when fewer
 * are to be had. Earlier batches lose their block to this. */
int kt_window_need(struct kt_window *w, size_t need, struct kt_error *err);
/* Steps over n bytes, however many: KT_OK, KT_END when fewer come, or the reader's fault. */
int kt_window_skip(struct kt_window *w, uint64_t n, struct kt_error *err);
/* "FILE: at byte N: reason", N being where the window stands. Returns code. */
int kt_window_fail(const struct kt_window *w, int code, struct kt_error *err, const char *format,
                   ...) KT_PRINTF(4, 5);

static inline const uint8_t *kt_window_here(const struct kt_window *w)
{
    return w->block->data + w->at;
}
static inline size_t kt_window_left(const struct kt_window *w)
{
    return w->end - w->at;
}
static inline uint64_t kt_window_offset(const struct kt_window *w)
{
    return w->offset + w->at;
}

/* ---- filter.c: BPF over files, one program a link type ---- */

struct kt_filter;
struct kt_source;
int kt_filter_new(struct kt_source *s, const char *expression, struct kt_error *err);
/* Keeps the packets that match. KT_EINVAL: the expression makes no sense on a link type. */
int kt_filter_batch(struct kt_source *s, struct kt_batch *batch, struct kt_error *err);
void kt_filter_free(struct kt_filter *f);

struct kt_source {
    const struct kt_source_ops *ops;
    char name[512];           /* the URI, or "standard input" */
    struct kt_reader *reader; /* files: opened by the core, which looked for the format */
    struct kt_window window;  /* files: stands at the first byte when the format is opened */
    uint64_t seq;
    uint64_t received, filtered;
    struct kt_filter *filter; /* files: may be NULL */
    void *own;                /* the format's */
};

/* A packet longer than this is a fault of the file: the largest frame of any kernel with
 * segmentation offload is 512 KiB. */
#define KT_PACKET_MAX ((uint32_t)16 << 20)

/* What a source sets, and a clean slate for what is read before it is decoded. */
static inline void kt_packet_set(struct kt_packet *p, const uint8_t *data, int64_t ts,
                                 uint32_t caplen, uint32_t wirelen, uint16_t link)
{
    p->data = data;
    p->ts = ts;
    p->caplen = caplen;
    p->wirelen = wirelen;
    p->link = link;
    p->iface = 0;
    p->flags = 0;
    p->hash = 0;
}

/* KT_EUNSUPPORTED: the window stands at what has packets of a link type not known here. */
int kt_link_fail(const struct kt_window *w, unsigned link, struct kt_error *err);

extern const struct kt_source_ops kt_source_pcap;
extern const struct kt_source_ops kt_source_pcapng;
extern const struct kt_source_ops kt_source_ring;

#endif
