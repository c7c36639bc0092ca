/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * The thread that has all connections, with one epoll: who comes, deadlines, the end. */
#include "conn.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define SEND_BUFFER (256 << 10) /* the kernel's, for each connection; it would take 4 MiB */
#define QUIET (15 * KT_SECOND)  /* a listener hears something at least so often */

/* ---- coming ---- */

/* Those who share a network of IPv6 are one: each of them has as many addresses as it likes. */
static void peer_of(const struct sockaddr_storage *sa, uint8_t peer[16])
{
    memset(peer, 0, 16);
    if (sa->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)sa;
        bool v4 = IN6_IS_ADDR_V4MAPPED(&in->sin6_addr);
        memcpy(peer, &in->sin6_addr, v4 ? 16 : 8);
        peer[15] |= (uint8_t)(!v4 && IN6_IS_ADDR_LOOPBACK(&in->sin6_addr));
    } else {
        memset(peer + 10, 0xff, 2);
        memcpy(peer + 12, &((const struct sockaddr_in *)sa)->sin_addr, 4);
    }
}

static void add(struct kt_web *w, int fd, const struct sockaddr_storage *sa)
{
    struct kt_web_conn *c = calloc(1, sizeof *c);
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
    if (!c || epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &ev) < 0) {
        free(c);
        close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){SEND_BUFFER}, sizeof(int));
    c->web = w;
    c->fd = fd;
    c->events = EPOLLIN;
    peer_of(sa, c->peer);
    kt_conn_enter(c, IDLE);
    c->next = w->conns;
    w->conns = c;
    w->conn_count++;
}

static void make_room(struct kt_web *w)
{
    struct kt_web_conn *v = kt_conn_yielding(w, IN(IDLE) | IN(HEAD) | IN(LINGER));
    if (v || (v = kt_conn_yielding(w, IN(ANSWER))))
        kt_conn_drop(v);
}

static void hear(struct kt_web *w, bool on)
{
    w->deaf = !on;
    epoll_ctl(w->epoll, EPOLL_CTL_MOD, w->listen_fd,
              &(struct epoll_event){.events = on ? EPOLLIN : 0, .data.ptr = &w->listen_fd});
}

static void come_in(struct kt_web *w)
{
    for (unsigned i = 0; i < 64; i++) {
        struct sockaddr_storage sa;
        socklen_t len = sizeof sa;
        int fd = accept4(w->listen_fd, (struct sockaddr *)&sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            if (w->conn_count >= CONNECTIONS)
                make_room(w);
            add(w, fd, &sa);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
            make_room(w);
            hear(w, false);
        }
        if (errno != ECONNABORTED && errno != EINTR)
            return;
    }
}

/* ---- deadlines ---- */

static void check(struct kt_web_conn *c, int64_t now)
{
    int64_t patience = c->web->patience;
    switch (c->state) {
    case IDLE:
        if (now - c->since > 3 * patience)
            kt_conn_drop(c);
        break;
    case HEAD:
        if (now - c->since <= patience)
            break;
        c->ask = (struct kt_http_request){0};
        kt_web_refuse(c, 408, "slow", "the head of the request took too long");
        kt_conn_pump(c);
        break;
    case ANSWER:
        if (now - c->moved > patience)
            kt_conn_drop(c);
        break;
    case LISTENING:
        if (c->head.len) {
            if (now - c->moved > patience)
                kt_conn_drop(c);
        } else if (now - c->moved >= QUIET) {
            kt_buf_str(&c->head, ": still here\n\n");
            c->moved = now;
            kt_conn_pump(c);
        }
        break;
    case LINGER:
        if (now - c->since > patience / 5)
            kt_conn_drop(c);
        break;
    case QUERY: /* jobs.c looks after it */
        break;
    }
}

static void sweep(struct kt_web *w, int64_t now)
{
    w->swept = now;
    if (w->deaf)
        hear(w, true);
    for (struct kt_web_conn *c = w->conns; c; c = c->next)
        if (c->fd >= 0)
            check(c, now);
}

/* ---- the loop ---- */

static void answer_jobs(struct kt_web *w)
{
    for (struct kt_web_job *job; (job = kt_web_job_done(w));) {
        struct kt_web_conn *c = job->conn;
        c->busy = false;
        if (c->fd < 0) {
            kt_buf_free(&job->out);
            kt_conn_bury(c);
            continue;
        }
        kt_web_reply_json(c, job->status, &job->out);
        kt_conn_pump(c);
    }
}

static void tell_listeners(struct kt_web *w)
{
    for (struct kt_web_conn *c = w->conns; c; c = c->next)
        if (c->state == LISTENING)
            kt_conn_pump(c);
}

static void free_dead(struct kt_web *w)
{
    for (struct kt_web_conn *c; (c = w->dead);) {
        w->dead = c->next_dead;
        free(c);
    }
}

/* What is asked and not answered is told so; nobody is waited for. */
static void say_goodbye(struct kt_web *w)
{
    answer_jobs(w);
    while (w->conns) {
        struct kt_web_conn *c = w->conns;
        if (c->busy && kt_web_job_cancel(w, &c->job)) {
            c->busy = false;
            kt_web_refuse(c, 503, "stopping", "the program is ending");
            kt_conn_put_out(c);
        }
        if (c->sent == c->head.len + c->body_len)
            kt_buf_clear(&c->head); /* all is said: no reset */
        kt_conn_drop(c);
    }
    free_dead(w);
}

static void *loop(void *arg)
{
    struct kt_web *w = arg;
    int64_t tick = w->patience / 20 < KT_SECOND / 2 ? w->patience / 20 : KT_SECOND / 2;
    while (!kt_flag_get(&w->ended)) {
        struct epoll_event ev[64];
        int ms = w->conns || w->deaf ? (int)(tick / 1000000) + 1 : -1;
        int n = epoll_wait(w->epoll, ev, KT_ARRAY_LEN(ev), ms);
        for (int i = 0; i < n; i++) {
            uint64_t count;
            if (ev[i].data.ptr == &w->listen_fd) {
                come_in(w);
            } else if (ev[i].data.ptr != &w->wake_fd) {
                kt_conn_serve(ev[i].data.ptr, ev[i].events);
            } else if (read(w->wake_fd, &count, sizeof count) > 0) {
                answer_jobs(w);
                tell_listeners(w);
            }
        }
        int64_t now = kt_monotonic();
        if (now - w->swept >= tick)
            sweep(w, now);
        free_dead(w);
    }
    say_goodbye(w);
    return NULL;
}

void kt_web_wake(struct kt_web *w)
{
    if (w->wake_fd >= 0 && write(w->wake_fd, &(uint64_t){1}, sizeof(uint64_t)) < 0)
        return; /* it is awake */
}

int kt_web_conns_start(struct kt_web *w)
{
    w->epoll = epoll_create1(EPOLL_CLOEXEC);
    w->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct epoll_event listening = {.events = EPOLLIN, .data.ptr = &w->listen_fd};
    struct epoll_event wake = {.events = EPOLLIN, .data.ptr = &w->wake_fd};
    w->looping = w->epoll >= 0 && w->wake_fd >= 0 &&
                 epoll_ctl(w->epoll, EPOLL_CTL_ADD, w->listen_fd, &listening) == 0 &&
                 epoll_ctl(w->epoll, EPOLL_CTL_ADD, w->wake_fd, &wake) == 0 &&
                 pthread_create(&w->loop, NULL, loop, w) == 0;
    return w->looping ? KT_OK : KT_ENOMEM;
}

void kt_web_conns_stop(struct kt_web *w)
{
    kt_flag_set(&w->ended);
    kt_web_wake(w);
    if (w->looping)
        pthread_join(w->loop, NULL);
    int *const fds[] = {&w->listen_fd, &w->wake_fd, &w->epoll};
    for (size_t i = 0; i < KT_ARRAY_LEN(fds); i++) {
        if (*fds[i] >= 0)
            close(*fds[i]);
        *fds[i] = -1;
    }
}
