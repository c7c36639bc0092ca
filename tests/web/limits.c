/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Nobody keeps what others wait for: places, threads, memory.
 */
#include "helper.h"

/* Queries for events get no further than here while they are held. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    bool on;
    unsigned now, ever; /* stopped here; came here */
} held = {.lock = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER};

typedef int event_fn(void *ctx, const struct kt_event *event);
int __real_kt_store_events(struct kt_store *, int64_t, int64_t, event_fn *, void *,
                           struct kt_error *);
int __wrap_kt_store_events(struct kt_store *, int64_t, int64_t, event_fn *, void *,
                           struct kt_error *);

int __wrap_kt_store_events(struct kt_store *st, int64_t from, int64_t to, event_fn *fn, void *ctx,
                           struct kt_error *err)
{
    pthread_mutex_lock(&held.lock);
    held.ever++;
    held.now++;
    pthread_cond_broadcast(&held.moved);
    while (held.on)
        pthread_cond_wait(&held.moved, &held.lock);
    held.now--;
    pthread_mutex_unlock(&held.lock);
    return __real_kt_store_events(st, from, to, fn, ctx, err);
}

static void hold(bool on)
{
    pthread_mutex_lock(&held.lock);
    held.on = on;
    held.ever = on ? 0 : held.ever;
    pthread_cond_broadcast(&held.moved);
    pthread_mutex_unlock(&held.lock);
}

static void wait_held(unsigned n)
{
    pthread_mutex_lock(&held.lock);
    while (held.now < n)
        pthread_cond_wait(&held.moved, &held.lock);
    assert_int_equal(held.now, n);
    pthread_mutex_unlock(&held.lock);
}

/* Asks on a connection of its own, and does not wait. */
static int ask_from(const struct fixture *f, unsigned peer, const char *path)
{
    char text[512];
    int n = snprintf(text, sizeof text,
                     "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", path);
    int fd = dial_from(f, peer);
    say(fd, text, (size_t)n);
    return fd;
}

static void expect_reply(int fd, int status, const char *part)
{
    struct reply r = hear(fd);
    if (r.status != status || !r.body || !strstr(r.body, part))
        fail_msg("not %d with \"%s\": %s\n%s", status, part, r.head, r.body);
    if (status == 503)
        assert_non_null(strstr(r.head, "Retry-After: 1"));
    drop(&r);
}

/* The server has seen all that was sent before. */
static void seen(const struct fixture *f)
{
    expect_reply(ask_from(f, 9, "/api/v1/status"), 200, "version");
}

/* Four queries are made at once, three of one peer at most. */
static void one_peer_has_not_all_threads(void **state)
{
    struct fixture *f = *state;
    int fd[8];
    hold(true);
    for (unsigned i = 0; i < 8; i++)
        fd[i] = ask_from(f, 1, "/api/v1/events");
    wait_held(3);
    for (unsigned i = 0; i < 3; i++)
        expect_reply(ask_from(f, 2, "/api/v1/flows"), 200, "total");
    wait_held(3);
    hold(false);
    for (unsigned i = 0; i < 8; i++)
        expect_reply(fd[i], 200, "DNS");
}

static void who_leaves_is_not_worked_for(void **state)
{
    struct fixture *f = *state;
    int fd[8];
    hold(true);
    for (unsigned i = 0; i < 3; i++)
        fd[i] = ask_from(f, 1, "/api/v1/events");
    wait_held(3);
    for (unsigned i = 3; i < 8; i++)
        fd[i] = ask_from(f, 1, "/api/v1/events");
    seen(f);
    for (unsigned i = 3; i < 7; i++)
        close(fd[i]);
    shutdown(fd[7], SHUT_WR); /* as good as gone, but it may still hear that */
    expect_reply(fd[7], 400, "\"left\"");
    shutdown(fd[2], SHUT_WR); /* that one has a thread */
    seen(f);
    hold(false);
    expect_reply(fd[2], 400, "\"left\"");
    for (unsigned i = 0; i < 2; i++)
        expect_reply(fd[i], 200, "DNS");
    expect_reply(ask_from(f, 1, "/api/v1/events"), 200, "DNS");
    assert_int_equal(held.ever, 4);
}

/* 64 wait at most. When another comes, the peer that has the most loses its last. */
static void the_queue_is_bounded(void **state)
{
    struct fixture *f = *state;
    enum { WAIT = 64 };
    int run[4], wait[WAIT], other;
    hold(true);
    for (unsigned i = 0; i < 4; i++)
        run[i] = ask_from(f, i < 3 ? 1 : 2, "/api/v1/events");
    wait_held(4);
    for (unsigned i = 0; i < WAIT; i++) {
        wait[i] = ask_from(f, 1, "/api/v1/flows?limit=0");
        seen(f);
    }
    expect_reply(ask_from(f, 1, "/api/v1/flows"), 503, "\"busy\"");
    other = ask_from(f, 3, "/api/v1/flows?limit=0");
    expect_reply(wait[WAIT - 1], 503, "\"busy\"");
    hold(false);
    expect_reply(other, 200, "total");
    for (unsigned i = 0; i < 4; i++)
        expect_reply(run[i], 200, "DNS");
    for (unsigned i = 0; i < WAIT - 1; i++)
        expect_reply(wait[i], 200, "total");
}

static int start_impatient_web(void **state)
{
    start_web_with(state, KT_SECOND / 50);
    struct fixture *f = *state;
    for (unsigned i = 0; i < 60; i++)
        fill_flows(f->store, 1000);
    MUST(kt_store_commit(f->store, why));
    return 0;
}

/* A filter so long that all flows take much longer than there is time. */
static void queries_have_a_deadline(void **state)
{
    struct fixture *f = *state;
    struct kt_buf path = {0};
    kt_buf_str(&path, "/api/v1/flows?filter=");
    for (unsigned i = 0; i < 400; i++)
        kt_buf_printf(&path, "name+contains+%%22zz%03u%%22+or+", i);
    kt_buf_str(&path, "bytes+%3E+0");
    struct reply r = get(f, path.data);
    if (r.status != 503 || !strstr(r.body, "\"slow\"") || !strstr(r.head, "Retry-After"))
        fail_msg("%s\n%s", r.head, r.body);
    drop(&r);
    expect_reply(ask_from(f, 1, "/api/v1/events"), 200, "DNS");
    kt_buf_free(&path);
}

static void slow_heads_are_cut(void **state)
{
    static const char head[] = "GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\nX: ";
    struct fixture *f = *state;
    int fd = dial(f);
    unsigned sent = 0;
    while (sent < 100 && connected(fd)) {
        say(fd, sent < sizeof head - 1 ? head + sent : "x", 1);
        sent++;
        usleep(100000);
    }
    assert_in_range(sent, 5, 99);
    expect_reply(fd, 408, "\"slow\"");
    fd = dial(f); /* and who never says anything is not waited for */
    assert_true(hung_up(fd));
    close(fd);
}

/* All places are taken by heads that do not end; whoever comes is served all the same. */
static void places_are_given_up(void **state)
{
    struct fixture *f = *state;
    enum { PLACES = 256 };
    int fd[PLACES];
    for (unsigned i = 0; i < PLACES; i++) {
        fd[i] = dial_from(f, 1);
        say(fd[i], "GET /api", 8);
    }
    seen(f);
    int mine = ask_from(f, 1, "/api/v1/flows");
    expect_reply(mine, 200, "total");
    assert_true(hung_up(fd[0]));
    assert_true(connected(fd[PLACES - 1]));
    for (unsigned i = 0; i < 1000; i++) /* nor does it help to come again and again */
        close(dial_from(f, 1));
    seen(f);
    for (unsigned i = 0; i < PLACES; i++)
        close(fd[i]);
}

/* Who asks and does not take the answer is dropped. */
static void untaken_answers_are_dropped(void **state)
{
    static const char ask[] = "GET /api/v1/flows?limit=200 HTTP/1.1\r\nHost: [::1]\r\n\r\n";
    struct fixture *f = *state;
    int fd = dial(f);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){4096}, sizeof(int));
    for (unsigned i = 0; i < 200; i++) /* 100 KiB each */
        say(fd, ask, sizeof ask - 1);
    unsigned slept = 0;
    while (slept < 200 && connected(fd)) {
        usleep(50000);
        slept++;
    }
    assert_in_range(slept, 0, 199);
    seen(f);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_peer_has_not_all_threads, start_web, stop_web),
        cmocka_unit_test_setup_teardown(who_leaves_is_not_worked_for, start_web, stop_web),
        cmocka_unit_test_setup_teardown(the_queue_is_bounded, start_web, stop_web),
        cmocka_unit_test_setup_teardown(queries_have_a_deadline, start_impatient_web, stop_web),
        cmocka_unit_test_setup_teardown(slow_heads_are_cut, start_hasty_web, stop_web),
        cmocka_unit_test_setup_teardown(places_are_given_up, start_web, stop_web),
        cmocka_unit_test_setup_teardown(untaken_answers_are_dropped, start_hasty_web, stop_web),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
