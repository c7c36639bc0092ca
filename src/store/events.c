/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "internal.h"
#include <stdlib.h>

void kt_event_fini(struct kt_event *event)
{
    free(event->causes);
    free(event->filter);
    free(event->streams);
    event->causes = event->filter = event->streams = NULL;
}

int kt_store_put_event(struct kt_store *st, struct kt_event *event, struct kt_error *err)
{
    int rc = kt_store_write(st, err);
    if (rc < 0)
        return rc;
    sqlite3_stmt *s = kt_store_sql(st, SQL_PUT_EVENT, err);
    if (!s)
        return KT_EIO;
    if (event->id)
        sqlite3_bind_int64(s, 1, (int64_t)event->id);
    sqlite3_bind_int64(s, 2, event->began);
    sqlite3_bind_int64(s, 3, event->noticed);
    sqlite3_bind_int64(s, 4, event->ended);
    sqlite3_bind_double(s, 5, event->confidence);
    sqlite3_bind_double(s, 6, event->severity);
    sqlite3_bind_text(s, 7, event->kind, -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 8, event->title, -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 9, event->causes, -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 10, event->filter, -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 11, event->streams, -1, SQLITE_STATIC);
    rc = kt_store_run(st, s, err, "store an event");
    if (rc == KT_OK && !event->id)
        event->id = (uint64_t)sqlite3_last_insert_rowid(st->db);
    return rc;
}

static char *text(sqlite3_stmt *s, int column)
{
    const char *t = (const char *)sqlite3_column_text(s, column);
    return t ? strdup(t) : NULL;
}

/* The page takes it as it is, so what is no JSON is not there. */
static char *json(sqlite3_stmt *s, int column)
{
    const char *t = (const char *)sqlite3_column_text(s, column);
    return t && *t == '[' && kt_json_valid(t, strlen(t)) ? strdup(t) : NULL;
}

static void short_text(sqlite3_stmt *s, int column, char *to, size_t size)
{
    const char *t = (const char *)sqlite3_column_text(s, column);
    size_t n = t ? strnlen(t, size - 1) : 0;
    if (n)
        memcpy(to, t, n);
    to[n] = '\0';
}

int kt_store_events(struct kt_store *st, int64_t from, int64_t to,
                    int (*event)(void *ctx, const struct kt_event *event), void *ctx,
                    struct kt_error *err)
{
    sqlite3_stmt *s = kt_store_sql(st, SQL_EVENTS, err);
    if (!s)
        return KT_EIO;
    bool all = from == 0 && to == 0;
    sqlite3_bind_int64(s, 1, all ? INT64_MIN : from);
    sqlite3_bind_int64(s, 2, all ? INT64_MAX : to);
    int rc = SQLITE_ROW, stop = 0, canceled = KT_OK;
    while (!stop && (rc = sqlite3_step(s)) == SQLITE_ROW) {
        if ((canceled = kt_store_go_on(st, err)) < 0)
            break;
        struct kt_event e = {
            .id = (uint64_t)sqlite3_column_int64(s, 0),
            .began = sqlite3_column_int64(s, 1),
            .noticed = sqlite3_column_int64(s, 2),
            .ended = sqlite3_column_int64(s, 3),
            .confidence = sqlite3_column_double(s, 4),
            .severity = sqlite3_column_double(s, 5),
        };
        short_text(s, 6, e.kind, sizeof e.kind);
        short_text(s, 7, e.title, sizeof e.title);
        e.causes = json(s, 8);
        e.filter = text(s, 9);
        e.streams = json(s, 10);
        stop = event(ctx, &e);
        kt_event_fini(&e);
    }
    int result = rc == SQLITE_DONE || rc == SQLITE_ROW ? canceled
                                                       : kt_store_sql_fail(st, err, "read events");
    sqlite3_reset(s);
    return result;
}
