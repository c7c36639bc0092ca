/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html). A thread of
 * its own makes each message once for all subscribers; a connection without anything to send is
 * suspended and costs nothing. */
#include "internal.h"
#include <errno.h>
#include <stdlib.h>
#include <time.h>

enum { SUBSCRIBERS_MAX = 64, QUIET_SECONDS = 15 };
#define BACKLOG_MAX ((size_t)1 << 20) /* a reader that is slower than this misses messages */

struct subscriber {
    struct kt_web *web;
    struct MHD_Connection *conn;
    struct subscriber *next;
    struct kt_buf waiting;
    size_t sent;
    bool suspended;
};

static void add(struct kt_buf *out, const char *event, const struct kt_buf *data)
{
    kt_buf_printf(out, "event: %s\ndata: ", event);
    kt_buf_add(out, data->data ? data->data : "{}", data->data ? data->len : 2);
    kt_buf_str(out, "\n\n");
}

static void resume(struct subscriber *s)
{
    if (s->suspended) {
        s->suspended = false;
        MHD_resume_connection(s->conn);
    }
}

static ssize_t give(void *cls, uint64_t pos, char *buf, size_t max)
{
    (void)pos;
    struct subscriber *s = cls;
    struct kt_web *w = s->web;
    ssize_t n = 0;
    pthread_mutex_lock(&w->lock);
    if (s->sent < s->waiting.len) {
        size_t left = s->waiting.len - s->sent;
        n = (ssize_t)(left < max ? left : max);
        memcpy(buf, s->waiting.data + s->sent, (size_t)n);
        s->sent += (size_t)n;
        if (s->sent == s->waiting.len) {
            kt_buf_clear(&s->waiting);
            s->sent = 0;
        }
    } else if (w->closing) {
        n = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        s->suspended = true;
        MHD_suspend_connection(s->conn);
    }
    pthread_mutex_unlock(&w->lock);
    return n;
}

static void leave(void *cls)
{
    struct subscriber *s = cls;
    struct kt_web *w = s->web;
    pthread_mutex_lock(&w->lock);
    for (struct subscriber **at = &w->subscribers; *at; at = &(*at)->next)
        if (*at == s) {
            *at = s->next;
            w->subscriber_count--;
            break;
        }
    pthread_mutex_unlock(&w->lock);
    kt_buf_free(&s->waiting);
    free(s);
}

struct MHD_Response *kt_web_stream_open(struct kt_web *w, struct MHD_Connection *conn)
{
    struct kt_buf status = {0};
    kt_web_status_json(w, &status);
    struct subscriber *s = calloc(1, sizeof *s);
    struct MHD_Response *response = NULL;
    pthread_mutex_lock(&w->lock);
    if (s && w->subscriber_count < SUBSCRIBERS_MAX && !w->closing)
        response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16384, give, s, leave);
    if (response) {
        s->web = w;
        s->conn = conn;
        s->next = w->subscribers;
        w->subscribers = s;
        w->subscriber_count++;
        add(&s->waiting, "status", &status);
        if (w->last_events.data)
            add(&s->waiting, "events", &w->last_events);
        w->changed = true; /* what was told last may be old: nobody may have listened */
        pthread_cond_broadcast(&w->wake);
        MHD_add_response_header(response, "Content-Type", "text/event-stream; charset=utf-8");
    } else {
        free(s);
    }
    pthread_mutex_unlock(&w->lock);
    kt_buf_free(&status);
    return response;
}

/* Under the lock. */
static void push(struct kt_web *w, const char *event, const struct kt_buf *data)
{
    for (struct subscriber *s = w->subscribers; s; s = s->next) {
        if (s->waiting.len < BACKLOG_MAX) {
            if (event)
                add(&s->waiting, event, data);
            else
                kt_buf_str(&s->waiting, ": still here\n\n");
        }
        resume(s);
    }
}

static bool differs(struct kt_buf *last, struct kt_buf *now)
{
    if (now->failed || !now->data)
        return false;
    if (last->data && last->len == now->len && memcmp(last->data, now->data, now->len) == 0)
        return false;
    struct kt_buf old = *last;
    *last = *now;
    *now = old;
    return true;
}

static bool look(struct kt_web *w)
{
    struct kt_buf status = {0}, events = {0};
    struct kt_store *st;
    kt_web_status_json(w, &status);
    if (kt_web_reader_get(w, &st, NULL) == KT_OK) {
        if (kt_web_events_json(st, 0, 0, &events, NULL) != KT_OK)
            events.failed = true;
        kt_web_reader_put(w, st);
    }
    pthread_mutex_lock(&w->lock);
    bool new_status = differs(&w->last_status, &status);
    bool new_events = differs(&w->last_events, &events);
    if (new_status)
        push(w, "status", &w->last_status);
    if (new_events)
        push(w, "events", &w->last_events);
    pthread_mutex_unlock(&w->lock);
    kt_buf_free(&status);
    kt_buf_free(&events);
    return new_status || new_events;
}

static void *tick(void *arg)
{
    struct kt_web *w = arg;
    int64_t spoke = kt_monotonic();
    pthread_mutex_lock(&w->lock);
    while (!w->closing) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += QUIET_SECONDS;
        int rc = 0;
        while (!(w->changed && w->subscribers) && !w->closing && rc != ETIMEDOUT)
            rc = pthread_cond_timedwait(&w->wake, &w->lock, &until);
        bool changed = w->changed && w->subscribers; /* nobody listens: nothing is looked up */
        if (w->closing)
            break;
        if (changed)
            w->changed = false;
        if (changed) {
            pthread_mutex_unlock(&w->lock);
            if (look(w))
                spoke = kt_monotonic();
            pthread_mutex_lock(&w->lock);
        }
        if (kt_monotonic() - spoke >= QUIET_SECONDS * KT_SECOND) {
            push(w, NULL, NULL);
            spoke = kt_monotonic();
        }
        /* at most once a second, however often something changes */
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += 1;
        while (!w->closing && pthread_cond_timedwait(&w->wake, &w->lock, &until) != ETIMEDOUT)
            ;
    }
    for (struct subscriber *s = w->subscribers; s; s = s->next)
        resume(s);
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

void kt_web_changed(struct kt_web *w)
{
    pthread_mutex_lock(&w->lock);
    w->changed = true;
    pthread_cond_broadcast(&w->wake);
    pthread_mutex_unlock(&w->lock);
}

int kt_web_stream_start(struct kt_web *w)
{
    w->ticking = pthread_create(&w->ticker, NULL, tick, w) == 0;
    return w->ticking ? KT_OK : KT_ENOMEM;
}

void kt_web_stream_stop(struct kt_web *w)
{
    pthread_mutex_lock(&w->lock);
    w->closing = true;
    pthread_cond_broadcast(&w->wake);
    pthread_mutex_unlock(&w->lock);
    if (w->ticking)
        pthread_join(w->ticker, NULL);
    w->ticking = false;
}
