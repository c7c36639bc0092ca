/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * server.c speaks HTTP, jobs.c has the replies of docs/api.md made by api.c, stream.c pushes. */
#ifndef KOTARE_WEB_INTERNAL_H
#define KOTARE_WEB_INTERNAL_H

#include <kotare/web.h>
#include <microhttpd.h>
#include <pthread.h>
#include <sys/socket.h>

#define READERS 8 /* kept open */
#define WORKERS 4 /* queries at once */

struct subscriber;

/* Where a reply's query values come from: a MHD_Connection, or a test. NULL: not given. */
typedef const char *kt_web_param(void *ctx, const char *name);

/* A request: made when its headers are there, freed when it is over. */
struct kt_web_job {
    struct MHD_Connection *conn;
    const char *name; /* what follows /api/v1/ */
    kt_web_param *param;
    struct kt_buf out;
    unsigned status; /* 0: not answered */
    bool refused, asked, done;
    struct kt_web_job *next;
};

struct kt_web {
    struct kt_web_options opt;
    char *store_path;
    char url[128];
    struct MHD_Daemon *daemon;
    pthread_mutex_t lock;
    struct kt_store *reader[READERS]; /* idle ones */
    unsigned readers;
    /* jobs.c, under the lock */
    pthread_cond_t work;
    pthread_t worker[WORKERS];
    unsigned workers;
    struct kt_web_job *jobs, **jobs_end;
    /* stream.c, under the lock */
    pthread_cond_t wake;
    pthread_t ticker;
    bool ticking, closing, changed;
    struct subscriber *subscribers;
    unsigned subscriber_count;
    struct kt_buf last_status, last_events;
};

/* A handle on the store for one request. */
int kt_web_reader_get(struct kt_web *w, struct kt_store **st, struct kt_error *err);
void kt_web_reader_put(struct kt_web *w, struct kt_store *st);

/* The reply to GET /api/v1/`name`, its HTTP status returned. */
unsigned kt_web_api(struct kt_web *w, const char *name, kt_web_param *param, void *ctx,
                    struct kt_buf *out);
void kt_web_status_json(struct kt_web *w, struct kt_buf *out);
int kt_web_events_json(struct kt_store *st, int64_t from, int64_t to, struct kt_buf *out,
                       struct kt_error *err);

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

/* jobs.c */
int kt_web_jobs_start(struct kt_web *w);
void kt_web_jobs_stop(struct kt_web *w); /* before the daemon stops */
/* False: the program is ending. */
bool kt_web_job_add(struct kt_web *w, struct kt_web_job *job);

/* stream.c */
int kt_web_stream_start(struct kt_web *w);
void kt_web_stream_stop(struct kt_web *w); /* before the daemon stops */
struct MHD_Response *kt_web_stream_open(struct kt_web *w, struct MHD_Connection *conn);

#endif
