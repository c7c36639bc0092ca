/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * ident: what application a flow belongs to. Rules are data (rules/protocols, format in
 * docs/rules.md); at load they become a bit-parallel matcher: bit vectors by byte value, length and
 * port give the candidates, and only what is left of a rule runs as bytecode, on the survivors.
 *
 *     struct kt_rules *rules;
 *     if (kt_rules_load_builtin(&rules, &err) < 0) …
 *     struct kt_verdict v;
 *     kt_ident_match(rules, &seen, &v);
 *     puts(kt_rules_label(rules, v.label)->name);
 *
 * Ownership: all texts of labels live as long as the rule set. `seen` is the caller's.
 *
 * Thread rule: a loaded rule set is read-only: all workers share it. Matching allocates nothing.
 *
 * Errors: loading gives KT_EFORMAT with "FILE:LINE: REASON" (offset: the line), or the system's
 * refusal to read a file. Matching can not fail: what no rule knows has a label that says so.
 *
 * Sources: rows of bits as in T. V. Lakshman and D. Stiliadis, High-Speed Policy-based Packet
 * Forwarding, 1998; what is known of most protocols, S. Alcock and R. Nelson, Libprotoident:
 * Traffic Classification Using Lightweight Packet Inspection, 2012.
 */
#ifndef KOTARE_IDENT_H
#define KOTARE_IDENT_H

#include <kotare/packet.h>

#define KT_IDENT_HEAD 32 /* payload bytes kept of each direction's first payload packet */

/* The first payload of one direction. All zero: the direction is silent. */
struct kt_first {
    uint32_t len;     /* payload length on the wire of that packet */
    uint8_t captured; /* how many of head[] are real, the rest is zero */
    uint8_t midway;   /* 1: TCP whose beginning was not seen, so this is somewhere in the stream */
    uint8_t head[KT_IDENT_HEAD];
};

/* All that rules may look at. Side 0 is the initiator (sender of the flow's first packet). */
struct kt_seen {
    uint8_t proto;           /* KT_PROTO_TCP or KT_PROTO_UDP; others get fixed labels */
    uint8_t ip;              /* 4 or 6 */
    uint16_t client, server; /* ports of side 0 and side 1 */
    uint16_t announced;      /* the label another flow announced it under; 0: none did */
    uint32_t ip4[2];         /* IPv4 addresses as host-order integers, 0 for IPv6 */
    struct kt_first dir[2];
};

/* Labels 0 … are fixed, those of the rules follow in order of loading. */
enum kt_label_fixed {
    KT_LABEL_UNKNOWN_TCP = 0, /* payload that no rule knows */
    KT_LABEL_UNKNOWN_UDP,
    KT_LABEL_NO_PAYLOAD, /* TCP without a byte of payload, so far or for ever */
    KT_LABEL_ICMP,
    KT_LABEL_OTHER_IP, /* neither TCP, UDP nor ICMP */
    KT_LABEL_NOT_IP,
    KT_LABEL_FIXED_COUNT
};

struct kt_label {
    const char *id;       /* "dns-udp": unique */
    const char *name;     /* "DNS": display name, may be shared by labels */
    const char *category; /* "services" */
    uint16_t app;         /* labels of one display name share an app number, 0 … apps-1 */
};

struct kt_verdict {
    uint16_t label;     /* index for kt_rules_label() */
    uint8_t confidence; /* percent */
    uint16_t accept;    /* which accept line of the rule held, counted from 1; 0: none. With
                           KT_ACCEPT_ANNOUNCED: which announced line */
};
#define KT_ACCEPT_ANNOUNCED 0x8000

struct kt_rules;

/* Loads n paths in their order, each a file or a folder whose *.rule files are read by name. The
 * error names file, line and reason; a path without a rule is one. */
KT_MUST_USE int kt_rules_load(struct kt_rules **rules, const char *const *paths, unsigned n,
                              struct kt_error *err);
/* The rules that are built into the program (embedded at build time from rules/protocols). */
KT_MUST_USE int kt_rules_load_builtin(struct kt_rules **rules, struct kt_error *err);
/* Both: own blocks replace the built-in ones of their identifier, also when they are switched off,
 * and are tried first among those of one priority. */
KT_MUST_USE int kt_rules_load_beside(struct kt_rules **rules, const char *const *paths, unsigned n,
                                     struct kt_error *err);
/* Rules from memory; `name` stands for the file in messages. */
KT_MUST_USE int kt_rules_load_text(struct kt_rules **rules, const char *name, const char *text,
                                   size_t len, struct kt_error *err);
void kt_rules_free(struct kt_rules *rules);

unsigned kt_rules_labels(const struct kt_rules *rules); /* how many, fixed ones included */
const struct kt_label *kt_rules_label(const struct kt_rules *rules, unsigned label);
unsigned kt_rules_apps(const struct kt_rules *rules); /* distinct display names */
const char *kt_rules_app_name(const struct kt_rules *rules, unsigned app);
const char *kt_rules_app_category(const struct kt_rules *rules, unsigned app);

/* The first rule by priority that accepts, else an UNKNOWN label. What another flow announced comes
 * before all rules when an announced line of that label holds. */
void kt_ident_match(const struct kt_rules *rules, const struct kt_seen *seen,
                    struct kt_verdict *verdict);
/* A sentence: which rule and which line of it, in which file, on what bytes. */
void kt_ident_explain(const struct kt_rules *rules, const struct kt_seen *seen,
                      const struct kt_verdict *verdict, struct kt_buf *out);

/* A line of the rules that a verdict may stand on: its `accept` and `confidence` are those of the
 * verdict. Blocks of one identifier, each with a line 1, share a label. */
struct kt_rule_line {
    const char *file, *text; /* "tls.rule", "server-hello <-> any" */
    unsigned line;
    uint16_t accept;
    uint8_t confidence;
    int priority; /* from KT_PRIORITY_PORT on, the port is all that speaks for it */
};
#define KT_PRIORITY_PORT 900
/* Line `i`, counted from 0, of those of a label; false: it has no more. */
bool kt_rules_line(const struct kt_rules *rules, unsigned label, unsigned i,
                   struct kt_rule_line *line);

/* Matches every example: line of the rules (of own ones beside the built-in, only theirs). The
 * error names the first that comes out otherwise. Loading does not do it. */
KT_MUST_USE int kt_rules_check(const struct kt_rules *rules, struct kt_error *err);

/* ---- what one flow says of another ---- */

/* An endpoint that a payload names, and what will be spoken there. */
struct kt_announcement {
    uint8_t addr[16]; /* as in a key */
    uint8_t peer[16]; /* the flow comes from there … */
    bool anyone;      /* … or from anywhere */
    uint8_t ip, proto;
    uint16_t port;
    uint16_t label;
    int64_t life; /* nanoseconds that it holds from the packet's time on */
};
#define KT_ANNOUNCEMENTS 16 /* of one payload, at most */

/* The first test, for every packet: true when its payload begins as one that announces may. */
static inline bool kt_ident_may_announce(const struct kt_packet *p);
/* What the payload of a decoded packet announces, by the `announces:` lines of the rules. */
unsigned kt_ident_announcements(const struct kt_rules *rules, const struct kt_packet *p,
                                struct kt_announcement out[KT_ANNOUNCEMENTS]);
/* Does any rule announce anything? */
bool kt_rules_announce(const struct kt_rules *rules);

/* What a payload says beyond its first bytes: a host or server name. */
enum kt_name_kind { KT_NAME_NONE, KT_NAME_SNI, KT_NAME_HTTP_HOST, KT_NAME_DNS };
#define KT_NAME_MAX 128 /* longer names are cut; not NUL-terminated by kt_ident_name() */

/* Looks into the first payload of a direction for a name (TLS ClientHello, HTTP Host, DNS
 * question). Returns its kind and puts at most KT_NAME_MAX bytes, only letters, digits and "-._:"
 * (others become '?'), into name with its length. */
enum kt_name_kind kt_ident_name(uint8_t proto, const uint8_t *payload, size_t captured,
                                char name[KT_NAME_MAX], uint8_t *len);

/* ---- inline ---- */

/* Where the first four bytes of what announces, in lower case, stand in kt_announce_first[]. The
 * factor sends no two of them to one place. */
#define KT_ANNOUNCE_PLACE(first) ((uint32_t)(first)*UINT32_C(0x5fec898f) >> 27)
extern const uint32_t kt_announce_first[32];

static inline bool kt_ident_may_announce(const struct kt_packet *p)
{
    if (p->payload_len < 10 || p->caplen < p->payload + 10u)
        return false;
    uint32_t first = kt_le32(p->data + p->payload) | UINT32_C(0x20202020);
    return kt_announce_first[KT_ANNOUNCE_PLACE(first)] == first || (uint16_t)first == 0x2120 ||
           (uint16_t)first == 0x2220; /* TFTP: 0 1, 0 2 */
}

#endif
