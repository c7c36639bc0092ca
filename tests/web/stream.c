/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Pushed updates: what comes at once, what comes when something changes, how many may listen, and
 * that stopping never hangs.
 */
#include "helper.h"

struct listener {
    int fd;
    struct kt_buf got;
};

static void listen_from(const struct fixture *f, struct listener *l, unsigned peer)
{
    static const char request[] = "GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n";
    *l = (struct listener){.fd = dial_from(f, peer)};
    assert_int_equal(send(l->fd, request, sizeof request - 1, MSG_NOSIGNAL), sizeof request - 1);
}

static void listen_to(const struct fixture *f, struct listener *l)
{
    listen_from(f, l, 1);
}

/* Reads until `part` stands in what came; NULL when it does not. */
static char *wait_for(struct listener *l, const char *part)
{
    char some[65536], *at;
    while (!l->got.data || !(at = strstr(l->got.data, part))) {
        ssize_t n = recv(l->fd, some, sizeof some, 0);
        if (n <= 0)
            return NULL;
        kt_buf_add(&l->got, some, (size_t)n);
    }
    return at;
}

static void hang_up(struct listener *l)
{
    close(l->fd);
    kt_buf_free(&l->got);
}

static void changes_are_told(void **state)
{
    struct fixture *f = *state;
    struct listener l;
    listen_to(f, &l);
    assert_non_null(wait_for(&l, "HTTP/1.1 200"));
    assert_non_null(wait_for(&l, "text/event-stream"));
    assert_non_null(wait_for(&l, "Content-Security-Policy"));
    assert_non_null(wait_for(&l, "event: status\ndata: {\"version\""));
    assert_non_null(wait_for(&l, "\"packets\":7,"));
    assert_non_null(wait_for(&l, "event: events\ndata: {\"events\":[{\"id\":\"1\""));
    pthread_mutex_lock(&f->lock);
    f->status.packets = 123456;
    pthread_mutex_unlock(&f->lock);
    kt_web_changed(f->web);
    assert_non_null(wait_for(&l, "\"packets\":123456,"));
    struct kt_event e = {.began = begin, .noticed = begin, .kind = "scan", .title = "A new one"};
    MUST(kt_store_put_event(f->store, &e, why));
    MUST(kt_store_commit(f->store, why));
    kt_web_changed(f->web);
    assert_non_null(wait_for(&l, "A new one"));
    hang_up(&l);
}

/* 64 may listen, however many come: the oldest of the peer that has the most gives way. */
static void listeners_are_bounded(void **state)
{
    struct fixture *f = *state;
    enum { MOST = 64, MANY = 80 };
    struct listener l[MANY], other;
    listen_from(f, &other, 2);
    assert_non_null(wait_for(&other, "event: status"));
    for (unsigned i = 0; i < MANY; i++) {
        listen_to(f, &l[i]);
        assert_non_null(wait_for(&l[i], "event: status"));
    }
    for (unsigned i = 0; i < MANY - MOST + 1; i++)
        assert_true(hung_up(l[i].fd));
    pthread_mutex_lock(&f->lock);
    f->status.packets = 4242;
    pthread_mutex_unlock(&f->lock);
    kt_web_changed(f->web);
    assert_non_null(wait_for(&l[MANY - MOST + 1], "\"packets\":4242,"));
    assert_non_null(wait_for(&l[MANY - 1], "\"packets\":4242,"));
    assert_non_null(wait_for(&other, "\"packets\":4242,"));
    struct reply r = get(f, "/api/v1/flows"); /* others are still served */
    assert_int_equal(r.status, 200);
    drop(&r);
    for (unsigned i = 0; i < MANY; i++)
        hang_up(&l[i]);
    hang_up(&other);
}

/* Who does not read is dropped, and nothing piles up for it meanwhile. */
static void deaf_listeners_are_dropped(void **state)
{
    struct fixture *f = *state;
    struct listener deaf, quick;
    listen_to(f, &deaf);
    setsockopt(deaf.fd, SOL_SOCKET, SO_RCVBUF, &(int){4096}, sizeof(int));
    listen_to(f, &quick);
    char *causes = malloc(256 << 10);
    memset(causes, ' ', (256 << 10) - 1);
    memcpy(causes, "[\"", 2);
    memset(causes + 2, 'x', (256 << 10) - 6);
    memcpy(causes + (256 << 10) - 4, "\"]", 3);
    bool dropped = false;
    for (unsigned i = 0; i < 60 && !dropped; i++) { /* more than the kernel keeps for anybody */
        char title[32];
        snprintf(title, sizeof title, "Number %u.", i);
        struct kt_event e = {.id = 1, .began = begin, .noticed = begin, .causes = causes};
        snprintf(e.title, sizeof e.title, "%s", title);
        MUST(kt_store_put_event(f->store, &e, why));
        MUST(kt_store_commit(f->store, why));
        kt_web_changed(f->web);
        assert_non_null(wait_for(&quick, title));
        kt_buf_clear(&quick.got);
        dropped = !connected(deaf.fd);
    }
    assert_true(dropped);
    free(causes);
    hang_up(&quick);
    hang_up(&deaf);
}

static void stopping_ends_streams(void **state)
{
    struct fixture *f = *state;
    struct listener l[3];
    for (unsigned i = 0; i < 3; i++)
        listen_to(f, &l[i]);
    for (unsigned i = 0; i < 3; i++)
        assert_non_null(wait_for(&l[i], "event: status"));
    kt_web_stop(f->web);
    f->web = NULL;
    for (unsigned i = 0; i < 3; i++) {
        assert_null(wait_for(&l[i], "never said"));
        hang_up(&l[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(changes_are_told, start_web, stop_web),
        cmocka_unit_test_setup_teardown(listeners_are_bounded, start_web, stop_web),
        cmocka_unit_test_setup_teardown(deaf_listeners_are_dropped, start_hasty_web, stop_web),
        cmocka_unit_test_setup_teardown(stopping_ends_streams, start_web, stop_web),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
