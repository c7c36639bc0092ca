/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * pcap files: microseconds and nanoseconds, either byte order, and Kuznetzov's variant with a
 * longer record header.
 */
#include "internal.h"
#include <stdlib.h>

#define FILE_HEADER 24
#define MAGIC_US 0xa1b2c3d4u
#define MAGIC_NS 0xa1b23c4du
#define MAGIC_KUZNETZOV 0xa1b2cd34u

struct pcap {
    bool swapped;         /* big-endian */
    bool lengths_swapped; /* the lengths stand the other way round, as before version 2.3 */
    bool lengths_maybe;   /* version 2.3: some writers did, some did not */
    bool kuznetzov;
    uint32_t tick;   /* nanoseconds a unit of the fraction */
    uint32_t header; /* bytes before a packet's data */
    uint32_t fcs;    /* bytes of frame check sequence that the lengths count */
    uint16_t link;
};

static bool is_magic(uint32_t m)
{
    return m == MAGIC_US || m == MAGIC_NS || m == MAGIC_KUZNETZOV;
}

static bool pcap_probe(const uint8_t *head, size_t len)
{
    return len >= 4 && (is_magic(kt_le32(head)) || is_magic(kt_be32(head)));
}

static inline uint32_t get32(const uint8_t *p, bool swapped)
{
    return swapped ? kt_be32(p) : kt_le32(p);
}

static inline uint16_t get16(const uint8_t *p, bool swapped)
{
    return swapped ? kt_be16(p) : kt_le16(p);
}

static int read_version(struct pcap *p, const struct kt_window *w, struct kt_error *err)
{
    const uint8_t *h = kt_window_here(w);
    unsigned major = get16(h + 4, p->swapped), minor = get16(h + 6, p->swapped);
    if (major != 2 && major != 543)
        return kt_window_fail(w, KT_EUNSUPPORTED, err, "pcap version %u.%u is not known", major,
                              minor);
    p->lengths_swapped = major == 543 || minor < 3;
    p->lengths_maybe = major == 2 && minor == 3;
    return KT_OK;
}

static int read_header(struct pcap *p, struct kt_window *w, struct kt_error *err)
{
    int rc = kt_window_need(w, FILE_HEADER, err);
    if (rc == KT_END)
        return kt_window_fail(w, KT_ETRUNCATED, err, "the file is empty");
    const uint8_t *h = kt_window_here(w);
    if (!pcap_probe(h, kt_window_left(w)))
        return kt_window_fail(w, KT_EFORMAT, err, "this is no pcap file");
    if (rc == KT_ETRUNCATED && kt_window_left(w) < FILE_HEADER)
        return kt_window_fail(w, KT_ETRUNCATED, err,
                              "the file ends inside its header: %zu of %u bytes are there",
                              kt_window_left(w), FILE_HEADER);
    if (rc < 0)
        return rc;
    p->swapped = is_magic(kt_be32(h));
    uint32_t magic = get32(h, p->swapped), link = get32(h + 20, p->swapped);
    p->tick = magic == MAGIC_NS ? 1 : 1000;
    p->kuznetzov = magic == MAGIC_KUZNETZOV;
    p->header = p->kuznetzov ? 24 : 16;
    rc = read_version(p, w, err);
    if (rc < 0)
        return rc;
    if (link & 0x04000000)
        p->fcs = (link >> 28) * 2; /* counted in 16-bit words */
    link &= 0x03ffffff;
    if (!kt_link_known(link))
        return kt_link_fail(w, link, err);
    p->link = (uint16_t)link;
    w->at += FILE_HEADER;
    return KT_OK;
}

static int pcap_open(struct kt_source *s, const char *what, const struct kt_source_options *opt,
                     struct kt_error *err)
{
    (void)opt;
    struct pcap *p = s->own = calloc(1, sizeof *p);
    if (!p)
        return kt_fail(err, KT_ENOMEM, 0, "%s: no memory", what);
    return read_header(p, &s->window, err);
}

/* A record's lengths, as the file's version has them. */
static inline void lengths(const struct pcap *p, const uint8_t *h, const bool swapped,
                           uint32_t *caplen, uint32_t *wirelen)
{
    uint32_t first = get32(h + 8, swapped), second = get32(h + 12, swapped);
    bool other = p->lengths_swapped || (p->lengths_maybe && first > second);
    *caplen = KT_UNLIKELY(other) ? second : first;
    *wirelen = KT_UNLIKELY(other) ? first : second;
}

/* Walks the whole records in the window into the batch; the byte order is a constant here. */
static inline __attribute__((always_inline)) void walk(struct kt_source *s, struct kt_batch *batch,
                                                       const bool swapped)
{
    const struct pcap *p = s->own;
    const uint8_t *at = kt_window_here(&s->window), *const end = at + kt_window_left(&s->window);
    const uint32_t header = p->header, tick = p->tick;
    const uint16_t link = p->link;
    unsigned n = 0;
    while (n < KT_BATCH && (size_t)(end - at) >= header) {
        uint32_t caplen, wirelen;
        lengths(p, at, swapped, &caplen, &wirelen);
        if ((size_t)(end - at) - header < caplen)
            break;
        const uint8_t *h = at, *data = at + header;
        at = data + caplen;
        __builtin_prefetch(at + 8);
        __builtin_prefetch(at + 64);
        if (KT_UNLIKELY(caplen > wirelen))
            wirelen = caplen; /* the bytes are there: believe them */
        if (KT_UNLIKELY(p->fcs != 0)) {
            wirelen -= p->fcs < wirelen ? p->fcs : wirelen;
            caplen = caplen < wirelen ? caplen : wirelen;
        }
        int64_t ts = get32(h, swapped) * KT_SECOND + get32(h + 4, swapped) * (int64_t)tick;
        kt_packet_set(&batch->packet[n], data, ts, caplen, wirelen, link);
        if (KT_UNLIKELY(p->kuznetzov && h[22] == 4)) /* PACKET_OUTGOING */
            batch->packet[n].flags = KT_PKT_TX;
        n++;
    }
    s->window.at = s->window.end - (size_t)(end - at);
    batch->n = n;
}

/* Slides on to the record that does not lie whole in the window. */
static int next_record(struct kt_source *s, struct kt_error *err)
{
    const struct pcap *p = s->own;
    struct kt_window *w = &s->window;
    unsigned long long number = s->seq + 1;
    int rc = kt_window_need(w, p->header, err);
    if (rc != KT_OK)
        return rc;
    uint32_t caplen, wirelen;
    lengths(p, kt_window_here(w), p->swapped, &caplen, &wirelen);
    if (caplen > KT_PACKET_MAX)
        return kt_window_fail(w, KT_EFORMAT, err,
                              "packet %llu claims %u bytes, more than any packet has", number,
                              caplen);
    return kt_window_need(w, (size_t)p->header + caplen, err);
}

static int pcap_read(struct kt_source *s, struct kt_batch *batch, struct kt_error *err)
{
    const struct pcap *p = s->own;
    for (;;) {
        if (p->swapped)
            walk(s, batch, true);
        else
            walk(s, batch, false);
        batch->block = s->window.block;
        if (batch->n > 0)
            return KT_OK;
        int rc = next_record(s, err);
        if (rc != KT_OK)
            return rc;
    }
}

static void pcap_close(struct kt_source *s)
{
    free(s->own);
}

const struct kt_source_ops kt_source_pcap = {
    .name = "pcapfile",
    .summary = "pcap files, also packed with gzip, zstd, lz4, bzip2 or xz",
    .probe = pcap_probe,
    .open = pcap_open,
    .read = pcap_read,
    .close = pcap_close,
};
