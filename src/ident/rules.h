/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Inside of ident: what the loader makes of rule files, and what the matcher needs of it.
 *
 * An accept line becomes one column: two sides (an expression for either direction) and a
 * condition on the ports. Columns stand in the order of their priority, so the lowest that holds
 * wins. index.c turns the columns of a transport into rows of bits.
 */
#ifndef KOTARE_IDENT_RULES_H
#define KOTARE_IDENT_RULES_H

#include <kotare/expr.h>
#include <kotare/ident.h>

/* A line "key name: value", its continuation lines included. */
struct rule_line {
    const char *key, *name, *value; /* name: of a shape, else NULL */
    unsigned line, column;          /* where the value begins */
};

struct rule_shape {
    struct rule_shape *next;
    const char *name;
    struct kt_expr **alternative; /* its `shape` lines */
    const struct rule_line **line;
    unsigned n;
    bool or_silent;
    enum { SHAPE_FRESH, SHAPE_BUSY, SHAPE_DONE } state;
    struct kt_expr *whole;
};

/* One accept line, or a combination of a pair's line with one. */
struct column {
    const struct kt_expr *side[2]; /* NULL: anything */
    const struct kt_expr *when;    /* NULL: always */
    struct rule *rule;
    const struct rule_line *line;
    uint16_t accept; /* counted from 1 within the rule */
    bool directed;   /* side[0] is the initiator's */
    uint8_t confidence;
};

struct column_list {
    struct column *v;
    unsigned n, cap;
};

struct rule {
    struct rule *next;
    const char *file, *id, *name, *category;
    bool shared, enabled, tcp, udp;
    bool builtin;
    int priority, confidence; /* confidence 0: computed */
    unsigned line, order, label;
    struct rule_shape *shapes;
    struct rule_line *lines;
    unsigned n_lines;
    struct column_list accepts, refuses, announced;
    const struct kt_expr *usual; /* usual-port as a condition, or NULL */
};

/* The first bytes are indexed, and those further in that tell most where the first tell little. */
enum { BYTES_FIRST = 4, BYTES_INDEXED = 8, LEN_EXACT = 1536 };

/* Rows of bits, each kind stored once; `of` maps a value to its row. */
struct row_set {
    uint32_t *of; /* where in rows */
    uint64_t *rows;
    unsigned values, n, words;
};

struct index {
    struct column *column;
    unsigned n, words;
    uint8_t at[BYTES_INDEXED];               /* which bytes */
    struct row_set byte[BYTES_INDEXED], len; /* a row: words for side 0, words for side 1 */
    uint64_t named[1024];                    /* ports that some rule speaks of */
    uint16_t *port;                          /* number of a named port; 0 for the rest */
    /* rows of `words`: a named server and another client, … , neither named */
    struct row_set server, client, server_any, client_any;
};

/* Who reads announcements out of payloads; the names that `announces:` lines use. */
enum announce_reader {
    READ_FTP,
    READ_SDP,
    READ_SDP_RTCP,
    READ_RTSP,
    READ_RTSP_RTCP,
    READ_TFTP,
    READERS
};

struct kt_rules {
    struct kt_arena arena;
    struct rule *rules, **last;
    unsigned n_rules;
    struct index index[2]; /* TCP, UDP */
    struct kt_label *labels;
    unsigned n_labels, n_apps;
    const char **app_name, **app_category;
    struct {
        struct kt_expr **v;
        size_t n, cap;
    } exprs; /* all that were compiled, to be freed */
    const struct kt_expr *is_silent;
    struct column_list announced;          /* the announced lines of all rules */
    const struct rule *announcer[READERS]; /* whose `announces:` line names the reader */
    uint16_t announces[READERS];           /* what it tells of: a label, 0: nothing */
};

enum rule_field {
    FIELD_PAYLOAD,
    FIELD_PEER_PAYLOAD,
    FIELD_LEN,
    FIELD_PEER_LEN,
    FIELD_IP4,
    FIELD_PEER_IP4,
    FIELD_MIDWAY,
    FIELD_PEER_MIDWAY,
    FIELD_SERVER,
    FIELD_CLIENT,
    FIELD_PORT,
};
extern const struct kt_expr_field rule_fields[];

/* A flow seen from one side. */
struct rule_view {
    const struct kt_seen *seen;
    unsigned side;
};
void rule_load(const void *object, unsigned field, struct kt_expr_value *v);
bool rule_column_holds(const struct column *c, const struct kt_seen *seen);
bool rule_refused(const struct rule *r, const struct kt_seen *seen);

/* text.c: a file's text to blocks, appended to the rules; own ones before those that are built in.
 */
int rule_parse(struct kt_rules *r, const char *file, const char *text, size_t len,
               struct kt_error *err);
int rule_fail(struct kt_error *err, const struct rule *r, unsigned line, const char *format, ...)
    KT_PRINTF(4, 5);
/* compile.c: shapes and accept lines to columns. */
int rule_compile(struct kt_rules *r, struct kt_error *err);
/* index.c */
int rule_index(struct kt_rules *r, struct kt_error *err);
void rule_index_free(struct index *x);
/* announce.c: the `announces:` lines, once the labels are there. */
int rule_announces(struct kt_rules *r, struct kt_error *err);

/* What readers of announcements fill. */
struct announcing {
    const struct kt_rules *rules;
    const struct kt_packet *packet;
    const char *at, *end; /* the payload that was captured */
    struct kt_announcement *out;
    unsigned n;
};
/* Adds what the reader's line tells of; from side `side` of the packet, to be reached from the
 * other one, until somebody says otherwise. NULL: nobody wants it, or there are too many. */
struct kt_announcement *announce(struct announcing *a, enum announce_reader reader, uint8_t proto,
                                 unsigned side, unsigned port);
/* The next line without its end, at most the whole rest; false: there is none. */
bool announce_line(struct announcing *a, const char **line, size_t *len);
/* A number up to `max`, and a step over it; -1: there is none. */
long announce_number(const char **p, const char *end, long max);
/* announce_media.c */
void announce_sdp(struct announcing *a);
void announce_rtsp(struct announcing *a);

/* build.c: parsed blocks to a rule set that matches. */
int rule_finish(struct kt_rules *r, struct kt_error *err);
/* The oracle of tests and of bench: column by column. */
void rule_match_slowly(const struct kt_rules *r, const struct kt_seen *seen,
                       struct kt_verdict *verdict);

struct rule_text {
    const char *name, *text;
    unsigned long len;
};
extern const struct rule_text rule_builtin[]; /* ends with a NULL name */

#endif
