/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Bytes from a connection: what of them is the head of a request is read, however it comes in
 * pieces; what it asks goes to the API over an own small store, and comes back as JSON or as an
 * error with a sentence.
 */
#include "fuzz.h"
#include "web/internal.h"

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

/* Text of a request is whole, clean, and of that request. */
static void check_text(const char *text, const char *head, size_t len)
{
    bool inside = text >= head && text < head + len;
    for (const uint8_t *p = (const uint8_t *)text; *p;) {
        size_t n = kt_utf8_len(p, strlen((const char *)p));
        fuzz_must(n > 0 && (*p >= 0x20 || strchr("\t\n\r", *p)) && *p != 0x7f);
        p += n;
    }
    fuzz_must(inside || !*text || strcmp(text, "/") == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!store) {
        store = fill();
        pthread_mutex_init(&web.lock, NULL);
        web.store_path = strdup(kt_store_path(store));
        atexit(clean_up);
    }
    char *head = malloc(size ? size : 1);
    memcpy(head, data, size);
    size_t scanned = 0, whole = kt_http_head(head, size, &scanned), len = 0;
    scanned = 0;
    for (size_t have = 0; !len && have <= size; have += 1 + have / 3)
        len = kt_http_head(head, have, &scanned);
    fuzz_must(!len || len == whole);
    struct kt_http_request ask;
    struct kt_web_job job = {.ask = &ask, .until = INT64_MAX};
    if (!whole) {
        free(head);
        return 0;
    }
    if (!kt_http_parse(&ask, head, whole)) {
        fuzz_must(ask.status >= 400 && ask.code && *ask.sentence && !ask.keep);
        kt_web_error_json(&job.out, ask.code, ask.sentence);
    } else {
        kt_web_host_ours(ask.host);
        check_text(ask.path, head, whole);
        for (unsigned i = 0; i < ask.params; i++) {
            check_text(ask.param[i].name, head, whole);
            check_text(ask.param[i].value, head, whole);
        }
        if (strncmp(ask.path, KT_WEB_API, strlen(KT_WEB_API)) == 0) {
            kt_web_api(&web, &job);
            fuzz_must(job.status == 200 || job.status == 400 || job.status == 404);
        } else {
            kt_web_error_json(&job.out, "", ask.path);
        }
    }
    fuzz_must(!job.out.failed && kt_json_valid(job.out.data, job.out.len));
    kt_buf_free(&job.out);
    free(head);
    return 0;
}
