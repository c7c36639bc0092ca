/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * One connection: what it waits for, what comes in, what goes out. Nobody keeps a place for
 * nothing: loop.c has a deadline for each state, and when all places are taken, the peer that has
 * the most gives one up. */
#include "conn.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

#define PIECE ((size_t)65536)     /* of an answer, that is taken within the patience */
#define DISCARD ((size_t)1 << 20) /* what is read and not looked at before closing */

static bool same_peer(const struct kt_web_conn *a, const struct kt_web_conn *b)
{
    return memcmp(a->peer, b->peer, sizeof a->peer) == 0;
}

void kt_conn_enter(struct kt_web_conn *c, enum state state)
{
    c->state = state;
    c->since = c->moved = kt_monotonic();
}

void kt_conn_settle(struct kt_web_conn *c)
{
    static const uint32_t wants[] = {
        [IDLE] = EPOLLIN,    [HEAD] = EPOLLIN,         [QUERY] = EPOLLRDHUP,
        [ANSWER] = EPOLLOUT, [LISTENING] = EPOLLRDHUP, [LINGER] = EPOLLIN};
    if (c->fd < 0)
        return;
    uint32_t events = wants[c->state];
    if (c->state == QUERY && kt_flag_get(&c->job.left))
        events = 0; /* that was told */
    if (c->state == LISTENING && c->head.len)
        events |= EPOLLOUT;
    if (events == c->events)
        return;
    c->events = events;
    epoll_ctl(c->web->epoll, EPOLL_CTL_MOD, c->fd,
              &(struct epoll_event){.events = events, .data.ptr = c});
}

void kt_conn_listeners(struct kt_web *w, int more)
{
    w->stream_count += (unsigned)more;
    kt_web_stream_count(w, w->stream_count);
}

static void let_go(struct kt_web_conn *c)
{
    c->web->held -= c->own.len;
    kt_buf_free(&c->own);
    kt_buf_clear(&c->head);
    c->body = NULL;
    c->body_len = c->sent = c->taken = 0;
}

void kt_conn_bury(struct kt_web_conn *c)
{
    c->next_dead = c->web->dead;
    c->web->dead = c;
}

void kt_conn_drop(struct kt_web_conn *c)
{
    struct kt_web *w = c->web;
    if (c->fd < 0)
        return;
    if (c->head.len) /* what is not taken is not kept in the kernel either */
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
    /* A child that was forked meanwhile may hold it open for a moment. */
    epoll_ctl(w->epoll, EPOLL_CTL_DEL, c->fd, NULL);
    close(c->fd);
    c->fd = -1;
    for (struct kt_web_conn **at = &w->conns; *at; at = &(*at)->next)
        if (*at == c) {
            *at = c->next;
            break;
        }
    w->conn_count--;
    if (c->state == LISTENING)
        kt_conn_listeners(w, -1);
    let_go(c);
    kt_buf_free(&c->head);
    if (c->busy && kt_web_job_cancel(w, &c->job))
        c->busy = false;
    if (!c->busy)
        kt_conn_bury(c);
}

struct kt_web_conn *kt_conn_yielding(struct kt_web *w, unsigned states)
{
    struct kt_web_conn *found = NULL;
    unsigned most = 0;
    for (struct kt_web_conn *c = w->conns; c; c = c->next) {
        if (!(states & IN(c->state)) || (found && same_peer(found, c)))
            continue;
        struct kt_web_conn *oldest = c;
        unsigned n = 0;
        for (struct kt_web_conn *d = c; d; d = d->next)
            if (states & IN(d->state) && same_peer(c, d)) {
                oldest = d->since <= oldest->since ? d : oldest;
                n++;
            }
        if (n > most || (n == most && oldest->since < found->since)) {
            most = n;
            found = oldest;
        }
    }
    return found;
}

/* ---- in and out ---- */

/* The next request, when all of its head is there. */
static bool next_head(struct kt_web_conn *c)
{
    size_t empty = 0; /* lines before a request (RFC 9112, 2.2) */
    while (!c->scanned && empty < c->in_len && (c->in[empty] == '\r' || c->in[empty] == '\n'))
        empty++;
    c->in_len -= empty;
    memmove(c->in, c->in + empty, c->in_len);
    c->head_len = kt_http_head(c->in, c->in_len, &c->scanned);
    if (c->head_len) {
        if (kt_http_parse(&c->ask, c->in, c->head_len))
            kt_web_answer(c->web, c, &c->ask);
        else
            kt_web_refuse(c, c->ask.status, c->ask.code, c->ask.sentence);
        return true;
    }
    if (c->in_len < sizeof c->in)
        return false;
    bool uri = !memchr(c->in, '\n', c->in_len);
    c->ask = (struct kt_http_request){0};
    c->head_len = c->in_len;
    kt_web_refuse(c, uri ? 414 : 431, "too-long",
                  "the head of a request has at most 16384 bytes here");
    return true;
}

/* An answer is through. */
static void finish(struct kt_web_conn *c)
{
    let_go(c);
    if (!c->keep) {
        shutdown(c->fd, SHUT_WR); /* closing now, with input unread, would tear the answer up */
        c->discarded = 0;
        kt_conn_enter(c, LINGER);
        return;
    }
    c->in_len -= c->head_len;
    memmove(c->in, c->in + c->head_len, c->in_len);
    c->head_len = c->scanned = 0;
    kt_conn_enter(c, c->in_len ? HEAD : IDLE);
}

bool kt_conn_put_out(struct kt_web_conn *c)
{
    if (c->head.failed) {
        kt_conn_drop(c);
        return false;
    }
    while (c->sent < c->head.len + c->body_len) {
        size_t in_body = c->sent > c->head.len ? c->sent - c->head.len : 0;
        size_t in_head = c->sent - in_body;
        struct iovec part[2] = {
            {.iov_base = c->head.data + in_head, .iov_len = c->head.len - in_head}};
        struct msghdr msg = {.msg_iov = part, .msg_iovlen = 1};
        if (c->body_len)
            part[msg.msg_iovlen++] =
                (struct iovec){.iov_base = (void *)(uintptr_t)(c->body + in_body),
                               .iov_len = c->body_len - in_body};
        ssize_t n = sendmsg(c->fd, &msg, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            if (errno != EAGAIN)
                kt_conn_drop(c);
            return false;
        }
        c->sent += (size_t)n;
        c->taken += (size_t)n;
        if (c->taken >= PIECE) {
            c->moved = kt_monotonic();
            c->taken = 0;
        }
    }
    return true;
}

void kt_conn_pump(struct kt_web_conn *c)
{
    for (bool more = true; more && c->fd >= 0;) {
        switch (c->state) {
        case IDLE:
        case HEAD:
            more = next_head(c);
            break;
        case ANSWER:
            if ((more = kt_conn_put_out(c)))
                finish(c);
            break;
        case LISTENING:
            if (c->head.len) {
                if ((more = kt_conn_put_out(c)))
                    let_go(c);
                break;
            }
            kt_web_stream_next(c->web, &c->told, &c->head);
            if ((more = c->head.len))
                c->moved = kt_monotonic();
            break;
        default:
            more = false;
        }
    }
    kt_conn_settle(c);
}

static void take_in(struct kt_web_conn *c)
{
    ssize_t n = recv(c->fd, c->in + c->in_len, sizeof c->in - c->in_len, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        kt_conn_drop(c);
        return;
    }
    c->in_len += (size_t)n;
    if (c->state == IDLE)
        kt_conn_enter(c, HEAD);
    kt_conn_pump(c);
}

static void discard(struct kt_web_conn *c)
{
    char some[16384];
    ssize_t n = recv(c->fd, some, sizeof some, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    c->discarded += n > 0 ? (size_t)n : 0;
    if (n <= 0 || c->discarded > DISCARD)
        kt_conn_drop(c);
}

void kt_conn_serve(struct kt_web_conn *c, uint32_t events)
{
    if (c->fd < 0)
        return;
    switch (c->state) {
    case IDLE:
    case HEAD:
        take_in(c);
        break;
    case QUERY:
        if (events & (EPOLLHUP | EPOLLERR)) {
            kt_conn_drop(c);
        } else if (kt_web_job_cancel(c->web, &c->job)) {
            c->busy = false;
            kt_web_refuse(c, 400, "left", "the connection was closed before there was an answer");
            kt_conn_pump(c);
        } else {
            kt_conn_settle(c);
        }
        break;
    case LISTENING:
        if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
            kt_conn_drop(c);
        else
            kt_conn_pump(c);
        break;
    case ANSWER:
        kt_conn_pump(c);
        break;
    case LINGER:
        discard(c);
    }
}
