/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * conn.c has the connections, on one thread that never waits for anything else; http.c reads what
 * they ask, server.c says who answers, jobs.c has the replies of docs/api.md made by api.c,
 * stream.c says what is pushed. */
#ifndef KOTARE_WEB_INTERNAL_H
#define KOTARE_WEB_INTERNAL_H

#include "http.h"
#include <kotare/web.h>
#include <pthread.h>
#include <sys/socket.h>

enum {
    READERS = 8,       /* handles on the store kept open */
    WORKERS = 4,       /* queries at once, */
    WORKERS_PEER = 3,  /* of one peer, */
    QUEUE = 64,        /* and those that wait */
    CONNECTIONS = 256, /* LISTENERS + QUEUE + WORKERS are fewer: some can always give way */
    LISTENERS = 64,
};

struct kt_web_conn;

/* A question to the store; part of its connection. */
struct kt_web_job {
    struct kt_web_conn *conn;
    const struct kt_http_request *ask;
    uint8_t peer[16]; /* who asks: an address, of IPv6 the first half */
    int64_t until;    /* kt_monotonic(): no answer is worth more than that */
    struct kt_flag left;
    struct kt_buf out;
    unsigned status;
    struct kt_web_job *next;
};

struct kt_web {
    struct kt_web_options opt;
    char *store_path;
    char url[128];
    int64_t patience;
    pthread_mutex_t lock;
    struct kt_flag closing, ended;    /* asked to stop; nothing but the connections runs any more */
    struct kt_store *reader[READERS]; /* idle ones, under the lock */
    unsigned readers;
    /* loop.c; of its thread alone */
    pthread_t loop;
    bool looping, deaf; /* deaf: no descriptor was left, so nobody is accepted for a moment */
    int epoll, wake_fd, listen_fd;
    struct kt_web_conn *conns, *dead;
    unsigned conn_count, stream_count;
    size_t held; /* bytes of answers that are not taken yet */
    int64_t swept;
    /* jobs.c, under the lock */
    pthread_cond_t work;
    pthread_t worker[WORKERS];
    unsigned workers, queued;
    struct kt_web_job *jobs, **jobs_end, *done, *running[WORKERS];
    /* stream.c, under the lock */
    pthread_cond_t wake;
    pthread_t ticker;
    bool ticking, changed;
    unsigned listeners;
    struct kt_buf last_status, last_events;
    uint64_t status_number, events_number; /* of the messages so far */
};

/* A handle on the store for one request. */
int kt_web_reader_get(struct kt_web *w, struct kt_store **st, struct kt_error *err);
void kt_web_reader_put(struct kt_web *w, struct kt_store *st);

/* Makes the reply to GET /api/v1/…: `out` and `status` of the job. */
#define KT_WEB_API "/api/v1/"
void kt_web_api(struct kt_web *w, struct kt_web_job *job);
void kt_web_status_json(struct kt_web *w, struct kt_buf *out);
int kt_web_events_json(struct kt_store *st, int64_t from, int64_t to, struct kt_buf *out,
                       struct kt_error *err);
void kt_web_error_json(struct kt_buf *out, const char *code, const char *sentence);

/* address.c */
struct kt_web_address {
    struct sockaddr_storage sa;
    socklen_t len;
};
/* "ADDR:PORT", "[ADDR6]:PORT", "localhost:PORT". */
bool kt_web_listen_parse(const char *listen, struct kt_web_address *a);
/* A page of somebody else's name that resolves to this address (DNS rebinding) names itself in
 * Host: only literal addresses and localhost are served. NULL: no such header. */
bool kt_web_host_ours(const char *host);

/* server.c: answers a request by one of the functions of reply.c. */
void kt_web_answer(struct kt_web *w, struct kt_web_conn *c, const struct kt_http_request *ask);

/* loop.c */
int kt_web_conns_start(struct kt_web *w);
void kt_web_conns_stop(struct kt_web *w); /* after the jobs and the stream */
void kt_web_wake(struct kt_web *w);       /* any thread: a job is done, or there is news */

/* reply.c; on the loop's thread */
/* `headers` are whole lines. The body outlives the answer, or `own` holds it. */
void kt_web_reply(struct kt_web_conn *c, unsigned status, const char *headers, const void *body,
                  size_t len, struct kt_buf *own);
/* `json` is taken over. */
void kt_web_reply_json(struct kt_web_conn *c, unsigned status, struct kt_buf *json);
void kt_web_refuse(struct kt_web_conn *c, unsigned status, const char *code, const char *sentence);
void kt_web_query(struct kt_web_conn *c);
void kt_web_listen(struct kt_web_conn *c);

/* jobs.c */
int kt_web_jobs_start(struct kt_web *w);
void kt_web_jobs_stop(struct kt_web *w); /* after `closing` was set */
/* Who finds no place, or has to give one up: the job itself, another one, or NULL. */
struct kt_web_job *kt_web_job_add(struct kt_web *w, struct kt_web_job *job);
/* Nobody waits for it. True: it is over; false: its thread will notice, and give it back. */
bool kt_web_job_cancel(struct kt_web *w, struct kt_web_job *job);
struct kt_web_job *kt_web_job_done(struct kt_web *w); /* the next that is answered, or NULL */

/* stream.c */
int kt_web_stream_start(struct kt_web *w);
void kt_web_stream_stop(struct kt_web *w);
void kt_web_stream_count(struct kt_web *w, unsigned listeners);
/* What a listener was told last. */
struct kt_web_told {
    uint64_t status, events;
};
void kt_web_stream_first(struct kt_web *w, struct kt_web_told *told, struct kt_buf *out);
void kt_web_stream_next(struct kt_web *w, struct kt_web_told *told, struct kt_buf *out);

#endif
