/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * What a query string may hold: "NAME?key=value&…" goes to the API over an own small store, and
 * comes back as JSON or as an error with a sentence. (HTTP itself is libmicrohttpd's.)
 */
#include "fuzz.h"
#include "web/internal.h"

#define PARAMS 16
struct params {
    char *key[PARAMS], *value[PARAMS];
    unsigned n;
};

static const char *param(void *ctx, const char *name)
{
    const struct params *p = ctx;
    for (unsigned i = 0; i < p->n; i++)
        if (strcmp(p->key[i], name) == 0)
            return p->value[i];
    return NULL;
}

static struct kt_flow_label label_of(void *ctx, unsigned label)
{
    (void)ctx, (void)label;
    return (struct kt_flow_label){"DNS", "services", "dns"};
}

static struct kt_store *fill(void)
{
    struct kt_store *st;
    struct kt_flow_record r = {.id = 5,
                               .first = KT_SECOND,
                               .last = 9 * KT_SECOND,
                               .key = {.ip = 4, .proto = 17, .port = {4000, 53}},
                               .packets = {1, 2},
                               .bytes = {70, 300}};
    struct kt_stream dns = {KT_STREAM_APP, "DNS"}, total = {KT_STREAM_TOTAL, ""};
    struct kt_point p[2] = {{.ts = KT_SECOND, .value = {5, 6, 7}},
                            {.ts = KT_SECOND, .value = {5, 6, 7}}};
    if (kt_store_open(&st, NULL, KT_STORE_WRITE, NULL) < 0 ||
        kt_store_stream(st, &dns, &p[0].stream, NULL) < 0 ||
        kt_store_stream(st, &total, &p[1].stream, NULL) < 0 ||
        kt_store_add_points(st, p, 2, NULL) < 0 ||
        kt_store_add_flows(st, &r, 1, label_of, NULL, NULL) < 0 || kt_store_commit(st, NULL) < 0)
        abort();
    return st;
}

static struct kt_store *store;
static struct kt_web web;

static void clean_up(void)
{
    while (web.readers)
        kt_store_close(web.reader[--web.readers]);
    free(web.store_path);
    kt_store_close(store);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!store) {
        store = fill();
        pthread_mutex_init(&web.lock, NULL);
        web.store_path = strdup(kt_store_path(store));
        atexit(clean_up);
    }
    char *text = fuzz_text(data, size), *at;
    struct params p = {0};
    at = strchr(text, '?');
    while (at && p.n < PARAMS) {
        *at++ = '\0';
        p.key[p.n] = at;
        char *value = strpbrk(at, "=&");
        p.value[p.n] = NULL;
        at = value ? strchr(value, '&') : NULL;
        if (value && *value == '=') {
            *value = '\0';
            p.value[p.n] = value + 1;
        }
        p.n++;
    }
    struct kt_buf out = {0};
    unsigned status = kt_web_api(&web, text, param, &p, &out);
    if (out.failed || !out.data || *out.data != '{' ||
        (status != 200 && status != 400 && status != 404))
        abort();
    kt_buf_free(&out);
    free(text);
    return 0;
}
