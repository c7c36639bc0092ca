/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Scans: one client whose first contacts fail, again and again: many ports of one server, or one
 * port of many servers. As in Jung et al., Fast Portscan Detection Using Sequential Hypothesis
 * Testing (2004), what counts is the outcome of contacts to *distinct* targets; unlike there, a
 * fixed number of failures of one shape is asked for, since peer-to-peer clients fail a lot, too.
 */
#include "internal.h"

#include <math.h>
#include <stdlib.h>

#define CLIENTS 4096
#define TARGETS 64  /* exact up to here … */
#define SKETCH 1024 /* … then counted in a bitmap of so many words */
#define SCANNERS 16 /* scans at the same time */
#define ENOUGH 16   /* failed targets */
#define SHAPED 12   /* … of one server, or of one port */
#define SEVERAL 4   /* … or TARGETS, so many a server */
#define FORGET (60 * KT_SECOND)

struct target {
    uint32_t server;
    uint16_t port;
};

struct client_key {
    uint8_t addr[16];
    uint8_t ip, zero[7];
};

struct client {
    struct kt_recent_node node;
    struct client_key key;
    struct target failed[TARGETS];
    uint8_t n;
    uint8_t scanner; /* place in scanners + 1, 0: none */
    uint16_t good;   /* contacts that worked */
    int64_t first, last;
    uint64_t active; /* number of the interval of the last failure */
};

struct scanner {
    uint64_t bits[SKETCH];
    uint32_t client; /* index + 1 */
    uint32_t ones;
};

struct scan {
    struct kt_recent clients;
    struct scanner *scanner[SCANNERS];
};

static int init(struct kt_detect *d, void **state)
{
    (void)d;
    struct scan *s = calloc(1, sizeof(*s));
    *state = s;
    return s ? kt_recent_init(&s->clients, sizeof(struct client), sizeof(struct client_key),
                              CLIENTS)
             : KT_ENOMEM;
}

static void fini(void *state)
{
    struct scan *s = state;
    kt_recent_fini(&s->clients);
    for (int i = 0; i < SCANNERS; i++)
        free(s->scanner[i]);
    free(s);
}

static struct target target_of(const struct kt_talk *t)
{
    return (struct target){(uint32_t)kt_hash(t->key.server, 16, t->key.ip), t->key.port};
}

static int find(const struct client *c, struct target t)
{
    for (int i = 0; i < c->n; i++)
        if (c->failed[i].server == t.server && c->failed[i].port == t.port)
            return i;
    return -1;
}

static int servers_of(const struct client *c)
{
    int servers = 0;
    for (int i = 0; i < c->n; i++) {
        int k = 0;
        while (c->failed[k].server != c->failed[i].server)
            k++;
        servers += k == i; /* its first one */
    }
    return servers;
}

/* A line, or several ports on each of some servers: peers of a peer-to-peer client have one each.
 */
static bool shaped(const struct client *c)
{
    for (int i = 0; i + SHAPED <= c->n; i++) {
        int ports = 0, servers = 0;
        for (int k = i; k < c->n; k++) {
            ports += c->failed[k].server == c->failed[i].server;
            servers += c->failed[k].port == c->failed[i].port;
        }
        if (ports >= SHAPED || servers >= SHAPED)
            return true;
    }
    return c->n == TARGETS && servers_of(c) <= TARGETS / SEVERAL;
}

static void sketch(struct scanner *s, struct target t)
{
    uint64_t h =
        kt_mix64(((uint64_t)t.server << 16 | t.port) ^ 0x9e3779b97f4a7c15, 0xd6e8feb86659fd93);
    uint64_t *word = &s->bits[h % SKETCH], bit = UINT64_C(1) << (h >> 32) % 64;
    s->ones += !(*word & bit);
    *word |= bit;
}

/* Linear counting (Whang et al. 1990). */
static uint32_t distinct(const struct scanner *s)
{
    double m = SKETCH * 64.0;
    return s->ones >= m ? (uint32_t)m * 8 : (uint32_t)lround(-m * log(1 - s->ones / m));
}

static void promote(struct scan *s, struct client *c)
{
    for (int i = 0; i < SCANNERS; i++) {
        if (s->scanner[i] && s->scanner[i]->client)
            continue;
        if (!s->scanner[i])
            s->scanner[i] = malloc(sizeof(**s->scanner));
        if (!s->scanner[i])
            return;
        *s->scanner[i] = (struct scanner){.client = kt_recent_index(&s->clients, c) + 1};
        c->scanner = (uint8_t)(i + 1);
        c->node.refs++;
        for (int k = 0; k < c->n; k++)
            sketch(s->scanner[i], c->failed[k]);
        return;
    }
}

static void contact(struct kt_detect *d, struct scan *s, struct client *c, struct kt_act *a)
{
    struct target t = target_of(kt_act_talk(d, a));
    if (c->last + FORGET < d->start && !c->scanner)
        c->n = 0, c->good = 0;
    if (!a->failed) {
        int at = find(c, t);
        if (at >= 0)
            c->failed[at] = c->failed[--c->n]; /* late, but answered */
        else if (a->answered && c->good < UINT16_MAX)
            c->good++;
        return;
    }
    if (c->n == 0)
        c->first = d->start;
    bool news = find(c, t) < 0;
    if (news && c->n < TARGETS)
        c->failed[c->n++] = t;
    if (c->scanner)
        sketch(s->scanner[c->scanner - 1], t);
    if (news || c->n == TARGETS) {
        c->last = d->start;
        c->active = d->now;
    }
    /* A client that mostly succeeds is busy, not probing. */
    if (news && !c->scanner && c->n >= ENOUGH && c->n * 2 >= c->good && shaped(c))
        promote(s, c);
}

static int raise(struct kt_detect *d, struct scan *s, int i)
{
    struct client *c = kt_recent_at(&s->clients, s->scanner[i]->client - 1);
    if (d->now > c->active + 10) {
        c->scanner = 0;
        c->n = 0;
        c->node.refs--;
        s->scanner[i]->client = 0;
        return KT_OK;
    }
    uint32_t count = distinct(s->scanner[i]);
    struct kt_signal sig = {
        .class = KT_C_SCAN,
        .by = KT_BY_SLICES,
        .began = c->first,
        .last = c->last + d->length,
        .confidence = 1 - 1.0 / count,
        .severity = fmin(0.9, 0.4 + 0.1 * log2(count / (double)ENOUGH + 1)),
        .stream = -1,
        .strength = count / (double)ENOUGH,
        .ip = c->key.ip,
        .count = count,
    };
    memcpy(sig.addr, c->key.addr, 16);
    return kt_fuse_raise(d, &sig);
}

static bool scanning(const struct scan *s)
{
    for (int i = 0; i < SCANNERS; i++)
        if (s->scanner[i] && s->scanner[i]->client)
            return true;
    return false;
}

static struct client *client_of(struct kt_detect *d, struct scan *s, const struct kt_acts *acts,
                                uint32_t i, bool make)
{
    struct kt_talk *t = kt_act_talk(d, &acts->act[i]);
    struct client_key key = {.ip = t->key.ip};
    memcpy(key.addr, t->key.client, 16);
    kt_acts_prefetch(d, &s->clients, acts, i, KT_HINT_CLIENT);
    return kt_recent_again(&s->clients, &t->hint[KT_HINT_CLIENT], &key, make);
}

static int step(struct kt_detect *d, void *state)
{
    struct scan *s = state;
    struct kt_acts *acts = kt_activity_now(d);
    for (uint32_t i = 0; i < acts->n; i++) {
        struct kt_act *a = &acts->act[i];
        struct client *c = a->opened || a->failed ? client_of(d, s, acts, i, a->failed > 0) : NULL;
        if (c)
            contact(d, s, c, a);
    }
    if (scanning(s))
        for (uint32_t i = 0; i < acts->n; i++) {
            const struct client *c = client_of(d, s, acts, i, false);
            if (c && c->scanner)
                acts->act[i].flags |= KT_ACT_SCANNER;
        }
    for (int i = 0; i < SCANNERS; i++) {
        if (!s->scanner[i] || !s->scanner[i]->client)
            continue;
        int rc = raise(d, s, i);
        if (rc != KT_OK)
            return rc;
    }
    return KT_OK;
}

const struct kt_detector kt_detector_scan = {"scan", init, step, fini};
