/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * pcap files (draft-ietf-opsawg-pcap): microseconds or nanoseconds, either byte order, and the
 * variant of Kuznetzov's patch with its longer record header. */
#include "internal.h"
#include <stdlib.h>

struct pcap {
    bool swapped; /* against this machine's order, which is taken for little-endian */
    int64_t unit; /* nanoseconds of the fraction's unit */
    uint32_t header;
    uint32_t fcs;
    uint16_t link;
};

enum { FILE_HEADER = 24 };

static uint32_t u32(const struct pcap *p, const uint8_t *at)
{
    return p->swapped ? kt_be32(at) : kt_le32(at);
}

static bool magic(const uint8_t *head, struct pcap *p)
{
    for (int swapped = 0; swapped < 2; swapped++) {
        uint32_t m = swapped ? kt_be32(head) : kt_le32(head);
        p->swapped = swapped;
        p->unit = m == 0xa1b23c4d ? 1 : 1000;
        p->header = m == 0xa1b2cd34 ? 24 : 16;
        if (m == 0xa1b2c3d4 || m == 0xa1b23c4d || m == 0xa1b2cd34)
            return true;
    }
    return false;
}

static bool probe(const uint8_t *head, size_t len)
{
    struct pcap p;
    return len >= 4 && magic(head, &p);
}

static int open_pcap(struct kt_source *s, const char *what, const struct kt_source_options *opt,
                     struct kt_error *err)
{
    (void)opt;
    struct pcap *p = s->own = calloc(1, sizeof *p);
    if (!p)
        return kt_fail(err, KT_ENOMEM, 0, "no memory to open %s", what);
    int rc = kt_window_need(&s->window, FILE_HEADER, err);
    if (rc != KT_OK)
        return rc;
    const uint8_t *h = kt_window_here(&s->window);
    if (!magic(h, p))
        return kt_fail(err, KT_EFORMAT, 0, "%s: at byte 0: this is no pcap file", what);
    uint32_t link = u32(p, h + 20);
    p->link = link & 0xffff;
    if (link & 0x04000000) /* the length of the frame check sequence is told, in 16-bit words */
        p->fcs = (link >> 28) * 2;
    if (!kt_link_known(p->link))
        return kt_fail(err, KT_EUNSUPPORTED, 20,
                       "%s: at byte 20: packets of link type %u can't be decoded here", what,
                       p->link);
    s->window.at += FILE_HEADER;
    return KT_OK;
}

/* The packet at the window, whose header is there. */
static void fill(const struct pcap *p, struct kt_packet *pkt, const uint8_t *h, uint32_t caplen)
{
    uint32_t wire = u32(p, h + 12);
    wire = wire > p->fcs ? wire - p->fcs : wire;
    if (caplen > wire && caplen - wire <= p->fcs)
        caplen = wire; /* the check sequence was captured too */
    pkt->data = h + p->header;
    pkt->ts = (int64_t)u32(p, h) * KT_SECOND + (int64_t)u32(p, h + 4) * p->unit;
    pkt->caplen = caplen;
    pkt->wirelen = wire > caplen ? wire : caplen;
    pkt->link = p->link;
    pkt->iface = 0;
    pkt->flags = 0;
}

static int too_long(const struct kt_source *s, uint32_t caplen, struct kt_error *err)
{
    uint64_t at = kt_window_offset(&s->window);
    return kt_fail(err, KT_EFORMAT, at,
                   "%s: at byte %llu: a packet of %u bytes is longer than any can be", s->name,
                   (unsigned long long)at, caplen);
}

static int read_pcap(struct kt_source *s, struct kt_batch *batch, struct kt_error *err)
{
    const struct pcap *p = s->own;
    struct kt_window *w = &s->window;
    for (;;) {
        uint32_t caplen = 0;
        batch->block = w->block;
        while (batch->n < KT_BATCH && w->end - w->at >= p->header) {
            const uint8_t *h = kt_window_here(w);
            caplen = u32(p, h + 8);
            if (KT_UNLIKELY(caplen > KT_PACKET_MAX))
                return batch->n ? KT_OK : too_long(s, caplen, err);
            if (w->end - w->at - p->header < caplen)
                break;
            __builtin_prefetch(h + p->header + caplen + 64);
            fill(p, &batch->packet[batch->n++], h, caplen);
            w->at += p->header + caplen;
            caplen = 0;
        }
        if (batch->n)
            return KT_OK;
        int rc = kt_window_need(w, (size_t)p->header + caplen, err);
        if (rc != KT_OK)
            return rc;
    }
}

static void close_pcap(struct kt_source *s)
{
    free(s->own);
}

const struct kt_source_ops kt_source_pcap = {.name = "pcapfile",
                                             .summary = "pcap files, microseconds or nanoseconds",
                                             .probe = probe,
                                             .open = open_pcap,
                                             .read = read_pcap,
                                             .close = close_pcap};
