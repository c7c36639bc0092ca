/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "internal.h"
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* The plug-in that a URI's scheme names; *what is what follows the colon. */
static const struct kt_source_ops *by_scheme(const struct kt_registry *registry, const char *uri,
                                             const char **what)
{
    const char *colon = strchr(uri, ':');
    if (!colon)
        return NULL;
    for (const struct kt_source_ops *const *o = registry->sources; *o; o++) {
        if (strlen((*o)->name) == (size_t)(colon - uri) &&
            strncmp((*o)->name, uri, (size_t)(colon - uri)) == 0) {
            *what = colon + 1;
            return *o;
        }
    }
    return NULL;
}

static const struct kt_source_ops *live_ops(const struct kt_registry *registry)
{
    for (const struct kt_source_ops *const *o = registry->sources; *o; o++)
        if ((*o)->flags & KT_SOURCE_LIVE)
            return *o;
    return NULL;
}

static bool is_interface(const char *name)
{
    return access(name, F_OK) != 0 && if_nametoindex(name) != 0;
}

bool kt_source_is_live(const struct kt_registry *registry, const char *uri)
{
    const char *what;
    const struct kt_source_ops *o = by_scheme(registry, uri, &what);
    if (o)
        return o->flags & KT_SOURCE_LIVE;
    return live_ops(registry) && is_interface(uri);
}

uint64_t kt_source_size(const struct kt_registry *registry, const char *uri)
{
    const char *what = uri;
    struct stat st;
    by_scheme(registry, uri, &what);
    return stat(what, &st) == 0 && S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
}

static const struct kt_source_ops *by_first_bytes(const struct kt_registry *registry,
                                                  const uint8_t *head, size_t len)
{
    for (const struct kt_source_ops *const *o = registry->sources; *o; o++)
        if ((*o)->probe && (*o)->probe(head, len))
            return *o;
    return NULL;
}

int kt_link_fail(const struct kt_window *w, unsigned link, struct kt_error *err)
{
    const char *name = kt_link_name(link);
    return kt_window_fail(w, KT_EUNSUPPORTED, err,
                          "packets of link type %u%s%s%s can't be decoded here", link,
                          name ? " (" : "", name ? name : "", name ? ")" : "");
}

static int open_file(struct kt_source *s, const struct kt_registry *registry, const char *path,
                     const struct kt_source_options *opt, struct kt_error *err)
{
    uint8_t head[64];
    int rc = kt_reader_open_until(&s->reader, path, opt->stop, err);
    if (rc < 0)
        return rc;
    struct kt_window *w = &s->window;
    rc = kt_window_init(w, s->reader, opt->blocks, err);
    if (rc < 0)
        return rc;
    rc = kt_window_need(w, 1, err);
    if (rc == KT_END)
        return kt_fail(err, KT_ETRUNCATED, 0, "%s: the file is empty", kt_reader_name(s->reader));
    if (rc < 0)
        return rc;
    size_t len = w->end < sizeof head ? w->end : sizeof head;
    memcpy(head, w->block->data, len);
    if (!s->ops)
        s->ops = by_first_bytes(registry, head, len);
    if (!s->ops)
        return kt_fail(err, KT_EUNSUPPORTED, 0,
                       "%s: at byte 0: this is no trace format known here (it begins %02x %02x "
                       "%02x %02x)",
                       kt_reader_name(s->reader), head[0], len > 1 ? head[1] : 0,
                       len > 2 ? head[2] : 0, len > 3 ? head[3] : 0);
    return s->ops->open(s, path, opt, err);
}

int kt_source_open(struct kt_source **src, const struct kt_registry *registry, const char *uri,
                   const struct kt_source_options *opt, struct kt_error *err)
{
    static const struct kt_source_options defaults;
    const char *what = uri;
    *src = NULL;
    struct kt_source *s = calloc(1, sizeof *s);
    if (!s)
        return kt_fail(err, KT_ENOMEM, 0, "no memory to open %s", kt_input_name(uri));
    snprintf(s->name, sizeof s->name, "%s", kt_input_name(uri));
    s->ops = by_scheme(registry, uri, &what);
    if (!s->ops && is_interface(uri))
        s->ops = live_ops(registry);
    opt = opt ? opt : &defaults;
    int rc = s->ops && s->ops->flags & KT_SOURCE_LIVE ? s->ops->open(s, what, opt, err)
                                                      : open_file(s, registry, what, opt, err);
    if (rc == KT_OK && opt->filter && !(s->ops->flags & KT_SOURCE_LIVE))
        rc = kt_filter_new(s, opt->filter, err); /* the kernel filters what is live */
    if (rc < 0) {
        kt_source_close(s);
        return rc;
    }
    *src = s;
    return KT_OK;
}

int kt_source_read(struct kt_source *s, struct kt_batch *batch, struct kt_error *err)
{
    batch->n = 0;
    batch->block = NULL;
    int rc = s->ops->read(s, batch, err);
    if (KT_UNLIKELY(s->filter != NULL) && rc == KT_OK)
        rc = kt_filter_batch(s, batch, err);
    for (unsigned i = 0; i < batch->n; i++)
        batch->packet[i].seq = s->seq++;
    kt_count_set(&s->received, s->seq);
    return rc;
}

void kt_source_stats(const struct kt_source *s, struct kt_trace_stats *stats)
{
    *stats = (struct kt_trace_stats){.received = kt_count_get(&s->received),
                                     .filtered = kt_count_get(&s->filtered)};
    if (s->reader)
        kt_reader_progress(s->reader, &stats->bytes_done, &stats->bytes_total);
    if (s->ops->stats)
        s->ops->stats(s, stats);
}

unsigned kt_source_flags(const struct kt_source *s)
{
    return s->ops->flags;
}

const char *kt_source_name(const struct kt_source *s)
{
    return s->name;
}

const char *kt_source_format(const struct kt_source *s)
{
    return s->ops->name;
}

void kt_source_close(struct kt_source *s)
{
    if (!s)
        return;
    if (s->ops && s->ops->close)
        s->ops->close(s);
    kt_filter_free(s->filter);
    kt_window_fini(&s->window);
    kt_reader_close(s->reader);
    free(s);
}
