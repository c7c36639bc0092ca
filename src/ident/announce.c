/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Payloads that tell of flows to come: which endpoint, and what will be spoken there. Which
 * protocol announces which is data (`announces: ftp-data by ftp`); how to read it is one of a few
 * readers here, because no expression over first bytes could.
 */
#include "ident/rules.h"
#include <stdlib.h>

#define FIRST(word) [KT_ANNOUNCE_PLACE(word)] = (word)
const uint32_t kt_announce_first[32] = {
    FIRST(0x20373232u), /* "227 ": PASV */
    FIRST(0x20393232u), /* "229 ": EPSV */
    FIRST(0x20303032u), /* "200 ", "226 ": a reply before one of these two, in one segment */
    FIRST(0x20363232u), FIRST(0x74726f70u), /* "PORT" */
    FIRST(0x74727065u),                     /* "EPRT" */
    FIRST(0x65707974u),                     /* "TYPE": before one of these two */
    FIRST(0x2f706973u),                     /* "SIP/" */
    FIRST(0x69766e69u),                     /* "INVITE" */
    FIRST(0x206b6361u),                     /* "ACK " */
    FIRST(0x61647075u),                     /* "UPDATE" */
    FIRST(0x63617270u),                     /* "PRACK" */
    FIRST(0x2d303d76u),                     /* "v=0\r": a body in a segment of its own */
    FIRST(0x70737472u),                     /* "RTSP" */
    FIRST(0x75746573u),                     /* "SETUP" */
};

/* From saying so to the first packet: what Linux's helpers of connection tracking allow for. */
static const struct {
    const char *name;
    int seconds;
} readers[READERS] = {
    [READ_FTP] = {"ftp", 300},
    [READ_SDP] = {"sdp", 180},
    [READ_SDP_RTCP] = {"sdp-rtcp", 180},
    [READ_RTSP] = {"rtsp", 120},
    [READ_RTSP_RTCP] = {"rtsp-rtcp", 120},
    [READ_TFTP] = {"tftp", 60},
};

/* ---- what readers use ---- */

struct kt_announcement *announce(struct announcing *a, enum announce_reader reader, uint8_t proto,
                                 unsigned side, unsigned port)
{
    const struct kt_key *k = &a->packet->key;
    uint16_t label = a->rules->announces[reader];
    if (!label || a->n == KT_ANNOUNCEMENTS || port == 0 || port > 65535)
        return NULL;
    struct kt_announcement *n = &a->out[a->n++];
    *n = (struct kt_announcement){.ip = k->ip,
                                  .proto = proto,
                                  .port = (uint16_t)port,
                                  .label = label,
                                  .life = readers[reader].seconds * KT_SECOND};
    memcpy(n->addr, k->addr[side], sizeof n->addr);
    memcpy(n->peer, k->addr[!side], sizeof n->peer);
    return n;
}

bool announce_line(struct announcing *a, const char **line, size_t *len)
{
    if (a->at >= a->end)
        return false;
    const char *nl = memchr(a->at, '\n', (size_t)(a->end - a->at));
    const char *stop = nl ? nl : a->end;
    *line = a->at;
    a->at = nl ? nl + 1 : a->end;
    if (stop > *line && stop[-1] == '\r')
        stop--;
    *len = (size_t)(stop - *line);
    return true;
}

long announce_number(const char **p, const char *end, long max)
{
    long v = -1;
    for (; *p < end && **p >= '0' && **p <= '9'; (*p)++) {
        v = (v < 0 ? 0 : v) * 10 + (**p - '0');
        if (v > max)
            return -1;
    }
    return v;
}

/* ---- FTP (RFC 959, 2428) ---- */

static bool command(const char *line, size_t len, const char *name)
{
    for (unsigned i = 0; i < 4; i++)
        if (len < 5 || (line[i] | 0x20) != name[i])
            return false;
    return line[4] == ' ';
}

/* h1,h2,h3,h4,p1,p2 */
static bool host_port(const char *p, const char *end, uint8_t addr[16], unsigned *port)
{
    uint8_t v[6];
    for (int i = 0; i < 6; i++) {
        if (i && (p == end || *p++ != ','))
            return false;
        long n = announce_number(&p, end, 255);
        if (n < 0)
            return false;
        v[i] = (uint8_t)n;
    }
    memset(addr, 0, 16);
    memcpy(addr, v, 4);
    *port = v[4] * 256u + v[5];
    return true;
}

/* |1|132.235.1.2|6275|, |2|1080::8:800:200C:417A|5282| or |||6446|; *ip 0: no address. */
static bool extended(const char *p, const char *end, uint8_t addr[16], int *ip, unsigned *port)
{
    char text[KT_ADDR_TEXT] = "";
    if (end - p < 5)
        return false;
    char mark = *p++;
    *ip = 0;
    if (*p != mark)
        p++;
    if (mark < 33 || p == end || *p++ != mark)
        return false;
    const char *stop = memchr(p, mark, (size_t)(end - p));
    if (!stop || (size_t)(stop - p) >= sizeof text)
        return false;
    memcpy(text, p, (size_t)(stop - p));
    if (stop > p && kt_addr_parse(text, addr, ip) < 0)
        return false;
    p = stop + 1;
    long n = announce_number(&p, end, 65535);
    *port = n > 0 ? (unsigned)n : 0;
    return n > 0 && p < end && *p == mark;
}

/* The endpoint is the sender's. An address that is not may be one behind a translator, or a third
 * host: the flow may go to either. */
static void ftp_endpoint(struct announcing *a, const uint8_t addr[16], int ip, unsigned port)
{
    struct kt_announcement *own = announce(a, READ_FTP, KT_PROTO_TCP, 0, port);
    if (!own || !ip || (ip == own->ip && !memcmp(own->addr, addr, 16)))
        return;
    struct kt_announcement *other = announce(a, READ_FTP, KT_PROTO_TCP, 0, port);
    if (other) {
        memcpy(other->addr, addr, 16);
        other->ip = (uint8_t)ip;
        other->anyone = true;
    }
}

static void ftp(struct announcing *a)
{
    const char *line;
    size_t len;
    uint8_t addr[16] = {0};
    unsigned port;
    int ip;
    for (int i = 0; i < 8 && announce_line(a, &line, &len); i++) {
        const char *end = line + len, *p = line + (len < 5 ? len : 5);
        if (command(line, len, "port")) {
            if (host_port(p, end, addr, &port))
                ftp_endpoint(a, addr, 4, port);
        } else if (command(line, len, "eprt")) {
            if (extended(p, end, addr, &ip, &port))
                ftp_endpoint(a, addr, ip, port);
        } else if (len > 4 && !memcmp(line, "227 ", 4)) { /* RFC 1123: the text is free */
            for (p = line + 4; p < end && (*p < '0' || *p > '9'); p++)
                continue;
            if (host_port(p, end, addr, &port))
                ftp_endpoint(a, addr, 4, port);
        } else if (len > 4 && !memcmp(line, "229 ", 4)) {
            p = memchr(line, '(', len);
            if (p && extended(p + 1, end, addr, &ip, &port))
                ftp_endpoint(a, addr, ip, port);
        }
    }
}

/* ---- TFTP (RFC 1350): the answer comes from another port ---- */

static bool tftp(struct announcing *a)
{
    const char *p = a->at;
    if (p[0] != 0 || (p[1] != 1 && p[1] != 2))
        return false;
    const char *file = p + 2, *stop = memchr(file, 0, (size_t)(a->end - file));
    if (!stop || stop == file)
        return false;
    for (p = file; p < stop; p++)
        if (*p < 0x20 || *p == 0x7f)
            return false;
    struct announcing rest = *a;
    rest.at = stop + 1;
    return (rest.end - rest.at >= 6 && !strncasecmp(rest.at, "octet", 6)) ||
           (rest.end - rest.at >= 9 && !strncasecmp(rest.at, "netascii", 9));
}

/* ---- all of them ---- */

unsigned kt_ident_announcements(const struct kt_rules *rules, const struct kt_packet *p,
                                struct kt_announcement out[KT_ANNOUNCEMENTS])
{
    uint16_t not_these = KT_PKT_FRAGMENT_LATER | KT_PKT_ICMP_ERROR;
    uint32_t captured = kt_payload_captured(p);
    if (captured < 10 || !(p->flags & KT_PKT_TRANSPORT) || p->flags & not_these ||
        (p->proto != KT_PROTO_TCP && p->proto != KT_PROTO_UDP))
        return 0;
    const char *text = (const char *)p->data + p->payload;
    struct announcing a = {
        .rules = rules, .packet = p, .at = text, .end = text + captured, .out = out};
    if (p->proto == KT_PROTO_UDP && tftp(&a))
        announce(&a, READ_TFTP, KT_PROTO_UDP, 0, p->key.port[0]);
    else if (!strncasecmp(text, "RTSP/", 5) || !strncasecmp(text, "SETUP", 5))
        announce_rtsp(&a);
    else if (p->proto == KT_PROTO_TCP &&
             ((*text == '2' && text[3] == ' ') || !strncasecmp(text, "port", 4) ||
              !strncasecmp(text, "eprt", 4) || !strncasecmp(text, "type", 4)))
        ftp(&a);
    else
        announce_sdp(&a);
    return a.n;
}

bool kt_rules_announce(const struct kt_rules *rules)
{
    for (int i = 0; i < READERS; i++)
        if (rules->announces[i])
            return true;
    return false;
}

/* ---- the lines of the rules ---- */

static const struct rule *protocol(const struct kt_rules *s, const char *id, size_t len)
{
    const struct rule *found = NULL;
    for (const struct rule *r = s->rules; r; r = r->next) {
        if (r->shared || strlen(r->id) != len || memcmp(r->id, id, len))
            continue;
        if (!found || (r->announced.n && r->enabled))
            found = r;
    }
    return found;
}

static int line(struct kt_rules *s, const struct rule *r, const struct rule_line *l,
                struct kt_error *err)
{
    size_t len = strcspn(l->value, " ");
    const char *by = l->value + len;
    const struct rule *told = protocol(s, l->value, len);
    int n = 0;
    if (strncmp(by, " by ", 4))
        return rule_fail(err, r, l->line, "expected 'PROTOCOL by READER', found '%.60s'", l->value);
    while (n < READERS && strcmp(readers[n].name, by + 4))
        n++;
    if (n == READERS)
        return rule_fail(err, r, l->line, "there is no reader '%.40s'", by + 4);
    if (!told)
        return rule_fail(err, r, l->line, "there is no protocol '%.*s'", (int)len, l->value);
    if (r->builtin && !told->builtin && !told->announced.n)
        return KT_OK; /* somebody's own rule in the place of ours, who wants nothing announced */
    if (told->enabled && !told->announced.n)
        return rule_fail(err, r, l->line, "'%s' has no 'announced:' line", told->id);
    const struct rule *before = s->announcer[n];
    if (!r->enabled || !told->enabled || (before && before->priority <= r->priority))
        return KT_OK;
    s->announcer[n] = r;
    s->announces[n] = (uint16_t)told->label;
    return KT_OK;
}

/* Gathers the announced lines of all rules. */
static int gather(struct kt_rules *s, struct kt_error *err)
{
    struct column_list *all = &s->announced;
    for (const struct rule *r = s->rules; r; r = r->next)
        all->cap += r->announced.n;
    all->v = kt_arena_alloc(&s->arena, (all->cap + 1) * sizeof *all->v);
    if (!all->v)
        return kt_fail(err, KT_ENOMEM, 0, "no memory for rules");
    for (const struct rule *r = s->rules; r; r = r->next) {
        for (unsigned i = 0; i < r->announced.n && !r->shared && r->enabled; i++) {
            all->v[all->n] = r->announced.v[i];
            all->v[all->n++].confidence = 95;
        }
    }
    return KT_OK;
}

int rule_announces(struct kt_rules *s, struct kt_error *err)
{
    for (const struct rule *r = s->rules; r; r = r->next) {
        for (unsigned i = 0; i < r->n_lines && !r->shared; i++) {
            int rc = strcmp(r->lines[i].key, "announces") ? KT_OK : line(s, r, &r->lines[i], err);
            if (rc < 0)
                return rc;
        }
    }
    return gather(s, err);
}
