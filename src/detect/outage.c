/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Outages: a server (address and port) that has answered steadily is asked and does not answer any
 * more, or refuses. How many failures in a row prove it depends on how often it failed before.
 */
#include "internal.h"

#include <math.h>
#include <stdlib.h>

#define SERVERS 16384
#define WATCHED 256 /* servers that failed lately */
#define KNOWN 8     /* intervals with answers before a server counts as one */
#define DOUBT 1e-4  /* the chance that a healthy server looks so */
#define GIVE_UP 60  /* intervals without a request after which an outage is not told any longer */

/* Intervals are numbered as they were seen: those in which nothing at all comes through, where that
 * is unusual, say nothing of any server and do not count. */

struct server_key {
    uint8_t addr[16];
    uint16_t port;
    uint8_t proto, ip, zero[4];
};

struct server {
    struct kt_recent_node node;
    struct server_key key;
    uint64_t touched;                            /* number of the interval + 1 */
    uint32_t answered, failed, refused, clients; /* in that interval */
    float good, bad;    /* intervals with answers; runs of intervals with failures only */
    uint64_t last_good; /* interval as seen */
    uint32_t row;       /* intervals in a row with failures only */
    uint32_t requests, most_clients;
    uint64_t first_fail, last_fail; /* intervals as seen */
    int64_t began, last;
    uint64_t ill_until; /* till then its delays and losses are its own */
    uint16_t app;
    bool watched, down;
};

struct outage {
    struct kt_recent servers;
    uint32_t watch[WATCHED];
    unsigned watching;
    uint32_t touched[KT_ACTS];
    unsigned touches;
    uint64_t seen;  /* intervals so far, without the blind ones */
    uint64_t blind; /* in a row */
};

static int init(struct kt_detect *d, void **state)
{
    (void)d;
    struct outage *o = calloc(1, sizeof(*o));
    *state = o;
    return o ? kt_recent_init(&o->servers, sizeof(struct server), sizeof(struct server_key),
                              SERVERS)
             : KT_ENOMEM;
}

static void fini(void *state)
{
    struct outage *o = state;
    kt_recent_fini(&o->servers);
    free(o);
}

static void count(struct kt_detect *d, struct outage *o, struct kt_act *a)
{
    struct kt_talk *t = kt_act_talk(d, a);
    bool fails = a->failed || a->silent;
    if ((t->key.proto != KT_PROTO_TCP && t->key.proto != KT_PROTO_UDP) ||
        a->flags & KT_ACT_SCANNER || (!fails && !a->answered))
        return;
    struct server_key key = {.port = t->key.port, .proto = t->key.proto, .ip = t->key.ip};
    memcpy(key.addr, t->key.server, 16);
    struct server *s =
        kt_recent_again(&o->servers, &t->hint[KT_HINT_SERVER], &key, a->answered > 0);
    if (!s)
        return;
    if (s->ill_until > d->now)
        a->flags |= KT_ACT_DOWN;
    if (s->touched != d->now + 1) {
        s->touched = d->now + 1;
        s->answered = s->failed = s->refused = s->clients = 0;
        o->touched[o->touches++] = kt_recent_index(&o->servers, s);
    }
    s->answered += a->answered;
    s->failed += a->failed + a->silent;
    s->refused += a->refused;
    s->clients += fails;
    if (a->answered)
        s->app = t->key.app;
}

static void judge(struct kt_detect *d, struct outage *o, struct server *s)
{
    if (s->answered) {
        if (s->good > 300) { /* old answers fade */
            s->good /= 2;
            s->bad /= 2;
        }
        s->good++;
        if (!s->down)
            s->bad += s->row ? 1 : 0;
        s->row = 0;
        s->last_good = o->seen;
        return;
    }
    if (s->row == 0) {
        s->first_fail = o->seen;
        s->began = d->start;
        s->requests = s->most_clients = 0;
    }
    s->row++;
    s->requests += s->failed;
    if (s->clients > s->most_clients)
        s->most_clients = s->clients;
    s->last_fail = o->seen;
    s->last = d->start + d->length;
    if (!s->watched && s->good >= KNOWN && o->watching < WATCHED) {
        s->watched = true;
        s->node.refs++;
        o->watch[o->watching++] = kt_recent_index(&o->servers, s);
    }
}

/* Failures in a row that a server like this would hardly show when healthy. */
static unsigned enough(struct kt_detect *d, const struct server *s)
{
    double fails = (s->bad + 1) / (s->good + s->bad + 2);
    unsigned n = (unsigned)ceil(log(DOUBT) / log(fails));
    if (kt_fuse_recent(d, KT_C_PATH, 5))
        n += 3;
    return n < 2 ? 2 : n;
}

static bool is_down(struct kt_detect *d, const struct outage *o, const struct server *s)
{
    if (s->down)
        return true;
    /* It must have been busy up to the moment: what rests for long may simply have moved. */
    uint64_t idle = s->first_fail - s->last_good;
    return s->row >= enough(d, s) && s->requests >= 3 && o->seen >= s->first_fail + 2 && idle <= 60;
}

/* It was down up to `last`: till it answered, or was asked in vain for the last time. */
static int raise(struct kt_detect *d, const struct server *s, int64_t last)
{
    double p = (s->bad + 1) / (s->good + s->bad + 2);
    struct kt_signal sig = {
        .class = KT_C_OUTAGE,
        .by = KT_BY_SLICES,
        .began = s->began,
        .last = last,
        .confidence = fmin(0.98, 1 - pow(p, s->row < 4 ? s->row : 4)),
        .severity = fmin(0.95, 0.6 + 0.1 * log2(1 + s->most_clients)),
        .stream = -1,
        .strength = s->row,
        .ip = s->key.ip,
        .proto = s->key.proto,
        .port = s->key.port,
        .app = s->app,
        .count = s->requests,
        .of = s->most_clients,
    };
    memcpy(sig.addr, s->key.addr, 16);
    return kt_fuse_raise(d, &sig);
}

/* Is nothing to be seen at all, where there always was something? */
static bool blind(struct kt_detect *d, struct outage *o)
{
    if (kt_activity_now(d)->n == 0 && (o->blind || kt_fuse_recent(d, KT_C_DROP, 0))) {
        o->blind++;
        return true;
    }
    /* What was told of before is over: who is down now is down anew. */
    for (unsigned i = 0; o->blind > KT_QUIET + KT_REOPEN && i < o->watching; i++) {
        struct server *s = kt_recent_at(&o->servers, o->watch[i]);
        s->row = 0;
        s->down = false;
        s->last_good = o->seen;
    }
    o->blind = 0;
    o->seen++;
    return false;
}

static int step(struct kt_detect *d, void *state)
{
    struct outage *o = state;
    struct kt_acts *acts = kt_activity_now(d);
    if (blind(d, o))
        return KT_OK;
    o->touches = 0;
    for (uint32_t i = 0; i < acts->n; i++) {
        kt_acts_prefetch(d, &o->servers, acts, i, KT_HINT_SERVER);
        count(d, o, &acts->act[i]);
    }
    for (unsigned i = 0; i < o->touches; i++)
        judge(d, o, kt_recent_at(&o->servers, o->touched[i]));
    unsigned kept = 0;
    int rc = KT_OK;
    for (unsigned i = 0; i < o->watching && rc == KT_OK; i++) {
        struct server *s = kt_recent_at(&o->servers, o->watch[i]);
        bool back = s->row == 0;
        if (back || o->seen > s->last_fail + GIVE_UP) {
            rc = back && s->down ? raise(d, s, d->start) : KT_OK;
            s->watched = s->down = false;
            s->row = 0;
            s->node.refs--;
            continue;
        }
        o->watch[kept++] = o->watch[i];
        s->down = is_down(d, o, s);
        s->ill_until = d->now + 10;
        rc = s->down ? raise(d, s, s->last) : KT_OK;
    }
    o->watching = kept;
    return rc;
}

const struct kt_detector kt_detector_outage = {"outage", init, step, fini};
