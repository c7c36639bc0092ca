/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Where sound and pictures will go: session descriptions (SDP, RFC 8866) in SIP messages, and the
 * Transport header of RTSP (RFC 2326, 7826).
 */
#include "ident/rules.h"
#include <stdlib.h>

static bool starts(const char *p, size_t len, const char *with)
{
    size_t n = strlen(with);
    return len >= n && !strncasecmp(p, with, n);
}

/* An address that ends where the text ends or at one of `stops`. */
static bool address(const char *p, const char *end, const char *stops, uint8_t addr[16],
                    uint8_t *ip)
{
    char text[KT_ADDR_TEXT] = "";
    size_t n = 0;
    int version;
    for (; p < end && !strchr(stops, *p); p++) {
        if (n + 1 == sizeof text)
            return false;
        text[n++] = *p;
    }
    if (kt_addr_parse(text, addr, &version) < 0)
        return false;
    *ip = (uint8_t)version;
    return true;
}

/* ---- SDP ---- */

struct place {
    uint8_t addr[16], ip; /* ip 0: not told */
};

struct media {
    long port, ports, rtcp_port;
    struct place at, rtcp_at;
};

/* "IN IP4 10.0.0.1/127" */
static void place(const char *p, const char *end, struct place *out)
{
    static const uint8_t nowhere[16];
    struct place found = {.ip = 0};
    if (starts(p, (size_t)(end - p), "IN IP") && end - p > 7 && p[6] == ' ' &&
        address(p + 7, end, "/ \t", found.addr, &found.ip) && memcmp(found.addr, nowhere, 16))
        *out = found;
    else
        out->ip = 0; /* a name, or a call on hold: never mind what stood above */
}

static void endpoint(struct announcing *a, enum announce_reader reader, const struct place *at,
                     long port)
{
    struct kt_announcement *n =
        at->ip && port > 0 ? announce(a, reader, KT_PROTO_UDP, 0, (unsigned)port) : NULL;
    if (!n)
        return;
    memcpy(n->addr, at->addr, sizeof n->addr);
    n->ip = at->ip;
    n->anyone = true;
}

static void media_done(struct announcing *a, const struct media *m)
{
    for (long i = 0; i < m->ports && i < 4 && m->port; i++) {
        endpoint(a, READ_SDP, &m->at, m->port + 2 * i);
        endpoint(a, READ_SDP_RTCP, m->rtcp_at.ip ? &m->rtcp_at : &m->at,
                 m->rtcp_port ? m->rtcp_port : m->port + 2 * i + 1);
    }
}

/* "audio 49170/2 RTP/AVP 0 8": all that is RTP over UDP. */
static struct media media_line(const char *p, const char *end, const struct place *session)
{
    struct media m = {.at = *session, .ports = 1};
    while (p < end && *p != ' ')
        p++;
    while (p < end && *p == ' ')
        p++;
    long port = announce_number(&p, end, 65535);
    if (p < end && *p == '/') {
        p++;
        m.ports = announce_number(&p, end, 65535);
    }
    if (port <= 0 || p == end || *p++ != ' ')
        return m;
    size_t n = 0, left = (size_t)(end - p);
    while (n < left && p[n] != ' ')
        n++;
    if (!starts(p, n, "TCP/") && memmem(p, n, "RTP/", 4))
        m.port = port;
    return m;
}

/* "a=rtcp:53020 IN IP6 2001:db8::1" (RFC 3605) */
static void rtcp_line(const char *p, const char *end, struct media *m)
{
    long port = announce_number(&p, end, 65535);
    if (port <= 0)
        return;
    m->rtcp_port = port;
    if (p < end && *p == ' ')
        place(p + 1, end, &m->rtcp_at);
}

static void session(struct announcing *a)
{
    struct place whole = {.ip = 0};
    struct media m = {.port = 0};
    bool in_media = false;
    const char *line;
    size_t len;
    while (announce_line(a, &line, &len)) {
        const char *end = line + len;
        if (len < 2 || line[1] != '=')
            break;
        if (*line == 'm') {
            media_done(a, &m);
            m = media_line(line + 2, end, &whole);
            in_media = true;
        } else if (*line == 'c') {
            place(line + 2, end, in_media ? &m.at : &whole);
        } else if (starts(line, len, "a=rtcp:")) {
            rtcp_line(line + 7, end, &m);
        }
    }
    media_done(a, &m);
}

void announce_sdp(struct announcing *a)
{
    const char *p = a->at;
    if (*p != 'v') { /* behind the header of a SIP message */
        p = memmem(p, (size_t)(a->end - p), "\r\n\r\n", 4);
        if (!p)
            return;
        p += 4;
        /* Or in one of several parts. */
        if (a->end - p >= 4 && memcmp(p, "v=0", 3)) {
            p = memmem(p, (size_t)(a->end - p), "\nv=0", 4);
            if (!p)
                return;
            p++;
        }
    }
    a->at = p;
    if (a->end - p > 4 && !memcmp(p, "v=0", 3))
        session(a);
}

/* ---- RTSP ---- */

struct transport {
    long client[2], server[2]; /* ports for RTP and RTCP, 0: none */
    struct place source, destination;
};

static void ports(const char *p, const char *end, long port[2])
{
    long n = announce_number(&p, end, 65535);
    if (n <= 0)
        return;
    port[0] = n;
    port[1] = 0;
    if (p < end && *p++ == '-') {
        n = announce_number(&p, end, 65535);
        port[1] = n > 0 ? n : 0;
    }
}

/* One of the offers of a Transport header; false: not over UDP. */
static bool offer(const char *p, const char *end, struct transport *t)
{
    *t = (struct transport){.client = {0}};
    for (bool first = true; p < end; first = false) {
        const char *stop = memchr(p, ';', (size_t)(end - p));
        size_t len = (size_t)((stop ? stop : end) - p);
        if (first && (!starts(p, len, "RTP/") || memmem(p, len, "/TCP", 4)))
            return false;
        if (starts(p, len, "client_port="))
            ports(p + 12, p + len, t->client);
        else if (starts(p, len, "port="))
            ports(p + 5, p + len, t->client);
        else if (starts(p, len, "server_port="))
            ports(p + 12, p + len, t->server);
        else if (starts(p, len, "source="))
            address(p + 7, p + len, "", t->source.addr, &t->source.ip);
        else if (starts(p, len, "destination="))
            address(p + 12, p + len, "", t->destination.addr, &t->destination.ip);
        p += len + 1;
    }
    return true;
}

static void rtsp_endpoint(struct announcing *a, unsigned side, const long port[2],
                          const struct place *at, const struct place *peer)
{
    for (int i = 0; i < 2; i++) {
        struct kt_announcement *n =
            announce(a, i ? READ_RTSP_RTCP : READ_RTSP, KT_PROTO_UDP, side, (unsigned)port[i]);
        if (n && at->ip) {
            memcpy(n->addr, at->addr, sizeof n->addr);
            n->ip = at->ip;
        }
        if (n && peer->ip == n->ip)
            memcpy(n->peer, peer->addr, sizeof n->peer);
        else if (n)
            n->anyone = peer->ip || n->ip != a->packet->key.ip;
    }
}

void announce_rtsp(struct announcing *a)
{
    unsigned client = (*a->at | 0x20) == 's' ? 0 : 1; /* SETUP is the client's */
    const char *line;
    size_t len;
    while (announce_line(a, &line, &len) && len) {
        if (!starts(line, len, "transport:"))
            continue;
        for (const char *p = line + 10, *end = line + len; p < end;) {
            struct transport t;
            const char *stop = memchr(p, ',', (size_t)(end - p));
            stop = stop ? stop : end;
            while (p < stop && *p == ' ')
                p++;
            if (offer(p, stop, &t)) {
                rtsp_endpoint(a, client, t.client, &t.destination, &t.source);
                rtsp_endpoint(a, !client, t.server, &t.source, &t.destination);
            }
            p = stop + 1;
        }
    }
}
