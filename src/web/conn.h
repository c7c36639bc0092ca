/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * A connection, as conn.c, reply.c and loop.c see it: of the loop's thread alone, but for the job
 * while `busy`. */
#ifndef KOTARE_WEB_CONN_H
#define KOTARE_WEB_CONN_H

#include "internal.h"

enum state { IDLE, HEAD, QUERY, ANSWER, LISTENING, LINGER };
#define IN(state) (1U << (state))

struct kt_web_conn {
    struct kt_web *web;
    struct kt_web_conn *next, *next_dead;
    int fd; /* -1: closed */
    enum state state;
    uint32_t events;      /* that epoll looks for */
    int64_t since, moved; /* in this state; when output was taken last */
    uint8_t peer[16];
    /* in */
    char in[KT_HTTP_HEAD];
    size_t in_len, scanned, head_len;
    struct kt_http_request ask;
    struct kt_web_job job;
    bool busy; /* the job is with jobs.c */
    /* out: a head, or what a listener is told; then a body, that is `own` or outlives it */
    struct kt_buf head, own;
    const char *body;
    size_t body_len, sent, taken, discarded;
    bool keep;
    struct kt_web_told told;
};

/* What the state waits for. */
void kt_conn_settle(struct kt_web_conn *c);
void kt_conn_enter(struct kt_web_conn *c, enum state state);
/* Closes it. The memory, and its `next`, stay until nobody can know of it any more. */
void kt_conn_drop(struct kt_web_conn *c);
/* It is freed when this round of the loop is over. */
void kt_conn_bury(struct kt_web_conn *c);
/* Who gives way: of the peer with the most connections in these states (a bit each), the one that
 * has been in its own for longest. */
struct kt_web_conn *kt_conn_yielding(struct kt_web *w, unsigned states);
void kt_conn_listeners(struct kt_web *w, int more);
/* False: it has to wait, or it is closed. */
bool kt_conn_put_out(struct kt_web_conn *c);
/* Goes on as far as it goes without waiting. */
void kt_conn_pump(struct kt_web_conn *c);
void kt_conn_serve(struct kt_web_conn *c, uint32_t events);

#endif
