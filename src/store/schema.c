/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * The schema and its migrations: step[v] turns a file of version v into one of version v + 1.
 */
#include "schema.h"

static const char *const step[KT_STORE_SCHEMA] = {
    /* 0 -> 1 */
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE stream(id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, name TEXT NOT NULL,"
    "  UNIQUE(kind, name));"
    /* least and most: of the first value of its points */
    "CREATE TABLE points(id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, first INTEGER NOT NULL,"
    "  last INTEGER NOT NULL, rows INTEGER NOT NULL, least INTEGER NOT NULL,"
    "  most INTEGER NOT NULL, data BLOB NOT NULL);"
    "CREATE INDEX points_zone ON points(kind, last, first, rows);"
    "CREATE TABLE label(id INTEGER PRIMARY KEY, app TEXT NOT NULL, category TEXT NOT NULL,"
    "  rule TEXT NOT NULL, UNIQUE(app, category, rule));"
    /* first: the earliest first packet of its flows; last: the latest last packet */
    "CREATE TABLE flows(id INTEGER PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL,"
    "  rows INTEGER NOT NULL, data BLOB NOT NULL);"
    "CREATE INDEX flows_zone ON flows(last, first, rows);"
    /* rows of chunks that a later record of the same flow replaces */
    "CREATE TABLE superseded(chunk INTEGER NOT NULL, row INTEGER NOT NULL,"
    "  PRIMARY KEY(chunk, row)) WITHOUT ROWID;"
    "CREATE TABLE event(id INTEGER PRIMARY KEY, began INTEGER NOT NULL, noticed INTEGER NOT NULL,"
    "  ended INTEGER NOT NULL, confidence REAL NOT NULL, severity REAL NOT NULL,"
    "  kind TEXT NOT NULL, title TEXT NOT NULL, causes TEXT, filter TEXT, streams TEXT);",
    /* 1 -> 2: new chunks of flows also hold who announced a flow; old ones are read as they are */
    "",
    /* 2 -> 3: each run numbers its flows in a range of its own; those before did so in the first */
    "CREATE TABLE run(id INTEGER PRIMARY KEY, began INTEGER NOT NULL, input TEXT NOT NULL);"
    "INSERT INTO run(began, input) SELECT 0, value FROM meta WHERE key = 'input';"
    "DELETE FROM meta WHERE key = 'input';",
};

static int number(struct kt_store *st, const char *sql, int64_t *value, struct kt_error *err)
{
    sqlite3_stmt *stmt;
    if (sqlite3_prepare_v2(st->db, sql, -1, &stmt, NULL) != SQLITE_OK)
        return kt_store_sql_fail(st, err, "read it");
    int rc = sqlite3_step(stmt);
    *value = rc == SQLITE_ROW ? sqlite3_column_int64(stmt, 0) : 0;
    int fail =
        rc == SQLITE_ROW || rc == SQLITE_DONE ? KT_OK : kt_store_sql_fail(st, err, "read it");
    sqlite3_finalize(stmt);
    return fail;
}

int kt_schema_exec(struct kt_store *st, const char *sql, struct kt_error *err, const char *doing)
{
    if (sqlite3_exec(st->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return kt_store_sql_fail(st, err, doing);
    return KT_OK;
}

static int migrate(struct kt_store *st, int64_t from, struct kt_error *err)
{
    for (int64_t v = from; v < KT_STORE_SCHEMA; v++) {
        int rc = kt_schema_exec(st, step[v], err, "set up its tables");
        if (rc < 0)
            return rc;
    }
    char stamp[96];
    snprintf(stamp, sizeof stamp, "PRAGMA application_id=%d; PRAGMA user_version=%d",
             KT_STORE_APPLICATION_ID, KT_STORE_SCHEMA);
    return kt_schema_exec(st, stamp, err, "set up its tables");
}

/* Is it ours, and of a version this program knows? */
static int judge(struct kt_store *st, int64_t *version, struct kt_error *err)
{
    int64_t app = 0, tables = 0;
    int rc = number(st, "PRAGMA application_id", &app, err);
    if (rc == KT_OK)
        rc = number(st, "PRAGMA user_version", version, err);
    if (rc == KT_OK)
        rc = number(st, "SELECT count(*) FROM sqlite_master", &tables, err);
    if (rc < 0)
        return rc;
    bool fresh = tables == 0 && app == 0 && *version == 0;
    if (fresh ? !st->writer : app != KT_STORE_APPLICATION_ID || *version < 1)
        return kt_fail(err, KT_EFORMAT, 0, "%s: this is not a Kotare store", st->path);
    if (*version > KT_STORE_SCHEMA)
        return kt_fail(err, KT_EVERSION, 0,
                       "%s: this store was made by a newer version of Kotare (its format is %lld, "
                       "this program knows up to %d)",
                       st->path, (long long)*version, KT_STORE_SCHEMA);
    if (*version < KT_STORE_SCHEMA && !st->writer)
        return kt_fail(err, KT_EVERSION, 0,
                       "%s: this store has an older format; open it once for writing to carry it "
                       "over",
                       st->path);
    return KT_OK;
}

int kt_schema_open(struct kt_store *st, struct kt_error *err)
{
    int64_t version = 0;
    int rc = judge(st, &version, err);
    if (rc < 0 || !st->writer)
        return rc;
    /* Pages of 16 KiB: a blob of a chunk then takes tens of writes, not hundreds. NORMAL: what was
     * committed survives the death of the process; a power failure may take the last second, but
     * never the file. */
    rc = kt_schema_exec(st, "PRAGMA page_size=16384; PRAGMA journal_mode=WAL", err, "open it");
    if (rc == KT_OK)
        rc = kt_schema_exec(st,
                            st->temp ? "PRAGMA synchronous=OFF; PRAGMA wal_autocheckpoint=512"
                                     : "PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=512",
                            err, "open it");
    if (rc < 0 || version == KT_STORE_SCHEMA)
        return rc;
    /* Look again under the lock: another process may have been quicker. */
    rc = kt_schema_exec(st, "BEGIN IMMEDIATE", err, "write to it");
    if (rc == KT_OK && (rc = judge(st, &version, err)) == KT_OK)
        rc = migrate(st, version, err);
    if (rc == KT_OK)
        return kt_schema_exec(st, "COMMIT", err, "set up its tables");
    sqlite3_exec(st->db, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}
