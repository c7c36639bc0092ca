/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * The file outlives its writer: kill -9, full disks, newer versions, other programs' files, readers
 * beside the writer. sqlite3(1) is the independent judge of the file.
 */
#include "helper.h"
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

static const int64_t begin = INT64_C(1700000000) * KT_SECOND;

static void path_in(const char *folder, char path[256])
{
    snprintf(path, 256, "%s/store.kt", folder);
}

/* What sqlite3(1) prints for a statement. */
static void ask(const char *path, const char *sql, char *answer, size_t size)
{
    char command[1024];
    snprintf(command, sizeof command, "sqlite3 '%s' \"%s\" 2>&1", path, sql);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    size_t n = fread(answer, 1, size - 1, f);
    answer[n] = '\0';
    pclose(f);
}

static void judge(const char *path)
{
    char answer[512];
    ask(path, "PRAGMA integrity_check", answer, sizeof answer);
    assert_string_equal(answer, "ok\n");
}

/* Round `i`: a point of value 1, one flow, one setting; then a commit. */
static int write_round(struct kt_store *st, unsigned i, struct kt_error *err)
{
    struct kt_stream total = {KT_STREAM_TOTAL, ""};
    struct kt_point p = {.ts = begin + i * KT_SECOND, .value = {1, 1, 1}};
    struct kt_flow_record r;
    uint64_t seed = i;
    char number[16];
    random_flow(&r, &seed, i, p.ts);
    snprintf(number, sizeof number, "%u", i);
    int rc = kt_store_stream(st, &total, &p.stream, err);
    if (rc == KT_OK)
        rc = kt_store_add_points(st, &p, 1, err);
    if (rc == KT_OK)
        rc = kt_store_add_flows(st, &r, 1, label_of, NULL, err);
    if (rc == KT_OK)
        rc = kt_store_put_meta(st, "rounds", number, err);
    return rc == KT_OK ? kt_store_commit(st, err) : rc;
}

static int ignore(void *ctx, const struct kt_stored_flow *f)
{
    (void)ctx;
    (void)f;
    return 0;
}

/* All three agree on how many rounds there are. Returns how many. */
static unsigned count_rounds(struct kt_store *st)
{
    char text[16];
    if (kt_store_get_meta(st, "rounds", text, sizeof text) < 0)
        return 0;
    unsigned rounds = (unsigned)atoi(text) + 1;
    struct kt_store_result r;
    CHECK(kt_store_query(st, KT_STREAM_TOTAL, NULL, 0, 0, 1, &r, why));
    unsigned points = (unsigned)r.series[0].value[0];
    kt_store_result_fini(&r);
    uint64_t flows;
    CHECK(kt_store_flows(st, &(struct kt_flow_query){.limit = 5}, &flows, ignore, NULL, why));
    assert_true(points >= rounds && flows >= points); /* the writer may have gone on between */
    return rounds;
}

static void survives_kill(void **state)
{
    (void)state;
    char *folder = temp_folder(), path[256];
    path_in(folder, path);
    unsigned before = 0;
    for (unsigned turn = 0; turn < 5; turn++) {
        int pipe_fd[2];
        assert_int_equal(pipe(pipe_fd), 0);
        pid_t child = fork();
        if (child == 0) {
            struct kt_store *st;
            if (kt_store_open(&st, path, KT_STORE_WRITE, NULL) < 0)
                _exit(1);
            for (unsigned i = before;; i++)
                if (write_round(st, i, NULL) < 0 || write(pipe_fd[1], &i, sizeof i) < 0)
                    _exit(1);
        }
        close(pipe_fd[1]);
        unsigned promised = 0, i;
        while (promised < before + 20 + turn * 7 && read(pipe_fd[0], &i, sizeof i) == sizeof i)
            promised = i + 1;
        kill(child, SIGKILL);
        while (read(pipe_fd[0], &i, sizeof i) == sizeof i)
            promised = i + 1;
        close(pipe_fd[0]);
        int status;
        waitpid(child, &status, 0);
        assert_true(WIFSIGNALED(status));
        struct kt_store *st;
        CHECK(kt_store_open(&st, path, KT_STORE_READ, why));
        before = count_rounds(st);
        kt_store_close(st);
        assert_true(before >= promised && before <= promised + 1);
        judge(path);
    }
    remove_folder(folder);
}

static void refuses_what_it_cannot_read(void **state)
{
    (void)state;
    char *folder = temp_folder(), path[256], answer[64];
    path_in(folder, path);
    struct kt_store *st;
    struct kt_error err = {0};
    assert_int_equal(kt_store_open(&st, path, KT_STORE_READ, &err), KT_ENOTFOUND);
    assert_null(st);

    CHECK(kt_store_open(&st, path, KT_STORE_WRITE, why));
    CHECK(write_round(st, 0, why));
    kt_store_close(st);
    ask(path, "PRAGMA user_version=9999", answer, sizeof answer);
    for (int mode = KT_STORE_READ; mode <= KT_STORE_WRITE; mode++) {
        assert_int_equal(kt_store_open(&st, path, mode, &err), KT_EVERSION);
        assert_non_null(strstr(err.text, "newer"));
    }

    unlink(path);
    ask(path, "CREATE TABLE mine(x); INSERT INTO mine VALUES(1)", answer, sizeof answer);
    for (int mode = KT_STORE_READ; mode <= KT_STORE_WRITE; mode++)
        assert_int_equal(kt_store_open(&st, path, mode, &err), KT_EFORMAT);
    ask(path, "SELECT x FROM mine", answer, sizeof answer);
    assert_string_equal(answer, "1\n"); /* and it was left alone */

    unlink(path);
    FILE *f = fopen(path, "w");
    for (unsigned i = 0; i < 3000; i++)
        fprintf(f, "a text, not a store %u\n", i);
    fclose(f);
    for (int mode = KT_STORE_READ; mode <= KT_STORE_WRITE; mode++) {
        assert_int_equal(kt_store_open(&st, path, mode, &err), KT_EFORMAT);
        assert_non_null(strstr(err.text, path));
    }
    unlink(path);
    assert_int_equal(close(open(path, O_CREAT | O_WRONLY, 0600)), 0);
    assert_int_equal(kt_store_open(&st, path, KT_STORE_READ, &err), KT_EFORMAT);
    CHECK(kt_store_open(&st, path, KT_STORE_WRITE, why)); /* an empty file becomes one */
    kt_store_close(st);
    assert_int_equal(kt_store_open(&st, folder, KT_STORE_WRITE, &err) < 0, 1);
    assert_int_equal(kt_store_open(&st, "/nowhere/at/all.kt", KT_STORE_WRITE, &err) < 0, 1);
    remove_folder(folder);
}

/* In a child, because the limit cannot be lifted again. Returns what its last write said. */
static int write_until_full(const char *path)
{
    pid_t child = fork();
    if (child == 0) {
        struct kt_store *st;
        struct kt_error err = {0};
        struct rlimit limit = {3000000, 3000000};
        signal(SIGXFSZ, SIG_IGN);
        int rc = setrlimit(RLIMIT_FSIZE, &limit) < 0
                     ? KT_EIO
                     : kt_store_open(&st, path, KT_STORE_WRITE, &err);
        for (unsigned i = 0; rc == KT_OK && i < 100000; i++)
            rc = write_round(st, i, &err);
        if (rc == KT_EFULL && (!strstr(err.text, "no space left") ||
                               kt_store_put_meta(st, "a", "b", &err) != KT_EFULL))
            rc = KT_EIO;
        if (rc != KT_EFULL)
            fprintf(stderr, "%d %s\n", rc, err.text);
        kt_store_close(st);
        _exit(-rc);
    }
    int status;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? -WEXITSTATUS(status) : KT_OK;
}

static void says_when_the_disk_is_full(void **state)
{
    (void)state;
    char *folder = temp_folder(), path[256];
    path_in(folder, path);
    assert_int_equal(write_until_full(path), KT_EFULL);
    struct kt_store *st;
    CHECK(kt_store_open(&st, path, KT_STORE_READ, why));
    assert_true(count_rounds(st) > 10);
    kt_store_close(st);
    judge(path);
    remove_folder(folder);
}

static void *write_many(void *path)
{
    struct kt_store *st;
    if (kt_store_open(&st, path, KT_STORE_WRITE, NULL) < 0)
        return path;
    void *failed = NULL;
    for (unsigned i = 0; i < 300 && !failed; i++)
        failed = write_round(st, i, NULL) < 0 ? path : NULL;
    kt_store_close(st);
    return failed;
}

static void readers_beside_the_writer(void **state)
{
    (void)state;
    char *folder = temp_folder(), path[256];
    path_in(folder, path);
    struct kt_store *st;
    CHECK(kt_store_open(&st, path, KT_STORE_WRITE, why));
    kt_store_close(st);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, write_many, path), 0);
    unsigned before = 0;
    while (before < 300) {
        CHECK(kt_store_open(&st, path, KT_STORE_READ, why));
        for (unsigned i = 0; i < 5; i++) {
            unsigned now = count_rounds(st);
            assert_true(now >= before);
            before = now;
        }
        kt_store_close(st);
    }
    void *failed;
    pthread_join(thread, &failed);
    assert_null(failed);
    judge(path);
    remove_folder(folder);
}

/* The steps that made a file of version 2, undone. */
static void a_file_of_before_is_carried_over(void **state)
{
    (void)state;
    char *folder = temp_folder(), path[256], answer[64];
    path_in(folder, path);
    struct kt_store *st;
    struct kt_error err = {0};
    CHECK(kt_store_open(&st, path, KT_STORE_WRITE, why));
    CHECK(write_round(st, 0, why));
    kt_store_close(st);
    ask(path, "DROP TABLE run; INSERT INTO meta VALUES('input', 'old.pcap'); PRAGMA user_version=2",
        answer, sizeof answer);
    assert_int_equal(kt_store_open(&st, path, KT_STORE_READ, &err), KT_EVERSION);
    assert_non_null(strstr(err.text, "older"));
    CHECK(kt_store_open(&st, path, KT_STORE_WRITE, why));
    CHECK(kt_store_begin_run(st, "new.pcap", NULL, why));
    CHECK(kt_store_commit(st, why));
    assert_int_equal(count_rounds(st), 1);
    kt_store_close(st);
    ask(path, "SELECT group_concat(id || ' ' || input) FROM run", answer, sizeof answer);
    assert_string_equal(answer, "1 old.pcap,2 new.pcap\n");
    ask(path, "SELECT count(*) FROM meta WHERE key = 'input'", answer, sizeof answer);
    assert_string_equal(answer, "0\n");
    remove_folder(folder);
}

static void damage_is_an_error(void **state)
{
    (void)state;
    char *folder = temp_folder(), path[256], answer[64];
    path_in(folder, path);
    struct kt_store *st;
    struct kt_error err = {0};
    CHECK(kt_store_open(&st, path, KT_STORE_WRITE, why));
    CHECK(write_round(st, 0, why));
    kt_store_close(st);
    ask(path, "UPDATE flows SET data = zeroblob(3); UPDATE points SET data = randomblob(500)",
        answer, sizeof answer);
    CHECK(kt_store_open(&st, path, KT_STORE_READ, why));
    uint64_t total;
    struct kt_store_result r;
    struct kt_flow_query q = {.limit = 5};
    assert_int_equal(kt_store_flows(st, &q, &total, ignore, NULL, &err), KT_EFORMAT);
    assert_non_null(strstr(err.text, "damaged"));
    assert_int_equal(kt_store_query(st, KT_STREAM_TOTAL, NULL, 0, 0, 5, &r, &err), KT_EFORMAT);
    kt_store_close(st);
    remove_folder(folder);
}

static void a_private_store_leaves_nothing(void **state)
{
    (void)state;
    struct kt_store *st;
    CHECK(kt_store_open(&st, NULL, KT_STORE_WRITE, why));
    CHECK(write_round(st, 0, why));
    char *path = strdup(kt_store_path(st));
    assert_int_equal(access(path, F_OK), 0);
    kt_store_close(st);
    assert_int_not_equal(access(path, F_OK), 0);
    *strrchr(path, '/') = '\0';
    assert_int_not_equal(access(path, F_OK), 0);
    free(path);
    struct kt_error err = {0};
    assert_int_equal(kt_store_open(&st, NULL, KT_STORE_READ, &err), KT_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(survives_kill),
        cmocka_unit_test(refuses_what_it_cannot_read),
        cmocka_unit_test(says_when_the_disk_is_full),
        cmocka_unit_test(readers_beside_the_writer),
        cmocka_unit_test(a_file_of_before_is_carried_over),
        cmocka_unit_test(damage_is_an_error),
        cmocka_unit_test(a_private_store_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
