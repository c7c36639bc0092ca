/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef KOTARE_COLLECT_INTERNAL_H
#define KOTARE_COLLECT_INTERNAL_H

#include <kotare/collect.h>

#define NO_STREAM UINT32_MAX

/* ---- streams.c: the streams so far, and what the open interval adds to each ---- */

struct streams {
    struct kt_stream *stream;
    uint32_t *id; /* in the store */
    struct kt_sample *sample;
    size_t n, cap;
};

/* The stream of this kind and name, made when new; NO_STREAM without memory. */
uint32_t kt_streams_get(struct streams *s, enum kt_stream_kind kind, const char *name);
void kt_streams_fini(struct streams *s);

static inline void kt_streams_add(struct streams *s, uint32_t stream, int64_t bytes,
                                  int64_t packets, int64_t flows)
{
    int64_t *v = s->sample[stream].value;
    v[KT_VALUE_BYTES] += bytes;
    v[KT_VALUE_PACKETS] += packets;
    v[KT_VALUE_FLOWS] += flows;
}

/* ---- ports.c: classes of ports ---- */

#define PORT_CLASSES 256
struct ports {
    uint8_t class_of[65536];          /* of TCP and UDP alike */
    uint32_t stream[3][PORT_CLASSES]; /* tcp, udp, everything else (by protocol) */
};
void kt_ports_init(struct ports *p);
/* The stream of a slice's port class. */
uint32_t kt_ports_stream(struct ports *p, struct streams *s, const struct kt_slice *slice);

/* ---- announcers.c: which flow a packet is of that announced another ---- */

struct announcers;
/* *all: made on first use, to be freed with free(). KT_ENOMEM. */
int kt_announcers_put(struct announcers **all, const struct kt_announcer *list, size_t n);
/* Sets a->flow if it is known. */
void kt_announcers_find(struct announcers *all, struct kt_announcer *a);

/* ---- health.c ---- */

struct opened {
    uint64_t from, to; /* hashes: the initiator, and the address and port it went for */
    uint32_t targets;  /* of `from`, in its first entry */
};
struct health {
    uint32_t rtt, retransmits, refused, unanswered, fanout; /* streams */
    uint32_t *rtt_us;
    size_t rtts, rtt_cap;
    uint64_t seed;
    struct opened *opened;
    size_t opens, open_cap;
    uint32_t *slot; /* for counting targets: entries of `opened`, one higher */
    size_t slot_cap;
};
int kt_health_init(struct health *h, struct streams *s);
int kt_health_slice(struct health *h, struct streams *s, const struct kt_slice *slice);
/* Sets what needs the whole interval; `has_rtt` tells whether that stream has a value. */
int kt_health_close(struct health *h, struct streams *s, bool *has_rtt);
void kt_health_fini(struct health *h);

#endif
