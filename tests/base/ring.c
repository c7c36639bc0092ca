/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <kotare/base.h>
#include <pthread.h>
#include <unistd.h>

static void *item(uintptr_t n)
{
    return (void *)n; /* never followed */
}

static void test_sizes(void **state)
{
    (void)state;
    static const size_t wrong[] = {0, 3, 12, 1000, SIZE_MAX, SIZE_MAX / 2 + 1};
    struct kt_ring *r;
    for (size_t i = 0; i < KT_ARRAY_LEN(wrong); i++) {
        assert_int_equal(kt_ring_new(&r, wrong[i]), KT_EINVAL);
        assert_null(r);
    }
    kt_ring_free(NULL);
}

static void test_order_full_empty(void **state)
{
    (void)state;
    for (size_t slots = 1; slots <= 64; slots *= 2) {
        struct kt_ring *r;
        void *got;
        assert_int_equal(kt_ring_new(&r, slots), KT_OK);
        uintptr_t in = 1, out = 1;
        for (int lap = 0; lap < 5; lap++) {
            assert_int_equal(kt_ring_try_pop(r, &got), KT_EBUSY);
            for (size_t i = 0; i < slots; i++)
                assert_int_equal(kt_ring_try_push(r, item(in++)), KT_OK);
            assert_int_equal(kt_ring_try_push(r, item(in)), KT_EBUSY);
            assert_int_equal(kt_ring_try_pop(r, &got), KT_OK);
            assert_ptr_equal(got, item(out++));
            assert_int_equal(kt_ring_try_push(r, item(in++)), KT_OK);
            while (kt_ring_try_pop(r, &got) == KT_OK)
                assert_ptr_equal(got, item(out++));
        }
        assert_int_equal(in, out);
        kt_ring_free(r);
    }
}

static void test_closed(void **state)
{
    (void)state;
    struct kt_ring *r;
    void *got;
    assert_int_equal(kt_ring_new(&r, 4), KT_OK);
    assert_int_equal(kt_ring_push(r, item(1)), KT_OK);
    assert_int_equal(kt_ring_push(r, item(2)), KT_OK);
    kt_ring_close(r);
    assert_int_equal(kt_ring_push(r, item(3)), KT_END);
    assert_int_equal(kt_ring_try_push(r, item(3)), KT_END);
    assert_int_equal(kt_ring_pop(r, &got), KT_OK); /* what was in comes out */
    assert_ptr_equal(got, item(1));
    assert_int_equal(kt_ring_try_pop(r, &got), KT_OK);
    assert_ptr_equal(got, item(2));
    assert_int_equal(kt_ring_pop(r, &got), KT_END);
    assert_int_equal(kt_ring_try_pop(r, &got), KT_END);
    kt_ring_close(r);
    kt_ring_free(r);
}

struct job {
    struct kt_ring *ring;
    uintptr_t n;
    int rc;
    unsigned naps;
};

static void *produce(void *arg)
{
    struct job *j = arg;
    for (uintptr_t i = 1; i <= j->n; i++) {
        if (j->naps && i % j->naps == 0)
            usleep(50);
        if (kt_ring_push(j->ring, item(i)) != KT_OK)
            return NULL;
    }
    kt_ring_close(j->ring);
    return NULL;
}

/* Two threads, rings down to one slot, either side the slower one: all there, in order. */
static void test_two_threads(void **state)
{
    (void)state;
    static const struct {
        size_t slots;
        unsigned producer_naps, consumer_naps;
    } cases[] = {{1, 0, 0}, {2, 0, 0}, {4, 64, 0}, {4, 0, 64}, {1024, 0, 0}, {1024, 4096, 512}};
    for (size_t c = 0; c < KT_ARRAY_LEN(cases); c++) {
        struct job j = {.n = 30000, .naps = cases[c].producer_naps};
        pthread_t thread;
        assert_int_equal(kt_ring_new(&j.ring, cases[c].slots), KT_OK);
        assert_int_equal(pthread_create(&thread, NULL, produce, &j), 0);
        uintptr_t expected = 1;
        void *got;
        while (kt_ring_pop(j.ring, &got) == KT_OK) {
            assert_ptr_equal(got, item(expected++));
            if (cases[c].consumer_naps && expected % cases[c].consumer_naps == 0)
                usleep(50);
        }
        pthread_join(thread, NULL);
        assert_int_equal(expected, j.n + 1);
        kt_ring_free(j.ring);
    }
}

static void *push_one(void *arg)
{
    struct job *j = arg;
    j->rc = kt_ring_push(j->ring, item(99));
    return NULL;
}

static void *pop_one(void *arg)
{
    struct job *j = arg;
    void *got;
    j->rc = kt_ring_pop(j->ring, &got);
    return NULL;
}

/* Closing wakes whoever sleeps: a test that hangs has failed. */
static void test_close_wakes(void **state)
{
    (void)state;
    for (int round = 0; round < 50; round++) {
        struct job j = {.rc = 7};
        pthread_t thread;
        bool full = round & 1;
        assert_int_equal(kt_ring_new(&j.ring, 1), KT_OK);
        if (full)
            assert_int_equal(kt_ring_push(j.ring, item(1)), KT_OK);
        assert_int_equal(pthread_create(&thread, NULL, full ? push_one : pop_one, &j), 0);
        if (round & 2)
            usleep(500); /* likely asleep by now, and else on its way */
        kt_ring_close(j.ring);
        pthread_join(thread, NULL);
        assert_int_equal(j.rc, KT_END);
        kt_ring_free(j.ring);
    }
}

static void *set_later(void *arg)
{
    kt_flag_set(arg);
    return NULL;
}

static void *count_up(void *arg)
{
    for (int i = 0; i < 100000; i++)
        kt_count_add(arg, 1);
    return NULL;
}

static void test_flag_and_count(void **state)
{
    (void)state;
    struct kt_flag flag = {0};
    uint64_t count = 0;
    pthread_t thread[2];
    assert_false(kt_flag_get(&flag));
    assert_int_equal(pthread_create(&thread[0], NULL, set_later, &flag), 0);
    while (!kt_flag_get(&flag))
        usleep(10);
    pthread_join(thread[0], NULL);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, count_up, &count), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(thread[i], NULL);
    assert_int_equal(kt_count_get(&count), 200000);
    kt_count_set(&count, 3);
    assert_int_equal(kt_count_get(&count), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),       cmocka_unit_test(test_order_full_empty),
        cmocka_unit_test(test_closed),      cmocka_unit_test(test_two_threads),
        cmocka_unit_test(test_close_wakes), cmocka_unit_test(test_flag_and_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
