/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * detect, inside: activity (who did what lately), records (the most extreme level a series has
 * held), signals (what detectors raise) and incidents (what fusion makes of them).
 */
#ifndef KOTARE_DETECT_INTERNAL_H
#define KOTARE_DETECT_INTERNAL_H

#include <kotare/detect.h>

/* What is new enters a baseline only after so many intervals, and not at all when it turned out to
 * belong to an incident. */
#define KT_LAG 12
#define KT_WARM_UP 30 /* intervals of history before a rate may fire */
#define KT_MEMORY 120 /* e-folding length of the means, in intervals */
#define KT_BLOCKS 64  /* a record remembers so many blocks … */
#define KT_BLOCK 60   /* … of so many intervals */
#define KT_QUIET 8    /* intervals without a signal that end an incident */
#define KT_REOPEN 30  /* … and after its end in which it may go on as the same */
#define KT_NORMAL 600 /* a change that lasts so long is the new normal */
#define KT_ACTS_LIGHT 4096
#define KT_ACTS 8192 /* conversations looked at in one interval */
#define KT_TALKS 131072
#define KT_INCIDENTS 32

/* ---- recent.c: a bounded hash table that forgets what was not used lately ---------------------
 */

struct kt_recent_node {
    uint32_t next, hash, refs;
    bool used; /* since the hand came by */
};

/* Which entry must go is found as pages are in the CLOCK algorithm (Corbató 1968): a hand goes
 * round and takes the first that was not used since it came by last. Using an entry so touches no
 * other entry. */
struct kt_recent {
    unsigned char *mem;
    uint32_t *bucket;
    size_t entry, key; /* sizes */
    uint32_t cap, used, mask, hand;
};

/* An entry is a struct that starts with a kt_recent_node and then its key. */
int kt_recent_init(struct kt_recent *t, size_t entry_size, size_t key_size, uint32_t cap);
void kt_recent_fini(struct kt_recent *t);
uint32_t kt_recent_hash(const struct kt_recent *t, const void *key);
/* The entry of a key with that hash, made (zeroed) if `make`; NULL: not there, or too many others
 * are held. */
void *kt_recent_get(struct kt_recent *t, const void *key, uint32_t hash, bool make);
static inline void *kt_recent_at(const struct kt_recent *t, uint32_t index)
{
    return t->mem + (size_t)index * t->entry;
}
/* The same, with a hint where it was found last time, for the next time. */
void *kt_recent_again(struct kt_recent *t, uint32_t *hint, const void *key, bool make);
static inline void kt_recent_prefetch(const struct kt_recent *t, uint32_t hint)
{
    const char *entry = kt_recent_at(t, hint ? hint - 1 : 0);
    __builtin_prefetch(entry);
    __builtin_prefetch(entry + KT_CACHE_LINE);
}
static inline uint32_t kt_recent_index(const struct kt_recent *t, const void *entry)
{
    return (uint32_t)((size_t)((const unsigned char *)entry - t->mem) / t->entry);
}

/* ---- record.c: history ---------------------------------------------------------------------- */

/* The highest (lowest) value a statistic took in the accepted past. */
struct kt_record {
    float pending[KT_LAG];
    float block[KT_BLOCKS];
    float best; /* over the blocks that are complete */
};

void kt_record_init(struct kt_record *r, const struct kt_detect *d, bool low);
/* Takes the value of this interval; the one that leaves the lag enters the record. */
void kt_record_push(struct kt_record *r, const struct kt_detect *d, float value, bool low);
float kt_record_best(const struct kt_record *r, const struct kt_detect *d, bool low);
/* Keeps n values in order: `out`, which is one of them, goes, and `in` comes. */
void kt_rank(float *sorted, unsigned n, float out, float in);
/* The k-th smallest (from 0) of n ≤ 32 values. */
float kt_kth(const float *v, unsigned n, unsigned k);

/* ---- activity.c: who did what --------------------------------------------------------------- */

enum kt_measure { KT_M_BYTES, KT_M_PACKETS, KT_M_FLOWS, KT_M_RETRANSMITS, KT_MEASURES };

struct kt_talk_key {
    uint8_t client[16], server[16];
    uint16_t port, app; /* the server's port */
    uint8_t proto, ip, zero[2];
};

enum { KT_HINT_CLIENT, KT_HINT_SERVER, KT_HINT_PAIR, KT_HINTS };

/* A conversation: who asks whom for what. */
struct kt_talk {
    struct kt_recent_node node;
    struct kt_talk_key key;
    uint32_t act;             /* its place among the acts of interval `seen` */
    uint32_t seen;            /* interval number, its low bits */
    uint32_t decayed;         /* accepted intervals up to which base[] is decayed, likewise */
    double base[KT_MEASURES]; /* decayed sums over the accepted past */
    uint32_t change, part;    /* the kt_change it is part of, and its place there */
    uint32_t hint[KT_HINTS];  /* where detectors keep what they know of it */
};

enum {
    KT_ACT_SCANNER = 1, /* the client scans */
    KT_ACT_SLOW = 2,    /* its handshake took unusually long */
    KT_ACT_DOWN = 4,    /* its server is, or was lately, down */
};

/* What a conversation did in one interval. */
struct kt_act {
    uint32_t talk;
    uint32_t slices, opened;
    uint32_t failed; /* flows whose opening was refused or not answered */
    uint32_t refused;
    uint32_t silent;   /* running flows that asked and got no answer */
    uint32_t answered; /* flows that were answered */
    uint32_t hits;     /* answered TCP flows with retransmissions */
    uint32_t tcp_packets;
    uint32_t rtt_us; /* the shortest handshake, 0: none */
    float usual_ms;  /* what handshakes of the two hosts took before */
    uint8_t flags;
    uint64_t value[KT_MEASURES];
};

struct kt_acts {
    struct kt_act *act;
    size_t cap;
    uint32_t n;
    int64_t start;
    bool used, tainted;
};

#define KT_DECAYS 2048 /* after so many intervals a baseline is as good as forgotten */

struct kt_activity {
    struct kt_recent talks;
    struct kt_acts ring[KT_LAG];
    double decay[KT_DECAYS];
    uint32_t changes; /* kt_change_take() calls */
};

int kt_activity_init(struct kt_detect *d);
void kt_activity_fini(struct kt_detect *d);
/* Lets the oldest interval into the baseline (unless tainted) and takes in the new one. */
int kt_activity_step(struct kt_detect *d, const struct kt_interval *iv);
struct kt_acts *kt_activity_now(struct kt_detect *d);
/* Asks for the memory of what a detector keeps of the act a little after the i-th. */
void kt_acts_prefetch(const struct kt_detect *d, const struct kt_recent *t,
                      const struct kt_acts *acts, uint32_t i, int hint);
/* Mean of a measure per interval in the accepted past. */
double kt_talk_base(const struct kt_detect *d, const struct kt_talk *t, enum kt_measure m);
/* Marks the intervals from `began` on as not normal. */
void kt_activity_taint(struct kt_detect *d, int64_t began);

/* ---- fuse.c: signals become incidents -------------------------------------------------------- */

enum kt_class { KT_C_SCAN, KT_C_OUTAGE, KT_C_PATH, KT_C_SURGE, KT_C_DROP };

enum { KT_BY_LEVEL = 1, KT_BY_LATENCY = 2, KT_BY_LOSS = 4, KT_BY_SLICES = 8 };

/* Raised by a detector in every interval in which its condition holds. */
struct kt_signal {
    enum kt_class class;
    unsigned by;
    int64_t began; /* start of the first interval that was unlike before */
    int64_t last;  /* end of the last one */
    double confidence, severity;
    double before, after; /* in units of the measure, per second */
    enum kt_measure measure;
    int stream; /* index, -1: none */
    enum kt_stream_kind stream_kind;
    double strength;  /* multiple of what would have been enough */
    uint8_t addr[16]; /* scan: who; outage: which server */
    uint8_t ip, proto;
    uint16_t port, app;
    uint32_t count, of; /* scan: pairs, and servers; outage: requests, and clients */
};

struct kt_incident {
    uint64_t id;
    enum kt_class class;
    bool open, accepted; /* accepted: so long on that it is the new normal */
    uint64_t noticed_at, raised_at, told_at;
    int64_t began, noticed, last;
    int64_t explained;    /* `last` when its causes were looked for */
    double confidence[4]; /* by detector family */
    double severity;
    unsigned by;
    struct kt_signal best; /* the strongest signal; path: latency's */
    struct kt_signal loss; /* path: loss's */
    uint32_t stream[24];
    unsigned streams;
    struct kt_signal server[8]; /* outage: which ones */
    unsigned servers;
    char title[160];
    char target[64]; /* scan: what was probed */
    bool pinged;
    char *causes, *filter, *stream_text;
};

int kt_fuse_raise(struct kt_detect *d, const struct kt_signal *s);
int kt_fuse_step(struct kt_detect *d);
void kt_fuse_forget(struct kt_detect *d); /* all incidents; nothing is told */
int kt_fuse_end(struct kt_detect *d);
/* Is an incident of this class on, or ended no longer than `after` intervals ago? */
struct kt_incident *kt_fuse_recent(struct kt_detect *d, enum kt_class class, unsigned after);

/* ---- explain.c ------------------------------------------------------------------------------- */

/* Fills title, causes, filter and streams of an incident; all but the streams anew from the recent
 * activity if `fresh` (or never done). */
int kt_explain(struct kt_detect *d, struct kt_incident *in, bool fresh);
/* The share of the rise of a measure since `began` that conversations of a client (or, `server`,
 * with a server) account for. */
double kt_explain_share(struct kt_detect *d, int64_t began, enum kt_measure m,
                        const uint8_t addr[16], bool server);
/* Does the rise come from a single long flow? */
bool kt_explain_single(struct kt_detect *d, int64_t began, enum kt_measure m);
/* The share in a fall since `began` of the client that accounts for most of it. */
double kt_explain_top_client(struct kt_detect *d, int64_t began, enum kt_measure m);

/* ---- the detectors ----------------------------------------------------------------------------
 */

struct kt_detector {
    const char *name;
    int (*init)(struct kt_detect *d, void **state);
    int (*step)(struct kt_detect *d, void *state); /* raises signals */
    void (*fini)(void *state);
};

extern const struct kt_detector kt_detector_scan, kt_detector_outage, kt_detector_latency,
    kt_detector_loss, kt_detector_level;
#define KT_DETECTORS 5

struct kt_detect {
    struct kt_detect_options opt;
    const struct kt_interval *iv; /* during a step */
    int64_t start, length;
    uint64_t now;      /* number of the interval, from 0 */
    uint64_t accepted; /* intervals in the baseline, the one let in by this step included */
    double weight;     /* decayed count of them: a decayed sum divided by it is a mean */
    bool accepting;    /* in this step an interval leaves the lag and is normal */
    uint32_t block;    /* which block of a record is filled now */
    struct kt_activity activity;
    void *state[KT_DETECTORS];
    struct kt_incident incident[KT_INCIDENTS];
    unsigned incidents;
    uint64_t last_id;
    kt_event_fn *fn;
    void *ctx;
};

static inline struct kt_talk *kt_act_talk(const struct kt_detect *d, const struct kt_act *a)
{
    return (struct kt_talk *)(void *)(d->activity.talks.mem + a->talk * sizeof(struct kt_talk));
}

#endif
