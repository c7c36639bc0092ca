/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Somebody else's file as a store. First byte modulo 4: 0, the file is these bytes; 1, a small
 * store with bytes of the file overwritten; else with rows changed through SQLite, so that the file
 * is sound and what lies in it is not. Everything the page asks for is asked: JSON comes back, or
 * an error with a sentence. Then it is opened for writing, and written to.
 */
#include "fuzz.h"
#include "json.h"
#include "store/internal.h"
#include "web/internal.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

static char path[64];
static struct kt_buf template;

/* ---- the small store ---- */

static struct kt_flow_label label_of(void *ctx, unsigned label)
{
    (void)ctx;
    return label ? (struct kt_flow_label){"TLS", "web", "tls"}
                 : (struct kt_flow_label){"DNS", "services", "dns-udp"};
}

static void fill(struct kt_store *st)
{
    struct kt_stream stream[] = {
        {KT_STREAM_TOTAL, ""}, {KT_STREAM_APP, "DNS"}, {KT_STREAM_HEALTH, "rtt"}};
    struct kt_event e = {.began = 2 * KT_SECOND, .kind = "surge", .title = "more of it"};
    char causes[] = "[{\"kind\":\"app\",\"name\":\"DNS\"}]";
    e.causes = causes;
    fuzz_must(kt_store_put_meta(st, "interval_ns", "1000000000", NULL) == KT_OK);
    for (int t = 1; t < 4; t++) {
        struct kt_flow_record r = {.id = (uint64_t)t,
                                   .first = t * KT_SECOND,
                                   .last = (t + 1) * KT_SECOND,
                                   .key = {.ip = t == 2 ? 6 : 4, .proto = 6, .port = {4000, 443}},
                                   .verdict = {.label = t & 1},
                                   .end = t == 3 ? KT_FLOW_ACTIVE : KT_FLOW_CLOSED,
                                   .packets = {1, 2},
                                   .bytes = {70, 300}};
        for (unsigned i = 0; i < KT_ARRAY_LEN(stream); i++) {
            struct kt_point p = {.ts = t * KT_SECOND, .value = {5, 6, 7}};
            fuzz_must(kt_store_stream(st, &stream[i], &p.stream, NULL) == KT_OK);
            fuzz_must(kt_store_add_points(st, &p, 1, NULL) == KT_OK);
        }
        fuzz_must(kt_store_add_flows(st, &r, 1, label_of, NULL, NULL) == KT_OK);
    }
    fuzz_must(kt_store_put_event(st, &e, NULL) == KT_OK);
    fuzz_must(kt_store_commit(st, NULL) == KT_OK);
}

static void clean_up(void)
{
    char name[80];
    static const char *const suffix[] = {"", "-wal", "-shm", "-journal"};
    for (unsigned i = 0; i < KT_ARRAY_LEN(suffix); i++) {
        snprintf(name, sizeof name, "%s%s", path, suffix[i]);
        unlink(name);
    }
}

static void make_template(void)
{
    struct kt_store *st;
    sqlite3 *db;
    struct stat s;
    const char *folder = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(path, sizeof path, "%s/kotare-fuzz-%ld.kt", folder, (long)getpid());
    clean_up();
    atexit(clean_up);
    fuzz_must(kt_store_open(&st, path, KT_STORE_WRITE, NULL) == KT_OK);
    fill(st);
    kt_store_close(st);
    fuzz_must(sqlite3_open(path, &db) == SQLITE_OK); /* smaller pages, so that a patch hits */
    fuzz_must(sqlite3_exec(db, "PRAGMA journal_mode=DELETE; PRAGMA page_size=512; VACUUM", NULL,
                           NULL, NULL) == SQLITE_OK);
    sqlite3_close(db);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    fuzz_must(fd >= 0 && fstat(fd, &s) == 0 && kt_buf_room(&template, (size_t)s.st_size));
    template.len = (size_t)s.st_size;
    fuzz_must(read(fd, template.data, template.len) == (ssize_t) template.len);
    close(fd);
}

/* ---- what is done to it ---- */

static void write_file(const void *data, size_t size)
{
    clean_up();
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    fuzz_must(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    close(fd);
}

/* (offset u16, how many, bytes) … */
static void patch(uint8_t *at, size_t size, struct kt_cursor *in)
{
    while (kt_cursor_left(in) > 3 && size) {
        size_t where = kt_cursor_be16(in) % size, n = kt_cursor_u8(in) & 31;
        for (; n && where < size && kt_cursor_left(in); n--)
            at[where++] = kt_cursor_u8(in);
    }
}

static void patch_file(struct kt_cursor *in)
{
    uint8_t *copy = malloc(template.len);
    fuzz_must(copy);
    memcpy(copy, template.data, template.len);
    patch(copy, template.len, in);
    write_file(copy, template.len);
    free(copy);
}

/* A number of any size: few values at the ends of what a type holds, or what the bytes say. */
static int64_t any(struct kt_cursor *in)
{
    static const int64_t special[] = {0, 1, -1, INT64_MAX, INT64_MIN, INT32_MAX, 1 << 24, 65536};
    uint8_t how = kt_cursor_u8(in);
    if (how & 128)
        return special[how % KT_ARRAY_LEN(special)];
    uint64_t v = (uint64_t)kt_cursor_be32(in) << 32 | kt_cursor_be32(in);
    return (int64_t)(v >> (how & 63));
}

static void bind_bytes(sqlite3_stmt *s, int column, struct kt_cursor *in, bool text)
{
    size_t n = kt_cursor_be16(in), left = kt_cursor_left(in);
    n = n < left ? n : left;
    const void *data = kt_cursor_take(in, n);
    if (text)
        sqlite3_bind_text(s, column, data, (int)n, SQLITE_STATIC);
    else
        sqlite3_bind_blob(s, column, data, (int)n, SQLITE_STATIC);
}

/* One row put in; 'n' any number, 't' any text, 'b' any bytes. */
static const struct {
    const char *sql, *what;
} rows[] = {
    {"INSERT OR REPLACE INTO points VALUES(?,?,?,?,?,?,?,?)", "nnnnnnnb"},
    {"INSERT OR REPLACE INTO flows VALUES(?,?,?,?,?)", "nnnnb"},
    {"INSERT OR REPLACE INTO stream VALUES(?,?,?)", "nnt"},
    {"INSERT OR REPLACE INTO label VALUES(?,?,?,?)", "nttt"},
    {"INSERT OR REPLACE INTO superseded VALUES(?,?)", "nn"},
    {"INSERT OR REPLACE INTO event VALUES(?,?,?,?,?,?,?,?,?,?,?)", "nnnnnnttttt"},
    {"INSERT OR REPLACE INTO meta VALUES('interval_ns',?)", "t"},
    {"UPDATE points SET first=?, last=?", "nn"},
    {"UPDATE flows SET first=?, last=?, rows=?", "nnn"},
    {"UPDATE points SET data=?", "p"},
    {"UPDATE flows SET data=?", "p"},
};

static void change_row(sqlite3 *db, struct kt_cursor *in)
{
    unsigned which = kt_cursor_u8(in) % KT_ARRAY_LEN(rows);
    sqlite3_stmt *s, *get = NULL;
    uint8_t blob[4096];
    fuzz_must(sqlite3_prepare_v2(db, rows[which].sql, -1, &s, NULL) == SQLITE_OK);
    for (int i = 0; rows[which].what[i]; i++) {
        if (rows[which].what[i] == 'n') {
            sqlite3_bind_int64(s, i + 1, any(in));
        } else if (rows[which].what[i] == 'p') { /* the blob that is there, patched */
            const char *sql = which == 9 ? "SELECT data FROM points" : "SELECT data FROM flows";
            fuzz_must(sqlite3_prepare_v2(db, sql, -1, &get, NULL) == SQLITE_OK);
            if (sqlite3_step(get) != SQLITE_ROW || sqlite3_column_bytes(get, 0) > 4096)
                continue;
            size_t n = (size_t)sqlite3_column_bytes(get, 0);
            if (n)
                memcpy(blob, sqlite3_column_blob(get, 0), n);
            patch(blob, n, in);
            sqlite3_bind_blob(s, i + 1, blob, (int)n, SQLITE_STATIC);
        } else {
            bind_bytes(s, i + 1, in, rows[which].what[i] == 't');
        }
    }
    sqlite3_finalize(get);
    sqlite3_step(s);
    sqlite3_finalize(s);
}

static void change_rows(struct kt_cursor *in)
{
    sqlite3 *db;
    write_file(template.data, template.len);
    fuzz_must(sqlite3_open(path, &db) == SQLITE_OK);
    sqlite3_exec(db, "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; BEGIN", NULL, NULL, NULL);
    while (kt_cursor_left(in))
        change_row(db, in);
    sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    sqlite3_close(db);
}

/* ---- what is asked of it ---- */

/* params: names and values in turn, NULL at the end. */
static void ask(struct kt_web *web, const char *name, const char *const *params)
{
    char api[64];
    snprintf(api, sizeof api, "%s%s", KT_WEB_API, name);
    struct kt_http_request request = {.path = api};
    for (; *params; params += 2, request.params++) {
        request.param[request.params].name = params[0];
        request.param[request.params].value = params[1];
    }
    struct kt_web_job job = {.ask = &request, .until = INT64_MAX};
    kt_web_api(web, &job);
    unsigned status = job.status;
    fuzz_must(status == 200 || status == 400 || status == 404 || status == 500 || status == 503);
    fuzz_must(job.out.len && json_valid(job.out.data, job.out.len));
    fuzz_must((status == 200) == (memcmp(job.out.data, "{\"error\":", 9) != 0));
    kt_buf_free(&job.out);
}

static void read_it(void)
{
    static const char *const none[] = {NULL};
    static const char *const kinds[] = {"total", "app", "category", "direction", "port", "health"};
    static const char *const page[] = {
        "sort", "app",   "order", "desc",   "offset",
        "1",    "limit", "2",     "filter", "bytes > 10 or port == 443",
        NULL};
    static const char *const window[] = {"from", "2000000000", "to", "3000000000", NULL};
    struct kt_web web = {.store_path = path, .lock = PTHREAD_MUTEX_INITIALIZER};
    static const char *const names[] = {"applications", "flows", "events", "series"};
    for (unsigned i = 0; i < KT_ARRAY_LEN(names); i++) {
        ask(&web, names[i], none);
        ask(&web, names[i], window);
    }
    for (unsigned i = 0; i < KT_ARRAY_LEN(kinds); i++) {
        const char *const of[] = {"kind", kinds[i], "points", "7", "top", "2", NULL};
        ask(&web, "series", of);
    }
    ask(&web, "flows", page);
    while (web.readers)
        kt_store_close(web.reader[--web.readers]);
}

static void write_to_it(void)
{
    struct kt_store *st;
    struct kt_error err = {0};
    struct kt_stream stream = {KT_STREAM_APP, "SSH"};
    struct kt_point p = {.ts = 9 * KT_SECOND, .value = {1, 2, 3}};
    struct kt_flow_record r = {.id = 9, .first = 9 * KT_SECOND, .last = 9 * KT_SECOND};
    int rc = kt_store_open(&st, path, KT_STORE_WRITE, &err);
    if (rc == KT_OK) {
        if ((rc = kt_store_stream(st, &stream, &p.stream, &err)) == KT_OK &&
            (rc = kt_store_add_points(st, &p, 1, &err)) == KT_OK &&
            (rc = kt_store_add_flows(st, &r, 1, label_of, NULL, &err)) == KT_OK)
            rc = kt_store_commit(st, &err);
        kt_store_close(st);
    }
    fuzz_must(rc == KT_OK || (rc < 0 && err.text[0]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!template.len)
        make_template();
    if (size == 0)
        return 0;
    struct kt_cursor in = kt_cursor(data + 1, size - 1);
    if (data[0] % 4 == 0)
        write_file(data + 1, size - 1);
    else if (data[0] % 4 == 1)
        patch_file(&in);
    else
        change_rows(&in);
    read_it();
    if (data[0] & 4)
        write_to_it();
    return 0;
}
