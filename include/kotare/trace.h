/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * trace: where packets come from. A source is named by a URI "format:what" (pcapfile:FILE,
 * pcapng:FILE, ring:INTERFACE); a bare path is recognised by its first bytes, and a bare name that
 * is no file but an interface is captured from. "-" is standard input.
 *
 *     struct kt_source *src;
 *     struct kt_packet pkts[KT_BATCH];
 *     struct kt_batch batch = {.packet = pkts};
 *     if (kt_source_open(&src, registry, "day.pcap.gz", NULL, &err) < 0) …
 *     while ((rc = kt_source_read(src, &batch, &err)) == KT_OK)
 *         for (unsigned i = 0; i < batch.n; i++) …
 *     kt_source_close(src);
 *
 * Ownership: packets come in batches; their bytes lie in a block of the source. They stay valid
 * until the next kt_source_read() on the same source, or, if kt_block_hold() was called on
 * batch.block, until the matching kt_block_release(). Who holds blocks says so when opening
 * (`blocks`): a source waits for one to come back rather than take more memory. Held blocks outlive
 * kt_source_close().
 *
 * Thread rule: one thread reads a source at a time; any may ask kt_source_stats() and release.
 *
 * Errors: "FILE: at byte N: REASON". KT_EUNSUPPORTED: no format or no link type known here;
 * KT_EFORMAT, KT_ETRUNCATED: the file is damaged or cut, after what was good was delivered;
 * KT_ENOTFOUND, KT_EPERM, KT_EIO from the system.
 *
 * Sources: pcap (draft-ietf-opsawg-pcap) and pcapng (draft-ietf-opsawg-pcapng); packet_mmap in the
 * documentation of Linux.
 */
#ifndef KOTARE_TRACE_H
#define KOTARE_TRACE_H

#include <kotare/packet.h>

#define KT_BATCH 256 /* packets in a batch at most */

struct kt_source;

/* A stretch of memory that packets lie in, counted by who still needs it. */
struct kt_block {
    int refs;
    uint8_t *data;
    size_t size;
    void (*recycle)(struct kt_block *); /* called by the last release; may be NULL */
    void *owner;
};

void kt_block_hold(struct kt_block *b);
void kt_block_release(struct kt_block *b);

struct kt_batch {
    struct kt_packet *packet; /* the caller's array of KT_BATCH */
    unsigned n;
    struct kt_block *block; /* where all of them lie; the source holds it until its next read */
};

/* A loss ledger: every packet that was offered stands in exactly one line. */
struct kt_trace_stats {
    uint64_t received;                /* delivered to the caller */
    uint64_t filtered;                /* rejected by a filter */
    uint64_t lost_nic;                /* dropped by the interface */
    uint64_t lost_ring;               /* dropped by the kernel: its ring was full */
    uint64_t bytes_done, bytes_total; /* of the file as packed; 0 for a live source */
};

struct kt_source_options {
    unsigned blocks; /* blocks the source may have under way; 0: 2 (a caller that holds none) */
    const struct kt_flag
        *stop;          /* files: when set, a wait for more ends as the file would; or NULL */
    unsigned streams;   /* live: rings in one fanout group, 0 or 1: one */
    unsigned stream;    /* live: which of them this source is */
    int fanout;         /* live: the group's id, the same for all of its rings */
    unsigned snaplen;   /* live: bytes kept a packet, 0: all */
    int wake;           /* live: a descriptor that ends waiting when it is readable; 0: none */
    const char *filter; /* a BPF expression (pcap-filter(7)), may be NULL */
};

enum kt_source_flag {
    KT_SOURCE_LIVE = 1, /* time is the wall clock's; ends only when told to */
};

/* What a format or a device implements. One folder or file in src/trace, one line in
 * src/plugins.c. */
struct kt_source_ops {
    const char *name;    /* the URI scheme, "pcapfile" */
    const char *summary; /* one line for --help */
    unsigned flags;
    /* Does a file that starts so belong to this format? NULL for devices. */
    bool (*probe)(const uint8_t *head, size_t len);
    int (*open)(struct kt_source *src, const char *what, const struct kt_source_options *opt,
                struct kt_error *err);
    int (*read)(struct kt_source *src, struct kt_batch *batch, struct kt_error *err);
    void (*stats)(const struct kt_source *src, struct kt_trace_stats *stats); /* any thread */
    void (*close)(struct kt_source *src);
};

/* The tables that name all plug-ins; built in src/plugins.c and handed down. */
struct kt_registry {
    const struct kt_source_ops *const *sources; /* ends with NULL */
};

/* opt may be NULL. On failure *src is NULL. */
KT_MUST_USE int kt_source_open(struct kt_source **src, const struct kt_registry *registry,
                               const char *uri, const struct kt_source_options *opt,
                               struct kt_error *err);
/* KT_OK with batch->n packets (0: a live source had nothing for about 100 ms), KT_END, or a
 * negative code; what was good before a fault has been delivered by earlier calls. */
KT_MUST_USE int kt_source_read(struct kt_source *src, struct kt_batch *batch, struct kt_error *err);
void kt_source_stats(const struct kt_source *src, struct kt_trace_stats *stats);
/* On which of the `streams` rings of a fanout group the packets with this key belong; both
 * directions on the same. The kernel puts nearly all there by itself: it sees through VLANs and one
 * encapsulation, and not together what is fragmented. The rest comes to any of them. */
unsigned kt_fanout_lane(const struct kt_key *key, unsigned streams);
/* Would this URI open a live device? */
bool kt_source_is_live(const struct kt_registry *registry, const char *uri);
/* Bytes of the file that a URI names, packed as it is; 0: no regular file. */
uint64_t kt_source_size(const struct kt_registry *registry, const char *uri);
unsigned kt_source_flags(const struct kt_source *src);
const char *kt_source_name(const struct kt_source *src);   /* the URI, or "standard input" */
const char *kt_source_format(const struct kt_source *src); /* the scheme that was found */
void kt_source_close(struct kt_source *src);

#endif
