/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Flows that others announce. An endpoint that was named waits here, in a table of fixed size,
 * until a packet to or from it comes by; that packet is marked, and whichever worker owns its flow
 * learns who announced it. Every packet passes here, so the way of those that neither announce nor
 * are waited for is short and takes no lock: its first bytes, and a bit for each of its ports. */
#include <kotare/flow.h>
#include <pthread.h>
#include <stdlib.h>

enum {
    BUCKETS = 1024,
    WAYS = 8,
    /* So many packets are marked for one announcement: more than one, because a stray packet may
     * come first; not all, because each costs a search. */
    MARKS = 16,
};

struct expected {
    uint8_t addr[16], peer[16];
    uint16_t port, tunnel, label;
    uint8_t ip, proto;
    bool anyone;
    uint8_t marks; /* left; 0: a free place */
    int64_t until;
    uint64_t packet; /* that announced it */
};

struct kt_expect {
    const struct kt_rules *rules;
    pthread_mutex_t lock;      /* of all below; live and ports are read without it */
    uint64_t live;             /* places taken */
    uint64_t port[65536 / 64]; /* a bit: somebody is expected there */
    uint16_t at_port[65536];   /* how many */
    struct kt_expect_stats stats;
    struct expected place[BUCKETS][WAYS];
};

int kt_expect_new(struct kt_expect **expect, const struct kt_rules *rules, struct kt_error *err)
{
    struct kt_expect *e = *expect = calloc(1, sizeof *e);
    if (!e)
        return kt_fail(err, KT_ENOMEM, 0, "no memory for expected flows");
    e->rules = rules;
    pthread_mutex_init(&e->lock, NULL);
    return KT_OK;
}

void kt_expect_free(struct kt_expect *e)
{
    if (!e)
        return;
    pthread_mutex_destroy(&e->lock);
    free(e);
}

/* ---- the table ---- */

static struct expected *bucket(struct kt_expect *e, const uint8_t addr[16], uint16_t port,
                               uint8_t proto)
{
    uint64_t h = kt_hash(addr, 16, (uint64_t)port << 8 | proto);
    return e->place[h % BUCKETS];
}

static void take_out(struct kt_expect *e, struct expected *x)
{
    x->marks = 0;
    kt_count_set(&e->live, e->live - 1);
    if (--e->at_port[x->port] == 0) {
        uint64_t *word = &e->port[x->port / 64];
        kt_count_set(word, *word & ~(UINT64_C(1) << x->port % 64));
    }
}

static void put_in(struct kt_expect *e, struct expected *x, const struct expected *with)
{
    if (x->marks)
        take_out(e, x);
    *x = *with;
    kt_count_set(&e->live, e->live + 1);
    if (e->at_port[x->port]++ == 0) {
        uint64_t *word = &e->port[x->port / 64];
        kt_count_set(word, *word | UINT64_C(1) << x->port % 64);
    }
}

/* Both mean the same end of the same flow. */
static bool same(const struct expected *a, const struct expected *b)
{
    return a->port == b->port && a->proto == b->proto && a->ip == b->ip && a->tunnel == b->tunnel &&
           a->anyone == b->anyone && !memcmp(a->addr, b->addr, 16) &&
           (a->anyone || !memcmp(a->peer, b->peer, 16));
}

/* Said again it holds for longer; else it takes a free place, that of one whose time is over, or
 * that of the one that would be over first. */
static void expect(struct kt_expect *e, const struct expected *x, int64_t now)
{
    struct expected *b = bucket(e, x->addr, x->port, x->proto), *where = &b[0];
    for (int i = 0; i < WAYS; i++) {
        if (b[i].marks && b[i].until <= now)
            take_out(e, &b[i]);
        if (b[i].marks && same(&b[i], x)) {
            where = &b[i];
            break;
        }
        if (where->marks && (!b[i].marks || b[i].until < where->until))
            where = &b[i];
    }
    e->stats.announced++;
    e->stats.forgotten += where->marks && !same(where, x);
    put_in(e, where, x);
}

static bool waited_for(const struct kt_expect *e, uint16_t port)
{
    return kt_count_get(&e->port[port / 64]) >> port % 64 & 1;
}

/* The place of who expects a flow with this end at this time; NULL: nobody. */
static struct expected *look_up(struct kt_expect *e, const struct kt_key *k, unsigned side,
                                int64_t ts)
{
    uint16_t port = k->port[side];
    if (!waited_for(e, port))
        return NULL;
    struct expected *b = bucket(e, k->addr[side], port, k->proto);
    for (int i = 0; i < WAYS; i++) {
        struct expected *x = &b[i];
        if (!x->marks || x->port != port || x->proto != k->proto || x->ip != k->ip ||
            x->tunnel != k->tunnel || memcmp(x->addr, k->addr[side], 16))
            continue;
        if (x->until <= ts)
            take_out(e, x);
        else if (x->anyone || !memcmp(x->peer, k->addr[!side], 16))
            return x;
    }
    return NULL;
}

/* TCP goes to who waits, UDP may also come from there. `to`: the side that the connection goes to.
 */
static bool met(struct kt_expect *e, const struct kt_key *k, unsigned to, int64_t ts,
                uint64_t *clue)
{
    pthread_mutex_lock(&e->lock);
    struct expected *x = look_up(e, k, to, ts);
    if (!x && k->proto == KT_PROTO_UDP)
        x = look_up(e, k, !to, ts);
    if (x) {
        *clue = kt_clue(x->packet, x->label);
        e->stats.met += x->marks == MARKS;
        if (x->marks == 1)
            take_out(e, x);
        else
            x->marks--;
    }
    pthread_mutex_unlock(&e->lock);
    return x != NULL;
}

/* ---- packets ---- */

static void hear(struct kt_expect *e, struct kt_packet *p)
{
    struct kt_announcement a[KT_ANNOUNCEMENTS];
    unsigned n = kt_ident_announcements(e->rules, p, a);
    if (n == 0)
        return;
    p->flags |= KT_PKT_ANNOUNCES;
    pthread_mutex_lock(&e->lock);
    for (unsigned i = 0; i < n; i++) {
        struct expected x = {.port = a[i].port,
                             .tunnel = p->key.tunnel,
                             .label = a[i].label,
                             .ip = a[i].ip,
                             .proto = a[i].proto,
                             .anyone = a[i].anyone,
                             .marks = MARKS,
                             .until = p->ts + a[i].life,
                             .packet = p->seq};
        memcpy(x.addr, a[i].addr, sizeof x.addr);
        memcpy(x.peer, a[i].peer, sizeof x.peer);
        expect(e, &x, p->ts);
    }
    pthread_mutex_unlock(&e->lock);
}

/* TCP is looked at when a connection opens, UDP always: it has no such moment. */
static inline bool may_be_met(const struct kt_expect *e, const struct kt_packet *p)
{
    if (p->proto == KT_PROTO_UDP)
        return waited_for(e, p->key.port[0]) || waited_for(e, p->key.port[1]);
    return p->proto == KT_PROTO_TCP && p->tcp_flags & KT_TCP_SYN &&
           waited_for(e, p->key.port[!(p->tcp_flags & KT_TCP_ACK)]);
}

static void meet(struct kt_expect *e, struct kt_packet *p)
{
    bool answer = p->proto == KT_PROTO_TCP && p->tcp_flags & KT_TCP_ACK;
    if (!(p->flags & (KT_PKT_ICMP_ERROR | KT_PKT_FRAGMENT_LATER)) &&
        met(e, &p->key, !answer, p->ts, &p->clue))
        p->flags |= KT_PKT_ANNOUNCED;
}

void kt_expect_packets(struct kt_expect *e, struct kt_packet *p, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (KT_UNLIKELY(kt_count_get(&e->live)) && may_be_met(e, &p[i]))
            meet(e, &p[i]);
        if (KT_UNLIKELY(kt_ident_may_announce(&p[i])))
            hear(e, &p[i]);
    }
}

bool kt_expect_find(struct kt_expect *e, const struct kt_key *flow, int64_t ts, uint64_t *clue)
{
    return kt_count_get(&e->live) &&
           (waited_for(e, flow->port[0]) || waited_for(e, flow->port[1])) &&
           met(e, flow, 1, ts, clue);
}

struct kt_expect_stats kt_expect_stats(struct kt_expect *e)
{
    pthread_mutex_lock(&e->lock);
    struct kt_expect_stats s = e->stats;
    pthread_mutex_unlock(&e->lock);
    return s;
}
