/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * server.c answers requests, api.c makes the replies of docs/api.md, stream.c pushes. */
#ifndef KOTARE_WEB_INTERNAL_H
#define KOTARE_WEB_INTERNAL_H

#include <kotare/web.h>
#include <microhttpd.h>
#include <pthread.h>

#define READERS 8

struct subscriber;

struct kt_web {
    struct kt_web_options opt;
    char *store_path;
    char url[128];
    struct MHD_Daemon *daemon;
    pthread_mutex_t lock;
    struct kt_store *reader[READERS]; /* idle ones */
    unsigned readers;
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

/* Where a reply's query values come from: a MHD_Connection, or a test. NULL: not given. */
typedef const char *kt_web_param(void *ctx, const char *name);

/* The reply to GET /api/v1/`name`, its HTTP status returned. */
unsigned kt_web_api(struct kt_web *w, const char *name, kt_web_param *param, void *ctx,
                    struct kt_buf *out);
void kt_web_status_json(struct kt_web *w, struct kt_buf *out);
int kt_web_events_json(struct kt_store *st, int64_t from, int64_t to, struct kt_buf *out,
                       struct kt_error *err);

/* stream.c */
int kt_web_stream_start(struct kt_web *w);
void kt_web_stream_stop(struct kt_web *w); /* before the daemon stops */
struct MHD_Response *kt_web_stream_open(struct kt_web *w, struct MHD_Connection *conn);

#endif
