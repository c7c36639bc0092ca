/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "sim.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define CLIENTS 5
#define SERVERS 5
#define FLOWS 8192
#define SLICES 65536

enum model { ASK, CRON, BULK, CHAT, CALL };

static const struct app {
    const char *name, *category;
    enum model model;
    uint8_t proto;
    uint16_t port;
    uint8_t server, clients;
    double period; /* seconds between flows of a client */
    double size;   /* median bytes of a flow */
    double rate;   /* bytes/s while it runs */
} apps[] = {
    {"No payload", "other", ASK, 6, 0, 0, 0, 0, 0, 0},
    {"HTTP", "web", ASK, 6, 80, 0, 5, 2.5, 6000, 2e6},
    {"DNS", "services", ASK, 17, 53, 4, 5, 1.5, 220, 1e6},
    {"Redis", "database", ASK, 6, 6379, 2, 3, 2, 900, 1e6},
    {"PostgreSQL", "database", ASK, 6, 5432, 2, 3, 3, 3000, 1e6},
    {"MQTT", "iot", CHAT, 6, 1883, 3, 4, 0.4, 160, 0},
    {"TLS", "web", ASK, 6, 443, 0, 5, 3, 15000, 2e6},
    {"QUIC", "web", ASK, 17, 8443, 0, 3, 8, 20000, 1e6},
    {"SSH", "remote", CHAT, 6, 22, 2, 3, 0.3, 300, 0},
    {"NTP", "services", CRON, 17, 123, 4, 5, 16, 180, 1e6},
    {"SMTP", "mail", CRON, 6, 25, 1, 4, 9, 5000, 1e6},
    {"IMAP", "mail", CRON, 6, 143, 1, 3, 12, 4000, 1e6},
    {"FTP", "files", BULK, 6, 21, 3, 2, 35, 150000, 6e5},
    {"MySQL", "database", ASK, 6, 3306, 2, 2, 4, 2000, 1e6},
    {"SNMP", "services", CRON, 17, 161, 4, 2, 10, 400, 1e6},
    {"BitTorrent", "p2p", BULK, 6, 6881, 3, 3, 40, 300000, 3e5},
    {"RTP", "voice", CALL, 17, 42000, 3, 2, 45, 0, 16000},
    {"SIP", "voice", CRON, 17, 5060, 3, 2, 14, 1500, 1e6},
    {"Git", "files", BULK, 6, 9418, 0, 2, 50, 100000, 1e6},
    {"Rsync", "files", BULK, 6, 873, 0, 2, 60, 200000, 4e5},
    {"XMPP", "chat", CHAT, 6, 5222, 1, 3, 0.2, 250, 0},
    {"Iperf3", "test", BULK, 6, 5201, 3, 1, 70, 500000, 4e5},
};
#define APPS KT_ARRAY_LEN(apps)

struct flow {
    uint8_t app, client, server;
    uint16_t client_port, port;
    double left, rate; /* bytes still to go (a call: seconds) */
    bool begun, dead;
    unsigned tries;
};

struct sim {
    uint64_t rng;
    unsigned length, at;
    double pace, bulk; /* how this network differs from others */
    struct sim_incident incident[4];
    unsigned incidents;
    struct flow flow[FLOWS];
    unsigned flows;
    uint16_t next_port;
    unsigned scanned;
    double bytes; /* so far */
    double extra; /* bytes/s of a surge or crowd */
    double next[APPS][CLIENTS];
    struct kt_stream stream[128];
    struct kt_sample sample[128];
    size_t streams;
    struct kt_slice *slice;
    size_t slices;
    struct kt_interval interval;
};

static uint64_t next_random(struct sim *s)
{
    s->rng += 0x9e3779b97f4a7c15;
    return kt_mix64(s->rng, s->rng ^ 0xe7037ed1a0b428db);
}

uint64_t sim_random(struct sim *s, uint64_t below)
{
    return next_random(s) % below;
}

static double uniform(struct sim *s)
{
    return ((double)(next_random(s) >> 11) + 0.5) / 9007199254740992.0;
}

static double exponential(struct sim *s, double mean)
{
    return -mean * log(uniform(s));
}

static double normal(struct sim *s)
{
    return sqrt(-2 * log(uniform(s))) * cos(6.283185307179586 * uniform(s));
}

/* Pareto with a tail of 1.3 for bulk, log-normal for the rest. */
static double size_of(struct sim *s, const struct app *a)
{
    if (a->model == BULK)
        return fmin(a->size * s->bulk * pow(uniform(s), -1 / 1.3), a->size * s->bulk * 8);
    return a->size * exp(0.7 * normal(s));
}

static unsigned poisson(struct sim *s, double mean)
{
    if (mean > 50)
        return (unsigned)fmax(0, mean + sqrt(mean) * normal(s));
    unsigned n = 0;
    for (double p = exp(-mean), u = uniform(s); u > p && n < 200; n++)
        u *= uniform(s);
    return n;
}

struct sim *sim_new(uint64_t seed, unsigned length)
{
    struct sim *s = calloc(1, sizeof(*s));
    s->slice = calloc(SLICES, sizeof(*s->slice));
    s->rng = kt_mix64(seed + 1, 0x2545f4914f6cdd1d);
    s->length = length;
    s->next_port = 40000;
    s->pace = 0.6 + uniform(s);
    s->bulk = 0.5 + 1.5 * uniform(s);
    s->interval.first_interval = 1700000000 * KT_SECOND;
    for (unsigned a = 1; a < APPS; a++)
        for (unsigned c = 0; c < CLIENTS; c++)
            s->next[a][c] = exponential(s, fmin(apps[a].period, 12));
    return s;
}

void sim_free(struct sim *s)
{
    free(s->slice);
    free(s);
}

void sim_add(struct sim *s, struct sim_incident incident)
{
    s->incident[s->incidents++] = incident;
}

const char *sim_app_name(void *ctx, unsigned app)
{
    (void)ctx;
    return app < APPS ? apps[app].name : NULL;
}

const char *sim_server_of(unsigned app, char buf[32])
{
    snprintf(buf, 32, "10.0.2.%u", apps[app].server + 1u);
    return buf;
}

static const struct sim_incident *on(const struct sim *s, enum sim_kind kind)
{
    for (unsigned i = 0; i < s->incidents; i++)
        if (s->incident[i].kind == kind && s->at >= s->incident[i].from &&
            s->at < s->incident[i].to)
            return &s->incident[i];
    return NULL;
}

/* ---- points ---- */

static struct kt_sample *stream(struct sim *s, enum kt_stream_kind kind, const char *name)
{
    size_t i = 0;
    while (i < s->streams && (s->stream[i].kind != kind || strcmp(s->stream[i].name, name) != 0))
        i++;
    if (i == s->streams) {
        s->stream[i].kind = kind;
        snprintf(s->stream[i].name, sizeof(s->stream[i].name), "%s", name);
        s->sample[i] = (struct kt_sample){.stream = (uint32_t)i};
        s->streams++;
    }
    return &s->sample[i];
}

static void add(struct sim *s, enum kt_stream_kind kind, const char *name, int64_t bytes,
                int64_t packets, int64_t flows)
{
    struct kt_sample *p = stream(s, kind, name);
    p->value[0] += bytes;
    p->value[1] += packets;
    p->value[2] += flows;
}

static void count(struct sim *s, const struct kt_slice *x, const char *category)
{
    char port[32];
    bool well = false; /* ports nobody knows by number make no streams of their own */
    for (unsigned a = 1; a < APPS && !well; a++)
        well = apps[a].port == x->port[1] && apps[a].port < 1024;
    snprintf(port, sizeof(port), well ? "%s/%u" : "%s/dynamic", x->proto == 6 ? "tcp" : "udp",
             x->port[1]);
    int64_t bytes = (int64_t)x->bytes[0] + x->bytes[1], began = x->flags & KT_SLICE_NEW ? 1 : 0;
    int64_t packets = (int64_t)x->packets[0] + x->packets[1];
    s->bytes += (double)bytes;
    add(s, KT_STREAM_TOTAL, "", bytes, packets, began);
    add(s, KT_STREAM_APP, apps[x->app].name, bytes, packets, began);
    add(s, KT_STREAM_CATEGORY, category, bytes, packets, began);
    add(s, KT_STREAM_DIRECTION, "up", x->bytes[0], x->packets[0], began);
    add(s, KT_STREAM_DIRECTION, "down", x->bytes[1], x->packets[1], 0);
    add(s, KT_STREAM_PORT, port, bytes, packets, began);
    add(s, KT_STREAM_HEALTH, "refused", x->flags & KT_SLICE_REFUSED ? 1 : 0, began, 0);
    add(s, KT_STREAM_HEALTH, "unanswered", x->flags & KT_SLICE_UNANSWERED ? 1 : 0, began, 0);
}

/* ---- slices ---- */

static struct kt_slice *slice(struct sim *s, const struct flow *f)
{
    if (s->slices == SLICES)
        s->slices--;
    struct kt_slice *x = &s->slice[s->slices++];
    *x = (struct kt_slice){
        .port = {f->client_port, f->port}, .ip = 4, .proto = apps[f->app].proto, .app = f->app};
    memcpy(x->addr[0], (uint8_t[]){10, 0, 1, (uint8_t)(f->client + 1)}, 4);
    memcpy(x->addr[1], (uint8_t[]){10, 0, 2, (uint8_t)(f->server + 1)}, 4);
    return x;
}

static uint32_t round_trip(struct sim *s, const struct flow *f)
{
    double ms = 4 + 0.3 * f->client + fabs(normal(s));
    if (uniform(s) < 0.01)
        ms += exponential(s, 15); /* the host was busy */
    const struct sim_incident *path = on(s, SIM_PATH);
    if (path)
        ms += 2 * path->size * (0.9 + 0.2 * uniform(s));
    return (uint32_t)(ms * 1000);
}

/* A flow that nobody answers; false when its client gives up. */
static bool unanswered(struct sim *s, struct flow *f, bool refused)
{
    struct kt_slice *x = slice(s, f);
    bool tcp = x->proto == 6;
    x->app = f->tries ? f->app : SIM_NO_PAYLOAD;
    if (!f->begun)
        x->app = tcp ? SIM_NO_PAYLOAD : f->app;
    x->packets[0] = 1;
    x->bytes[0] = 74;
    x->tcp_flags = tcp ? KT_TCP_SYN : 0;
    if (!f->begun) {
        x->flags = KT_SLICE_NEW;
        if (refused) {
            x->flags |= KT_SLICE_REFUSED;
            x->packets[1] = 1;
            x->bytes[1] = 60;
            x->tcp_flags |= tcp ? KT_TCP_RST | KT_TCP_ACK : 0;
        } else
            x->flags |= KT_SLICE_UNANSWERED;
        f->begun = true;
        return !refused;
    }
    x->retransmits = tcp ? 1 : 0;
    return ++f->tries < 3;
}

static bool run(struct sim *s, struct flow *f)
{
    const struct app *a = &apps[f->app];
    const struct sim_incident *dead = on(s, SIM_OUTAGE), *mute = on(s, SIM_SILENCE);
    const struct sim_incident *path = on(s, SIM_PATH);
    if (dead && dead->app == f->app)
        return !f->begun && unanswered(s, f, true);
    if (mute && mute->app == f->app)
        return unanswered(s, f, false);
    double bytes, budget = f->rate * s->length * (0.7 + 0.6 * uniform(s));
    if (path && a->model != CALL)
        budget *= 0.3;
    if (a->model == CHAT) {
        bytes = a->size * poisson(s, a->period * s->length / s->pace);
        if (bytes == 0 && f->begun)
            return true;
    } else if (a->model == CALL) {
        bytes = fmin(f->left, s->length) * a->rate;
        f->left -= s->length;
    } else {
        bytes = fmin(f->left, budget);
        f->left -= bytes;
    }
    struct kt_slice *x = slice(s, f);
    unsigned packets = (unsigned)(bytes / 1200) + 1;
    x->packets[0] = packets / 2 + 2;
    x->packets[1] = packets + 1;
    x->bytes[0] = x->packets[0] * 66 + (a->model == CALL ? (uint32_t)bytes : 0);
    x->bytes[1] = (uint32_t)bytes + 60;
    x->tcp_flags = x->proto == 6 ? KT_TCP_ACK | KT_TCP_PSH : 0;
    if (!f->begun) {
        x->flags = KT_SLICE_NEW;
        x->tcp_flags |= x->proto == 6 ? KT_TCP_SYN : 0;
        x->rtt_us = x->proto == 6 ? round_trip(s, f) : 0;
        double lost = 0.003 + (path ? 2 * path->loss : 0);
        if (uniform(s) < lost) { /* the answer comes in the next interval, or never */
            x->flags |= KT_SLICE_UNANSWERED;
            x->packets[1] = x->bytes[1] = x->rtt_us = 0;
            x->packets[0] = 1;
            x->tcp_flags &= KT_TCP_SYN;
            f->left += bytes + 1;
        }
    }
    if (x->proto == 6 && x->packets[1])
        x->retransmits = (uint16_t)poisson(
            s, packets * (path ? path->loss : 0.0002 + (f->rate * s->length < bytes ? 0.01 : 0)));
    f->begun = true;
    return a->model == CHAT || f->left > 0;
}

static struct flow *open_flow(struct sim *s, unsigned app, unsigned client)
{
    if (s->flows == FLOWS)
        return NULL;
    struct flow *f = &s->flow[s->flows++];
    *f = (struct flow){.app = (uint8_t)app,
                       .client = (uint8_t)client,
                       .server = apps[app].server,
                       .client_port = s->next_port++,
                       .port = apps[app].port,
                       .left = size_of(s, &apps[app]),
                       .rate = apps[app].rate};
    if (apps[app].model == CALL)
        f->left = 5 + exponential(s, 20);
    if (s->next_port < 40000)
        s->next_port = 40000;
    return f;
}

static void arrivals(struct sim *s)
{
    for (unsigned a = 1; a < APPS; a++) {
        const struct app *app = &apps[a];
        for (unsigned c = 0; c < app->clients; c++) {
            if (app->model == CHAT) {
                bool there = false;
                for (unsigned i = 0; i < s->flows && !there; i++)
                    there = s->flow[i].app == a && s->flow[i].client == c;
                if (!there && (s->at == 0 || sim_random(s, 3) == 0))
                    open_flow(s, a, c);
                continue;
            }
            double now = (double)(s->at + 1) * s->length;
            while (s->next[a][c] < now) {
                open_flow(s, a, c);
                double period = app->period * s->pace;
                s->next[a][c] += app->model == CRON ? period * (0.95 + 0.1 * uniform(s))
                                                    : exponential(s, period);
            }
        }
    }
}

static void incidents(struct sim *s)
{
    const struct sim_incident *i;
    if (((i = on(s, SIM_SURGE)) || (i = on(s, SIM_CROWD))) && s->at == i->from)
        s->extra = i->size * s->bytes / (s->at * s->length);
    if ((i = on(s, SIM_SURGE)) && s->at == i->from) {
        struct flow *f = open_flow(s, APPS - 1, 2);
        if (f) {
            f->rate = s->extra;
            f->left = s->extra * (i->to - i->from) * s->length;
        }
    }
    if ((i = on(s, SIM_CROWD)))
        for (unsigned n = poisson(s, s->extra * s->length / 30000); n > 0; n--) {
            struct flow *f = open_flow(s, i->app, (unsigned)sim_random(s, CLIENTS));
            if (f)
                f->left = 30000 * exp(0.5 * normal(s));
        }
    if ((i = on(s, SIM_SCAN)))
        for (unsigned n = (unsigned)(i->size * s->length); n > 0; n--, s->scanned++) {
            struct flow f = {.client = CLIENTS,
                             .server = (uint8_t)(s->scanned % SERVERS),
                             .client_port = 50123,
                             .port = (uint16_t)(1 + s->scanned / SERVERS),
                             .app = SIM_REDIS};
            unanswered(s, &f, uniform(s) < 0.9);
        }
}

const struct kt_interval *sim_step(struct sim *s)
{
    s->slices = 0;
    for (size_t i = 0; i < s->streams; i++)
        memset(s->sample[i].value, 0, sizeof(s->sample[i].value));
    arrivals(s);
    incidents(s);
    unsigned kept = 0;
    for (unsigned i = 0; i < s->flows; i++) {
        struct flow f = s->flow[i];
        if (run(s, &f))
            s->flow[kept++] = f;
    }
    s->flows = kept;
    if (on(s, SIM_NOTHING)) /* the tap, or the link, is gone */
        s->slices = 0;
    stream(s, KT_STREAM_TOTAL, "");
    for (size_t i = 0; i < s->slices; i++)
        count(s, &s->slice[i], apps[s->slice[i].app].category);
    struct kt_interval *iv = &s->interval;
    iv->start = iv->first_interval + (int64_t)s->at * s->length * KT_SECOND;
    iv->length = s->length * KT_SECOND;
    iv->streams = s->stream;
    iv->stream_count = s->streams;
    iv->samples = s->sample;
    iv->sample_count = s->streams;
    iv->slices = s->slice;
    iv->slice_count = s->slices;
    s->at++;
    return iv;
}
