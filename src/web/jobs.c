/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Questions to the store are answered by threads of their own: a long query holds up nobody but the
 * one who asked. One peer never has all of the threads, and when all places are taken the one who
 * has the most of them goes short. */
#include "internal.h"

static bool same_peer(const struct kt_web_job *a, const struct kt_web_job *b)
{
    return memcmp(a->peer, b->peer, sizeof a->peer) == 0;
}

static unsigned running(const struct kt_web *w, const struct kt_web_job *job)
{
    unsigned n = 0;
    for (unsigned i = 0; i < WORKERS; i++)
        n += w->running[i] && same_peer(w->running[i], job);
    return n;
}

static struct kt_web_job *unlink_job(struct kt_web *w, struct kt_web_job **at)
{
    struct kt_web_job *job = *at;
    *at = job->next;
    if (!*at)
        w->jobs_end = at;
    w->queued--;
    return job;
}

/* The one that waits longest and whose peer may have another thread. */
static struct kt_web_job *next_job(struct kt_web *w)
{
    for (struct kt_web_job **at = &w->jobs; *at; at = &(*at)->next)
        if (running(w, *at) < WORKERS_PEER)
            return unlink_job(w, at);
    return NULL;
}

static void *work(void *arg)
{
    struct kt_web *w = arg;
    pthread_mutex_lock(&w->lock);
    while (!kt_flag_get(&w->closing)) {
        struct kt_web_job *job = next_job(w), **slot = w->running;
        if (!job) {
            pthread_cond_wait(&w->work, &w->lock);
            continue;
        }
        while (*slot)
            slot++;
        *slot = job;
        pthread_mutex_unlock(&w->lock);
        kt_web_api(w, job);
        pthread_mutex_lock(&w->lock);
        *slot = NULL;
        job->next = w->done;
        w->done = job;
        kt_web_wake(w);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* The last one of the peer that has the most waiting; it has more than `than` has. */
static struct kt_web_job **greedy(struct kt_web *w, const struct kt_web_job *than)
{
    struct kt_web_job **found = NULL;
    unsigned most = 1; /* itself */
    for (const struct kt_web_job *j = w->jobs; j; j = j->next)
        most += same_peer(j, than);
    for (struct kt_web_job *j = w->jobs; j; j = j->next) {
        struct kt_web_job **last = NULL;
        unsigned n = 0;
        for (struct kt_web_job **at = &w->jobs; *at; at = &(*at)->next)
            if (same_peer(*at, j)) {
                last = at;
                n++;
            }
        if (n > most) {
            most = n;
            found = last;
        }
    }
    return found;
}

struct kt_web_job *kt_web_job_add(struct kt_web *w, struct kt_web_job *job)
{
    struct kt_web_job *without = NULL;
    pthread_mutex_lock(&w->lock);
    if (w->queued == QUEUE) {
        struct kt_web_job **at = greedy(w, job);
        without = at ? unlink_job(w, at) : job;
    }
    if (without != job) {
        job->next = NULL;
        *w->jobs_end = job;
        w->jobs_end = &job->next;
        w->queued++;
        pthread_cond_signal(&w->work);
    }
    pthread_mutex_unlock(&w->lock);
    return without;
}

bool kt_web_job_cancel(struct kt_web *w, struct kt_web_job *job)
{
    bool waits = false;
    pthread_mutex_lock(&w->lock);
    for (struct kt_web_job **at = &w->jobs; *at; at = &(*at)->next)
        if (*at == job) {
            unlink_job(w, at);
            waits = true;
            break;
        }
    pthread_mutex_unlock(&w->lock);
    kt_flag_set(&job->left);
    return waits;
}

struct kt_web_job *kt_web_job_done(struct kt_web *w)
{
    pthread_mutex_lock(&w->lock);
    struct kt_web_job *job = w->done;
    if (job)
        w->done = job->next;
    pthread_mutex_unlock(&w->lock);
    return job;
}

int kt_web_jobs_start(struct kt_web *w)
{
    w->jobs_end = &w->jobs;
    while (w->workers < WORKERS)
        if (pthread_create(&w->worker[w->workers++], NULL, work, w) != 0) {
            w->workers--;
            return KT_ENOMEM;
        }
    return KT_OK;
}

void kt_web_jobs_stop(struct kt_web *w)
{
    pthread_mutex_lock(&w->lock);
    pthread_cond_broadcast(&w->work);
    pthread_mutex_unlock(&w->lock);
    while (w->workers)
        pthread_join(w->worker[--w->workers], NULL);
}
