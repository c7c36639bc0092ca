/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Latency: handshakes take longer than they did between the same two hosts. Each pair is compared
 * with its own median, so that who happens to talk does not matter; the pairs vote.
 */
#include "internal.h"

#include <math.h>
#include <stdlib.h>

#define PAIRS 16384
#define KEPT 11   /* round trips that make a pair's median */
#define WINDOW 6  /* intervals in which votes count */
#define VOTES 512 /* … at most so many in each */
#define FLOOR 8.0 /* ms: less is scheduling */

struct pair_key {
    uint8_t client[16], server[16];
    uint8_t ip, zero[7];
};

struct pair {
    struct kt_recent_node node;
    struct pair_key key;
    float ms[KEPT];
    uint8_t n, at;
    uint16_t slow; /* in a row */
};

struct vote {
    uint32_t client, server; /* hashes */
    float before, after;
    bool slow;
};

struct latency {
    struct kt_recent pairs;
    struct vote vote[WINDOW][VOTES];
    unsigned votes[WINDOW];
    int64_t start[WINDOW];
    bool on;
    int64_t began;
};

static int init(struct kt_detect *d, void **state)
{
    (void)d;
    struct latency *l = calloc(1, sizeof(*l));
    *state = l;
    return l ? kt_recent_init(&l->pairs, sizeof(struct pair), sizeof(struct pair_key), PAIRS)
             : KT_ENOMEM;
}

static void fini(void *state)
{
    struct latency *l = state;
    kt_recent_fini(&l->pairs);
    free(l);
}

/* What this pair would have to exceed. */
static float bound(const struct pair *p, float *median)
{
    float dev[KEPT];
    *median = kt_kth(p->ms, p->n, p->n / 2u);
    for (int i = 0; i < p->n; i++)
        dev[i] = fabsf(p->ms[i] - *median);
    float mad = 1.4826f * kt_kth(dev, p->n, p->n / 2u);
    return *median + fmaxf(fmaxf((float)FLOOR, 6 * mad), *median / 2);
}

static void learn(struct pair *p, float ms)
{
    p->ms[p->at] = ms;
    p->at = (uint8_t)((p->at + 1) % KEPT);
    p->n += p->n < KEPT;
}

static void take(struct kt_detect *d, struct latency *l, struct kt_act *a, unsigned slot)
{
    struct kt_talk *t = kt_act_talk(d, a);
    struct pair_key key = {.ip = t->key.ip};
    memcpy(key.client, t->key.client, 16);
    memcpy(key.server, t->key.server, 16);
    struct pair *p = kt_recent_again(&l->pairs, &t->hint[KT_HINT_PAIR], &key, true);
    if (!p)
        return;
    float ms = (float)a->rtt_us / 1000, median;
    if (p->n < 3) {
        learn(p, ms);
        return;
    }
    bool slow = ms > bound(p, &median);
    if (slow)
        a->flags |= KT_ACT_SLOW;
    a->usual_ms = median;
    if (l->votes[slot] < VOTES)
        l->vote[slot][l->votes[slot]++] =
            (struct vote){(uint32_t)kt_hash(t->key.client, 16, 1),
                          (uint32_t)kt_hash(t->key.server, 16, 1), median, ms, slow};
    p->slow = slow ? p->slow + 1 : 0;
    if (!slow || p->slow > 50) /* after so many it is what is normal here */
        learn(p, ms);
}

/* Boyer and Moore: the client (server) of most slow votes, if one has the majority. */
static uint32_t majority(const struct latency *l, bool server)
{
    uint32_t who = 0, lead = 0;
    for (int w = 0; w < WINDOW; w++)
        for (unsigned i = 0; i < l->votes[w]; i++) {
            const struct vote *v = &l->vote[w][i];
            uint32_t id = server ? v->server : v->client;
            if (!v->slow)
                continue;
            if (lead == 0)
                who = id;
            if (who == id)
                lead++;
            else
                lead--;
        }
    return who;
}

struct tally {
    unsigned votes, slow, intervals;
    float before, after; /* means of the slow ones */
    int64_t began, last;
};

/* Counts the votes of all, of one client or of one server, the newest interval first. */
static struct tally tally(const struct kt_detect *d, const struct latency *l, uint32_t client,
                          uint32_t server)
{
    struct tally t = {0};
    bool running = true; /* since `began` most votes were slow */
    for (unsigned back = 0; back < WINDOW && back <= d->now; back++) {
        unsigned w = (d->now - back) % WINDOW, slow = 0, votes = 0;
        for (unsigned i = 0; i < l->votes[w]; i++) {
            const struct vote *v = &l->vote[w][i];
            if ((client && v->client != client) || (server && v->server != server))
                continue;
            votes++;
            if (!v->slow)
                continue;
            slow++;
            t.before += v->before;
            t.after += v->after;
        }
        t.votes += votes;
        t.slow += slow;
        t.intervals += slow > 0;
        if (slow && !t.last)
            t.last = l->start[w];
        running = running && 2 * slow >= votes;
        if (running && slow)
            t.began = l->start[w];
    }
    if (t.slow) {
        t.before /= (float)t.slow;
        t.after /= (float)t.slow;
    }
    return t;
}

static bool enough(const struct tally *t, bool on)
{
    double share = t->votes ? t->slow / (double)t->votes : 0;
    return on ? t->slow >= 2 && share >= 0.4 : t->slow >= 4 && t->intervals >= 3 && share >= 0.7;
}

static int step(struct kt_detect *d, void *state)
{
    struct latency *l = state;
    struct kt_acts *acts = kt_activity_now(d);
    unsigned slot = d->now % WINDOW;
    l->votes[slot] = 0;
    l->start[slot] = d->start;
    for (uint32_t i = 0; i < acts->n; i++) {
        kt_acts_prefetch(d, &l->pairs, acts, i, KT_HINT_PAIR);
        if (acts->act[i].rtt_us && !(acts->act[i].flags & (KT_ACT_SCANNER | KT_ACT_DOWN)))
            take(d, l, &acts->act[i], slot);
    }
    struct tally t = tally(d, l, 0, 0);
    if (t.slow >= 2 && !enough(&t, l->on)) {
        struct tally client = tally(d, l, majority(l, false), 0);
        struct tally server = tally(d, l, 0, majority(l, true));
        t = enough(&client, l->on) ? client : server;
    }
    if (!enough(&t, l->on)) {
        l->on = false;
        return KT_OK;
    }
    if (!l->on)
        l->began = t.began ? t.began : t.last;
    l->on = true;
    double strength = (t.after - t.before) / FLOOR;
    struct kt_signal sig = {
        .class = KT_C_PATH,
        .by = KT_BY_LATENCY,
        .began = l->began,
        .last = t.last + d->length,
        .confidence = 1 - 1.0 / (1 + t.slow),
        .severity = fmin(0.9, 0.4 + 0.1 * log2(1 + strength)),
        .before = t.before,
        .after = t.after,
        .stream = -1,
        .strength = strength,
    };
    return kt_fuse_raise(d, &sig);
}

const struct kt_detector kt_detector_latency = {"latency", init, step, fini};
