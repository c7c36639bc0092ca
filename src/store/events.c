/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "internal.h"
#include <stdio.h>
#include <stdlib.h>

void kt_event_fini(struct kt_event *e)
{
    free(e->causes);
    free(e->filter);
    free(e->streams);
    e->causes = e->filter = e->streams = NULL;
}

int kt_store_put_event(struct kt_store *st, struct kt_event *e, struct kt_error *err)
{
    int rc = kt_store_write(st, err);
    sqlite3_stmt *s = rc == KT_OK ? kt_store_sql(st, SQL_PUT_EVENT, err) : NULL;
    if (!s)
        return rc < 0 ? rc : KT_EIO;
    if (e->id)
        sqlite3_bind_int64(s, 1, (int64_t)e->id);
    sqlite3_bind_int64(s, 2, e->began);
    sqlite3_bind_int64(s, 3, e->noticed);
    sqlite3_bind_int64(s, 4, e->ended);
    sqlite3_bind_double(s, 5, e->confidence);
    sqlite3_bind_double(s, 6, e->severity);
    const char *text[] = {e->kind, e->title, e->causes, e->filter, e->streams};
    for (int i = 0; i < 5; i++)
        if (text[i])
            sqlite3_bind_text(s, 7 + i, text[i], -1, SQLITE_STATIC);
    rc = kt_store_run(st, s, err, "store an event");
    if (rc == KT_OK && e->id == 0)
        e->id = (uint64_t)sqlite3_last_insert_rowid(st->db);
    return rc;
}

static char *column(sqlite3_stmt *s, int i)
{
    const char *text = (const char *)sqlite3_column_text(s, i);
    return text ? strdup(text) : NULL;
}

int kt_store_events(struct kt_store *st, int64_t from, int64_t to,
                    int (*event)(void *ctx, const struct kt_event *event), void *ctx,
                    struct kt_error *err)
{
    sqlite3_stmt *s = kt_store_sql(st, SQL_EVENTS, err);
    if (!s)
        return KT_EIO;
    sqlite3_bind_int64(s, 1, from || to ? from : INT64_MIN);
    sqlite3_bind_int64(s, 2, from || to ? to : INT64_MAX);
    int rc = KT_OK, step;
    while ((step = sqlite3_step(s)) == SQLITE_ROW && rc == KT_OK) {
        struct kt_event e = {.id = (uint64_t)sqlite3_column_int64(s, 0),
                             .began = sqlite3_column_int64(s, 1),
                             .noticed = sqlite3_column_int64(s, 2),
                             .ended = sqlite3_column_int64(s, 3),
                             .confidence = sqlite3_column_double(s, 4),
                             .severity = sqlite3_column_double(s, 5),
                             .causes = column(s, 8),
                             .filter = column(s, 9),
                             .streams = column(s, 10)};
        snprintf(e.kind, sizeof e.kind, "%s", (const char *)sqlite3_column_text(s, 6));
        snprintf(e.title, sizeof e.title, "%s", (const char *)sqlite3_column_text(s, 7));
        rc = event(ctx, &e);
        kt_event_fini(&e);
    }
    if (rc == KT_OK && step != SQLITE_DONE)
        rc = kt_store_sql_fail(st, err, "read events");
    sqlite3_reset(s);
    return rc;
}
