/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Questions to the store are answered by threads of their own, while their connections are
 * suspended: the threads that speak HTTP never wait, and a long query holds up nobody but the one
 * who asked. */
#include "internal.h"
#include <stdlib.h>

static void *work(void *arg)
{
    struct kt_web *w = arg;
    pthread_mutex_lock(&w->lock);
    for (;;) {
        while (!w->jobs && !w->closing)
            pthread_cond_wait(&w->work, &w->lock);
        struct kt_web_job *job = w->jobs;
        if (!job)
            break;
        w->jobs = job->next;
        if (!w->jobs)
            w->jobs_end = &w->jobs;
        bool late = w->closing;
        pthread_mutex_unlock(&w->lock);
        if (!late)
            job->status = kt_web_api(w, job->name, job->param, job->conn, &job->out);
        pthread_mutex_lock(&w->lock);
        job->done = true;
        MHD_resume_connection(job->conn);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

bool kt_web_job_add(struct kt_web *w, struct kt_web_job *job)
{
    pthread_mutex_lock(&w->lock);
    bool taken = !w->closing;
    if (taken) {
        MHD_suspend_connection(job->conn);
        job->asked = true;
        *w->jobs_end = job;
        w->jobs_end = &job->next;
        pthread_cond_signal(&w->work);
    }
    pthread_mutex_unlock(&w->lock);
    return taken;
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

/* After `closing` was set: what waits is resumed without an answer. */
void kt_web_jobs_stop(struct kt_web *w)
{
    pthread_mutex_lock(&w->lock);
    pthread_cond_broadcast(&w->work);
    pthread_mutex_unlock(&w->lock);
    while (w->workers)
        pthread_join(w->worker[--w->workers], NULL);
}
