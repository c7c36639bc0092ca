/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html). A thread of
 * its own makes each message once for all listeners, and numbers it; who is slow is told the last
 * one of each kind only, so nothing piles up. */
#include "internal.h"
#include <errno.h>
#include <time.h>

static void add(struct kt_buf *out, const char *event, const struct kt_buf *data)
{
    kt_buf_printf(out, "event: %s\ndata: ", event);
    kt_buf_add(out, data->data ? data->data : "{}", data->data ? data->len : 2);
    kt_buf_str(out, "\n\n");
}

/* Under the lock. */
static void add_news(struct kt_web *w, struct kt_web_told *told, struct kt_buf *out)
{
    if (told->status != w->status_number)
        add(out, "status", &w->last_status);
    if (told->events != w->events_number)
        add(out, "events", &w->last_events);
    *told = (struct kt_web_told){w->status_number, w->events_number};
}

void kt_web_stream_next(struct kt_web *w, struct kt_web_told *told, struct kt_buf *out)
{
    pthread_mutex_lock(&w->lock);
    add_news(w, told, out);
    pthread_mutex_unlock(&w->lock);
}

void kt_web_stream_first(struct kt_web *w, struct kt_web_told *told, struct kt_buf *out)
{
    struct kt_buf status = {0};
    kt_web_status_json(w, &status);
    add(out, "status", &status);
    kt_buf_free(&status);
    pthread_mutex_lock(&w->lock);
    told->status = w->status_number;
    add_news(w, told, out);
    w->changed = true; /* what was told last may be old: nobody may have listened */
    pthread_cond_broadcast(&w->wake);
    pthread_mutex_unlock(&w->lock);
}

void kt_web_stream_count(struct kt_web *w, unsigned listeners)
{
    pthread_mutex_lock(&w->lock);
    w->listeners = listeners;
    pthread_cond_broadcast(&w->wake);
    pthread_mutex_unlock(&w->lock);
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

static void look(struct kt_web *w)
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
    w->status_number += differs(&w->last_status, &status);
    w->events_number += differs(&w->last_events, &events);
    pthread_mutex_unlock(&w->lock);
    kt_buf_free(&status);
    kt_buf_free(&events);
    kt_web_wake(w);
}

static void *tick(void *arg)
{
    struct kt_web *w = arg;
    pthread_mutex_lock(&w->lock);
    while (!kt_flag_get(&w->closing)) {
        if (!w->changed || !w->listeners) { /* nobody listens: nothing is looked up */
            pthread_cond_wait(&w->wake, &w->lock);
            continue;
        }
        w->changed = false;
        pthread_mutex_unlock(&w->lock);
        look(w);
        pthread_mutex_lock(&w->lock);
        /* at most once a second, however often something changes */
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += 1;
        while (!kt_flag_get(&w->closing) &&
               pthread_cond_timedwait(&w->wake, &w->lock, &until) != ETIMEDOUT)
            ;
    }
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
    pthread_cond_broadcast(&w->wake);
    pthread_mutex_unlock(&w->lock);
    if (w->ticking)
        pthread_join(w->ticker, NULL);
    w->ticking = false;
}
