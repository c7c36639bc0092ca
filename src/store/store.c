/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Opening and closing, transactions, errors, and the small tables: meta and streams.
 */
#include "schema.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static const char *const sql[SQL_COUNT] = {
    [SQL_BEGIN_WRITE] = "BEGIN IMMEDIATE",
    [SQL_BEGIN_READ] = "BEGIN",
    [SQL_COMMIT] = "COMMIT",
    [SQL_ROLLBACK] = "ROLLBACK",
    [SQL_PUT_META] = "INSERT OR REPLACE INTO meta(key, value) VALUES(?, ?)",
    [SQL_GET_META] = "SELECT value FROM meta WHERE key = ?",
    [SQL_PUT_RUN] = "INSERT INTO run(began, input) VALUES(?, ?)",
    [SQL_END_EVENTS] = "UPDATE event SET ended = max(noticed, (SELECT max(last) FROM points))"
                       " WHERE ended = 0 AND EXISTS(SELECT 1 FROM points)",
    [SQL_PUT_STREAM] = "INSERT INTO stream(kind, name) VALUES(?, ?)",
    [SQL_GET_STREAM] = "SELECT id FROM stream WHERE kind = ? AND name = ?",
    [SQL_STREAM_KIND] = "SELECT kind FROM stream WHERE id = ?",
    [SQL_STREAMS] = "SELECT id, name FROM stream WHERE kind = ?1 AND (?2 IS NULL OR name = ?2)"
                    " ORDER BY id",
    [SQL_PUT_POINTS] = "INSERT INTO points(kind, first, last, rows, least, most, data)"
                       " VALUES(?, ?, ?, ?, ?, ?, ?)",
    [SQL_SET_POINTS] = "UPDATE points SET kind = ?, first = ?, last = ?, rows = ?, least = ?,"
                       " most = ?, data = ? WHERE id = ?",
    [SQL_FIND_POINTS] = "SELECT id, first, last, rows FROM points WHERE kind = ? AND last >= ?"
                        " AND first < ? ORDER BY id",
    [SQL_LOAD_POINTS] = "SELECT data FROM points WHERE id = ?",
    [SQL_RANGE] = "SELECT min(first), max(last) FROM points",
    [SQL_PUT_LABEL] = "INSERT INTO label(app, category, rule) VALUES(?, ?, ?)",
    [SQL_GET_LABEL] = "SELECT id FROM label WHERE app = ? AND category = ? AND rule = ?",
    [SQL_LABELS] = "SELECT id, app, category, rule FROM label ORDER BY id",
    [SQL_PUT_FLOWS] = "INSERT INTO flows(first, last, rows, data) VALUES(?, ?, ?, ?)",
    [SQL_SET_FLOWS] = "UPDATE flows SET first = ?, last = ?, rows = ?, data = ? WHERE id = ?",
    [SQL_FIND_FLOWS] = "SELECT id, first, last, rows FROM flows WHERE last >= ? AND first < ?"
                       " ORDER BY id",
    [SQL_LOAD_FLOWS] = "SELECT data FROM flows WHERE id = ?",
    [SQL_PUT_SUPERSEDED] = "INSERT OR IGNORE INTO superseded(chunk, row) VALUES(?, ?)",
    [SQL_SUPERSEDED] = "SELECT row FROM superseded WHERE chunk = ?",
    [SQL_PUT_EVENT] = "INSERT OR REPLACE INTO event(id, began, noticed, ended, confidence,"
                      " severity, kind, title, causes, filter, streams)"
                      " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [SQL_EVENTS] = "SELECT id, began, noticed, ended, confidence, severity, kind, title, causes,"
                   " filter, streams FROM event WHERE began < ?2 AND (ended = 0 OR ended >= ?1)"
                   " ORDER BY began, id",
};

int kt_store_sql_fail(struct kt_store *st, struct kt_error *err, const char *doing)
{
    int sys = sqlite3_system_errno(st->db), rc = sqlite3_errcode(st->db), code = KT_EIO;
    if (!sys && (rc & 0xff) == SQLITE_IOERR)
        sys = st->sys; /* a failed commit does not tell */
    const char *text = sqlite3_errmsg(st->db);
    switch (rc & 0xff) {
    case SQLITE_FULL:
        code = KT_EFULL;
        break;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        if (sys)
            return sys == ENOSPC || sys == EDQUOT || sys == EFBIG
                       ? kt_fail(err, KT_EFULL, 0,
                                 "%s: no space left to store more; what was stored before stays "
                                 "readable",
                                 st->path)
                       : kt_fail_errno(err, sys, "%s: cannot %s", st->path, doing);
        break;
    case SQLITE_NOTADB:
        return kt_fail(err, KT_EFORMAT, 0, "%s: this is not a Kotare store", st->path);
    case SQLITE_CORRUPT:
        code = KT_EFORMAT;
        break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        code = KT_EBUSY;
        text = "another program is writing to it";
        break;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        code = KT_EPERM;
        break;
    case SQLITE_NOMEM:
        code = KT_ENOMEM;
        break;
    }
    if (code == KT_EFULL)
        return kt_fail(err, code, 0,
                       "%s: no space left to store more; what was stored before stays readable",
                       st->path);
    return kt_fail(err, code, 0, "%s: cannot %s: %s", st->path, doing, text);
}

sqlite3_stmt *kt_store_sql(struct kt_store *st, enum kt_sql which, struct kt_error *err)
{
    sqlite3_stmt **stmt = &st->stmt[which];
    if (*stmt) {
        sqlite3_reset(*stmt);
        sqlite3_clear_bindings(*stmt);
    } else if (sqlite3_prepare_v3(st->db, sql[which], -1, SQLITE_PREPARE_PERSISTENT, stmt, NULL) !=
               SQLITE_OK) {
        kt_store_sql_fail(st, err, "use it");
    }
    return *stmt;
}

int kt_store_run(struct kt_store *st, sqlite3_stmt *stmt, struct kt_error *err, const char *doing)
{
    errno = 0;
    int rc = sqlite3_step(stmt);
    st->sys = errno;
    int result = rc == SQLITE_DONE || rc == SQLITE_ROW ? KT_OK : kt_store_sql_fail(st, err, doing);
    sqlite3_reset(stmt);
    return result;
}

static int run(struct kt_store *st, enum kt_sql which, struct kt_error *err, const char *doing)
{
    sqlite3_stmt *stmt = kt_store_sql(st, which, err);
    return stmt ? kt_store_run(st, stmt, err, doing) : KT_EIO;
}

/* ---- transactions ---- */

int kt_store_broken(struct kt_store *st, int rc, const struct kt_error *why)
{
    st->failed = *why;
    st->failed.code = rc;
    if (st->in_txn)
        run(st, SQL_ROLLBACK, NULL, "roll back");
    st->in_txn = false;
    return rc;
}

int kt_store_write(struct kt_store *st, struct kt_error *err)
{
    if (st->failed.code < 0)
        return kt_fail(err, st->failed.code, st->failed.offset, "%s", st->failed.text);
    if (!st->writer)
        return kt_fail(err, KT_EPERM, 0, "%s: the store was opened for reading", st->path);
    if (st->in_txn)
        return KT_OK;
    int rc = run(st, SQL_BEGIN_WRITE, err, "write to it");
    st->in_txn = rc == KT_OK;
    return rc;
}

int kt_store_commit(struct kt_store *st, struct kt_error *err)
{
    struct kt_error mine = {0};
    int rc = kt_store_write(st, err);
    if (rc < 0)
        return rc;
    if ((rc = kt_points_flush(st, &mine)) == KT_OK && (rc = kt_flows_flush(st, &mine)) == KT_OK &&
        (rc = run(st, SQL_COMMIT, &mine, "commit")) == KT_OK) {
        st->in_txn = false;
        return KT_OK;
    }
    if (err)
        *err = mine;
    return kt_store_broken(st, rc, &mine);
}

int kt_store_read_begin(struct kt_store *st, struct kt_error *err)
{
    return st->in_txn ? KT_OK : run(st, SQL_BEGIN_READ, err, "read it");
}

void kt_store_read_end(struct kt_store *st)
{
    if (!st->in_txn)
        run(st, SQL_COMMIT, NULL, "read it");
}

void kt_store_stop_when(struct kt_store *st, bool (*stop)(void *ctx), void *ctx)
{
    st->stop = stop;
    st->stop_ctx = ctx;
}

int kt_store_go_on(struct kt_store *st, struct kt_error *err)
{
    return st->stop && st->stop(st->stop_ctx)
               ? kt_fail(err, KT_ECANCELED, 0, "%s: the query was given up", st->path)
               : KT_OK;
}

/* ---- opening and closing ---- */

static int make_temp(struct kt_store *st, struct kt_error *err)
{
    const char *folder = getenv("TMPDIR");
    struct kt_buf name = {0};
    kt_buf_printf(&name, "%s/kotare-XXXXXX", folder && *folder ? folder : "/tmp");
    if (name.failed)
        return kt_fail(err, KT_ENOMEM, 0, "no memory for a store");
    if (!mkdtemp(name.data)) {
        int rc = kt_fail_errno(err, errno, "cannot make the temporary folder %s", name.data);
        kt_buf_free(&name);
        return rc;
    }
    st->temp = name.data;
    return asprintf(&st->path, "%s/store.kt", st->temp) < 0 ? KT_ENOMEM : KT_OK;
}

/* SQLite tries to write, then to read only, and tells the reason of the second. */
static int why_not_opened(const struct kt_store *st)
{
    if (access(st->path, F_OK) == 0)
        return access(st->path, st->writer ? R_OK | W_OK : R_OK) < 0 ? errno : 0;
    if (errno != ENOENT || !st->writer)
        return errno;
    const char *slash = strrchr(st->path, '/');
    char *folder = slash ? strndup(st->path, (size_t)(slash - st->path) + 1) : strdup(".");
    int e = folder && access(folder, W_OK | X_OK) < 0 ? errno : 0;
    free(folder);
    return e;
}

static int open_db(struct kt_store *st, struct kt_error *err)
{
    /* Without CREATE first: then a missing file says so instead of "unable to open". */
    if (!st->writer && access(st->path, R_OK) < 0)
        return kt_fail_errno(err, errno, "%s: cannot open the store", st->path);
    /* Whom somebody talks to is nobody else's business: not what the umask says. */
    int fd = st->writer ? open(st->path, O_CREAT | O_RDWR | O_CLOEXEC | O_NONBLOCK, 0600) : -1;
    if (fd >= 0)
        close(fd);
    int flags = st->writer ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY;
    int rc = sqlite3_open_v2(st->path, &st->db, flags | SQLITE_OPEN_NOMUTEX, NULL);
    int reason = rc == SQLITE_CANTOPEN ? why_not_opened(st) : 0;
    if (reason)
        return kt_fail_errno(err, reason, "%s: cannot open it", st->path);
    if (rc != SQLITE_OK)
        return st->db ? kt_store_sql_fail(st, err, "open it")
                      : kt_fail(err, KT_ENOMEM, 0, "%s: no memory to open it", st->path);
    sqlite3_extended_result_codes(st->db, 1);
    sqlite3_busy_timeout(st->db, 5000);
    sqlite3_db_config(st->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    return kt_schema_open(st, err);
}

int kt_store_open(struct kt_store **store, const char *path, enum kt_store_mode mode,
                  struct kt_error *err)
{
    *store = NULL;
    struct kt_store *st = calloc(1, sizeof *st);
    if (!st)
        return kt_fail(err, KT_ENOMEM, 0, "no memory for a store");
    st->writer = mode == KT_STORE_WRITE;
    int rc = KT_OK;
    if (path)
        rc = (st->path = strdup(path)) ? KT_OK : KT_ENOMEM;
    else if (st->writer)
        rc = make_temp(st, err);
    else
        rc = kt_fail(err, KT_EINVAL, 0, "a store that is to be read needs a name");
    if (rc == KT_OK)
        rc = open_db(st, err);
    if (rc < 0) {
        kt_store_close(st);
        return rc;
    }
    *store = st;
    return KT_OK;
}

const char *kt_store_path(const struct kt_store *store)
{
    return store->path;
}

static void remove_temp(struct kt_store *st)
{
    static const char *const suffix[] = {"", "-wal", "-shm", "-journal"};
    for (size_t i = 0; st->path && i < KT_ARRAY_LEN(suffix); i++) {
        char name[4096];
        if ((size_t)snprintf(name, sizeof name, "%s%s", st->path, suffix[i]) < sizeof name)
            unlink(name);
    }
    rmdir(st->temp);
}

void kt_store_close(struct kt_store *st)
{
    if (!st)
        return;
    if (st->in_txn)
        run(st, SQL_ROLLBACK, NULL, "roll back");
    for (unsigned i = 0; i < SQL_COUNT; i++)
        sqlite3_finalize(st->stmt[i]);
    sqlite3_close(st->db);
    if (st->temp)
        remove_temp(st);
    kt_points_fini(st);
    kt_flows_fini(st);
    kt_buf_free(&st->blob);
    free(st->stream_kind);
    free(st->temp);
    free(st->path);
    free(st);
}

/* ---- meta and streams ---- */

int kt_store_put_meta(struct kt_store *st, const char *key, const char *value, struct kt_error *err)
{
    int rc = kt_store_write(st, err);
    if (rc < 0)
        return rc;
    sqlite3_stmt *stmt = kt_store_sql(st, SQL_PUT_META, err);
    if (!stmt)
        return KT_EIO;
    sqlite3_bind_text(stmt, 1, key, -1, SQLITE_STATIC);
    sqlite3_bind_text(stmt, 2, value, -1, SQLITE_STATIC);
    return kt_store_run(st, stmt, err, "store a setting");
}

int kt_store_get_meta(struct kt_store *st, const char *key, char *buf, size_t size)
{
    sqlite3_stmt *stmt = kt_store_sql(st, SQL_GET_META, NULL);
    if (!stmt)
        return KT_EIO;
    sqlite3_bind_text(stmt, 1, key, -1, SQLITE_STATIC);
    int rc = sqlite3_step(stmt), result = rc == SQLITE_DONE ? KT_ENOTFOUND : KT_EIO;
    const char *text = rc == SQLITE_ROW ? (const char *)sqlite3_column_text(stmt, 0) : NULL;
    if (text) {
        snprintf(buf, size, "%s", text);
        result = KT_OK;
    }
    sqlite3_reset(stmt);
    return result;
}

int64_t kt_store_interval(struct kt_store *st)
{
    char text[32];
    int64_t ns = 0;
    if (kt_store_get_meta(st, "interval_ns", text, sizeof text) == KT_OK)
        ns = strtoll(text, NULL, 10);
    return ns < 1 || ns > 86400 * KT_SECOND ? KT_SECOND : ns;
}

int kt_store_set_interval(struct kt_store *st, int64_t ns, struct kt_error *err)
{
    char text[32];
    bool known = kt_store_get_meta(st, "interval_ns", text, sizeof text) == KT_OK;
    if (known && kt_store_interval(st) != ns)
        return kt_fail(err, KT_EINVAL, 0,
                       "%s: it holds intervals of %lld s: give --interval %lld, or another file",
                       st->path, (long long)(kt_store_interval(st) / KT_SECOND),
                       (long long)(kt_store_interval(st) / KT_SECOND));
    snprintf(text, sizeof text, "%lld", (long long)ns);
    return known ? KT_OK : kt_store_put_meta(st, "interval_ns", text, err);
}

/* Remembers what kind stream `id` is. */
static int learn_stream(struct kt_store *st, uint32_t id, unsigned kind)
{
    if (id >= st->streams) {
        size_t n = (size_t)id + 64 + id / 2;
        uint8_t *more = realloc(st->stream_kind, n);
        if (!more)
            return KT_ENOMEM;
        memset(more + st->streams, 255, n - st->streams);
        st->stream_kind = more;
        st->streams = n;
    }
    st->stream_kind[id] = (uint8_t)kind;
    return KT_OK;
}

int kt_store_stream(struct kt_store *st, const struct kt_stream *stream, uint32_t *id,
                    struct kt_error *err)
{
    if ((unsigned)stream->kind >= KT_STREAM_KINDS)
        return kt_fail(err, KT_EINVAL, 0, "there is no kind %d of stream", (int)stream->kind);
    int rc = kt_store_write(st, err);
    sqlite3_stmt *get = rc == KT_OK ? kt_store_sql(st, SQL_GET_STREAM, err) : NULL;
    if (!get)
        return rc < 0 ? rc : KT_EIO;
    sqlite3_bind_int(get, 1, (int)stream->kind);
    sqlite3_bind_text(get, 2, stream->name, -1, SQLITE_STATIC);
    int64_t row = 0;
    if (sqlite3_step(get) == SQLITE_ROW)
        row = sqlite3_column_int64(get, 0);
    sqlite3_reset(get);
    if (!row) {
        sqlite3_stmt *put = kt_store_sql(st, SQL_PUT_STREAM, err);
        if (!put)
            return KT_EIO;
        sqlite3_bind_int(put, 1, (int)stream->kind);
        sqlite3_bind_text(put, 2, stream->name, -1, SQLITE_STATIC);
        if ((rc = kt_store_run(st, put, err, "store a stream")) < 0)
            return rc;
        row = sqlite3_last_insert_rowid(st->db);
    }
    if (row < 1 || row > 1 << 24)
        return kt_fail(err, KT_EFULL, 0, "%s: too many streams", st->path);
    *id = (uint32_t)row;
    return learn_stream(st, *id, (unsigned)stream->kind) < 0
               ? kt_fail(err, KT_ENOMEM, 0, "no memory for a stream")
               : KT_OK;
}

int kt_zones_load(struct kt_store *st, sqlite3_stmt *find, struct kt_zones *zones,
                  struct kt_error *err)
{
    *zones = (struct kt_zones){0};
    size_t cap = 0;
    int rc;
    while ((rc = sqlite3_step(find)) == SQLITE_ROW) {
        struct kt_zone *more = kt_array_room(zones->zone, zones->n + 1, &cap, sizeof *more);
        if (!more)
            break;
        zones->zone = more;
        zones->zone[zones->n++] = (struct kt_zone){
            .id = sqlite3_column_int64(find, 0),
            .first = sqlite3_column_int64(find, 1),
            .last = sqlite3_column_int64(find, 2),
            .rows = (uint32_t)sqlite3_column_int64(find, 3),
        };
    }
    int result = rc == SQLITE_DONE  ? KT_OK
                 : rc == SQLITE_ROW ? kt_fail(err, KT_ENOMEM, 0, "no memory for a query")
                                    : kt_store_sql_fail(st, err, "read it");
    sqlite3_reset(find);
    if (result < 0) {
        free(zones->zone);
        *zones = (struct kt_zones){0};
    }
    return result;
}
