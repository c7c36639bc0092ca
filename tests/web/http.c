/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * The API and the page over real HTTP, asked politely and otherwise. jq judges the JSON.
 */
#include "helper.h"

/* What jq makes of a body. */
static void jq(const struct reply *r, const char *program, char *answer, size_t size)
{
    char name[] = "/tmp/kotare-test-XXXXXX", command[512];
    int fd = mkstemp(name);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, r->body, r->len), r->len);
    close(fd);
    snprintf(command, sizeof command, "jq -c '%s' %s 2>&1", program, name);
    FILE *p = popen(command, "r");
    assert_non_null(p);
    size_t n = fread(answer, 1, size - 1, p);
    answer[n && answer[n - 1] == '\n' ? n - 1 : n] = '\0';
    pclose(p);
    unlink(name);
}

static void expect(const struct fixture *f, const char *path, const char *program, const char *want)
{
    char answer[2048];
    struct reply r = get(f, path);
    if (r.status != 200)
        fail_msg("%s: %s\n%s", path, r.head, r.body);
    assert_non_null(strstr(r.head, "Content-Type: application/json"));
    assert_non_null(strstr(r.head, "Cache-Control: no-store"));
    jq(&r, program, answer, sizeof answer);
    if (strcmp(answer, want) != 0)
        fail_msg("%s | jq %s: %s, not %s", path, program, answer, want);
    drop(&r);
}

static void replies(void **state)
{
    const struct fixture *f = *state;
    expect(f, "/api/v1/status", "[.input, .packets, .first, .live, .version]",
           "[\"day\\\"1.pcap\",7,\"0\",false,\"" KT_VERSION "\"]");
    expect(f, "/api/v1/applications",
           "[.bytes, .flows, (.applications | map([.name, .bytes, .share])), .categories[0].name]",
           "[17700,3540,[[\"T\\\"LS\",11800,0.6666666667],[\"DNS\",5900,0.3333333333]],\"web\"]");
    expect(f, "/api/v1/applications?from=1700000010000000000&to=1700000012000000000",
           "[.bytes, .from, (.applications | length)]", "[600,\"1700000010000000000\",2]");
    expect(f, "/api/v1/series?kind=app&points=60", "[.step, (.times | length), .series[0].name]",
           "[1000000000,60,\"T\\\"LS\"]");
    expect(f, "/api/v1/series?kind=app&points=60", ".series[0].values[29:32]", "[200,null,200]");
    expect(f, "/api/v1/series?kind=app&points=30", ".series[0].values[14:17]", "[400,200,400]");
    expect(f, "/api/v1/series?kind=app&points=60&top=1", ".series | map([.name, .total])",
           "[[\"T\\\"LS\",11800],[\"Other\",5900]]");
    /* As many as there are applications: what the page asks for. */
    expect(f, "/api/v1/series?kind=app&points=60&top=1000", ".series | map(.total)",
           "[11800,5900]");
    expect(f, "/api/v1/series?kind=app&name=DNS&metric=flows&points=1", ".series[0]",
           "{\"name\":\"DNS\",\"total\":1180,\"values\":[1180]}");
    expect(f, "/api/v1/series?kind=health&points=60", ".series | map([.name] + .values[1:3])",
           "[[\"rtt\",500,null],[\"refused\",3,3]]");
    expect(f, "/api/v1/series?kind=health&points=6", ".series | map([.name, .values[0, 3]])",
           "[[\"rtt\",500,500],[\"refused\",3,3]]");
    expect(f, "/api/v1/events", ".events | map([.id, .kind, .title, .ended])",
           "[[\"1\",\"surge\",\"DNS \\\"rose\\\"\",null]]");
    expect(f, "/api/v1/events?from=1&to=2", ".events", "[]");
}

static void flows(void **state)
{
    const struct fixture *f = *state;
    expect(f, "/api/v1/flows", "[.total, (.flows | length), .flows[1].start]",
           "[200,100,\"1700000000250000000\"]");
    expect(f, "/api/v1/flows?limit=1&offset=7",
           ".flows[0] | [.id, .client, .client_port, .app, .vlan]",
           "[\"7\",\"10.0.0.7\",40007,\"T\\\"LS\",[1]]");
    expect(f, "/api/v1/flows?limit=1&offset=8",
           ".flows[0] | [.evidence, .flags, .end_reason, .name]",
           "[{\"up\":{\"len\":3,\"hex\":\"01fe03\"},\"down\":{\"len\":0,\"hex\":\"\"}},"
           "[\"syn\",\"answered\"],\"idle\",\"a.b\xef\xbf\xbd\\\"<c\"]");
    expect(f, "/api/v1/flows?sort=bytes&order=desc&limit=3", ".flows | map(.bytes)",
           "[359,358,357]");
    expect(f, "/api/v1/flows?filter=app+%3D%3D+%22dns%22%20and+client+%3D%3D+10.0.0.0/28&limit=2",
           "[.total, .flows[1].client]", "[8,\"10.0.0.2\"]");
    expect(f, "/api/v1/flows?from=1700000010000000000&to=1700000011000000000", ".total", "4");
    expect(f, "/api/v1/flows?offset=100000&limit=5", "[.total, .flows]", "[200,[]]");
    expect(f, "/api/v1/flows?limit=0", "[.total, .flows]", "[200,[]]");
    expect(f, "/api/v1/fields", ".fields | map(select(.name == \"port\"))",
           "[{\"name\":\"port\",\"type\":\"number\",\"means\":\"client_port or server_port\","
           "\"sorts\":false}]");
    expect(f, "/api/v1/rules", ".rules", "[]"); /* this server was given none */
}

static void wrong_questions(void **state)
{
    const struct fixture *f = *state;
    static const struct {
        const char *path;
        int status;
        const char *part;
    } cases[] = {
        {"/api/v1/series?kind=colour", 400, "kind must be"},
        {"/api/v1/series?points=0", 400, "points must be"},
        {"/api/v1/series?points=5001", 400, "points must be"},
        {"/api/v1/series?metric=smell", 400, "metric must be"},
        {"/api/v1/series?from=tomorrow", 400, "from must be"},
        {"/api/v1/series?from=5&to=5", 400, "to must lie"},
        {"/api/v1/series?from=99999999999999999999", 400, "from must be"},
        {"/api/v1/series?kind=app&top=1001", 400, "top must be"},
        {"/api/v1/series?kind=app&top=1000&points=1001", 400, "points times top"},
        {"/api/v1/flows?filter=app+%3D%3D", 400, "error"},
        {"/api/v1/flows?filter=%22%00%01%ff", 400, "control character"},
        {"/api/v1/flows?sort=colour", 400, "sorted"},
        {"/api/v1/flows?order=up", 400, "order"},
        {"/api/v1/flows?limit=1001", 400, "limit must be"},
        {"/api/v1/flows?offset=999999999&limit=9", 400, "only the first"},
        {"/api/v1/flows?filter=%00", 400, "filter holds a control character (%00)"},
        {"/api/v1/flows?filter=app%00", 400, "filter holds a control character (%00)"},
        {"/api/v1/flows?filter=%1b", 400, "filter holds a control character (%1b)"},
        {"/api/v1/flows?filter=%ff", 400, "filter is not UTF-8"},
        {"/api/v1/flows?filter=%ed%a0%80", 400, "filter is not UTF-8"},
        {"/api/v1/flows?filter=%zz", 400, "two hex digits"},
        {"/api/v1/flows?filter=%4", 400, "two hex digits"},
        {"/api/v1/flows?fil%00ter=x", 400, "a name in the query holds"},
        {"/api/v1/status%00more", 400, "the path holds"},
        {"/api/v1/nothing", 404, "nothing at this path"},
        {"/api/v1/", 404, "nothing at this path"},
        {"/api/v2/status", 404, "nothing at this path"},
        {"/../../etc/passwd", 404, "nothing at this path"},
        {"/%2e%2e/%2e%2e/etc/passwd", 404, "nothing at this path"},
    };
    for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
        char answer[512];
        struct reply r = get(f, cases[i].path);
        if (r.status != cases[i].status || !r.body || !strstr(r.body, cases[i].part))
            fail_msg("%s: %s\n%s", cases[i].path, r.head, r.body);
        jq(&r, "[.error, .code] | map(type)", answer, sizeof answer);
        assert_string_equal(answer, "[\"string\",\"string\"]");
        drop(&r);
    }
}

static void has_security_headers(const struct reply *r)
{
    assert_non_null(
        strstr(r->head, "Content-Security-Policy: default-src 'none'; script-src 'self'"));
    assert_non_null(strstr(r->head, "frame-ancestors 'none'"));
    assert_non_null(strstr(r->head, "X-Content-Type-Options: nosniff"));
    assert_non_null(strstr(r->head, "Referrer-Policy: no-referrer"));
    assert_null(strstr(r->head, "Access-Control-Allow"));
}

static void the_page(void **state)
{
    const struct fixture *f = *state;
    struct reply r = get(f, "/");
    assert_int_equal(r.status, 200);
    has_security_headers(&r);
    assert_non_null(strstr(r.head, "Content-Type: text/html"));
    assert_null(strstr(r.head, "Content-Encoding"));
    assert_true(r.len > 0);
    char etag[128] = "", want[64], headers[256];
    const char *at = strstr(r.head, "ETag: ");
    assert_non_null(at);
    assert_int_equal(sscanf(at, "ETag: %100s", etag), 1);

    struct reply h = ask(f, "HEAD", "/", NULL);
    snprintf(want, sizeof want, "Content-Length: %zu", r.len);
    assert_int_equal(h.status, 200);
    assert_int_equal(h.len, 0);
    assert_non_null(strstr(h.head, want));
    drop(&h);

    snprintf(headers, sizeof headers, "If-None-Match: \"x\", %s\r\n", etag);
    h = ask(f, "GET", "/", headers);
    assert_int_equal(h.status, 304);
    assert_int_equal(h.len, 0);
    drop(&h);
    h = ask(f, "GET", "/", "If-None-Match: \"old\"\r\n");
    assert_int_equal(h.status, 200);
    drop(&h);
    h = ask(f, "GET", "/", "Accept-Encoding: br, gzip;q=0\r\n");
    assert_null(strstr(h.head, "Content-Encoding"));
    drop(&h);
    h = ask(f, "GET", "/", "Accept-Encoding: br, gzip\r\n");
    if (strstr(h.head, "Content-Encoding: gzip")) /* where it is smaller */
        assert_true(h.len < r.len && (uint8_t)h.body[0] == 0x1f && (uint8_t)h.body[1] == 0x8b);
    drop(&h);
    drop(&r);
    static const char *const others[] = {"/api/v1/status", "/api/v1/nothing", "/nothing"};
    for (size_t i = 0; i < KT_ARRAY_LEN(others); i++) {
        r = get(f, others[i]);
        has_security_headers(&r);
        drop(&r);
    }
}

/* A foreign name in Host: is a foreign page that was made to point here. */
static void hosts(void **state)
{
    const struct fixture *f = *state;
    static const struct {
        const char *host;
        int status;
    } cases[] = {
        {"localhost", 200},
        {"LocalHost:8470", 200},
        {"127.0.0.1:1", 200},
        {"[::1]:8470", 200},
        {"192.168.1.5", 200},
        {"evil.example", 403},
        {"evil.example:8470", 403},
        {"localhost.evil", 403},
        {"127.0.0.1.evil.example", 403},
        {"[::1].evil", 403},
        {"localhost:99@evil", 403},
        {"localhost:99@localhost", 403},
        {"evil@localhost", 403},
        {"localhost:8470/", 403},
        {"localhost:847000", 403},
        {"localhost:", 200},
        {"[localhost]", 403},
        {"[127.0.0.1]", 403},
        {"::1", 403},
        {"[::1", 403},
        {"localhost:+1", 403},
        {":8470", 403},
        {"[]", 403},
        {"localhost localhost", 403},
        {"127.0.0.1:99:99", 403},
    };
    for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
        char text[256];
        int n = snprintf(text, sizeof text,
                         "GET /api/v1/status HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n",
                         cases[i].host);
        struct reply r = talk(f, text, (size_t)n);
        if (r.status != cases[i].status)
            fail_msg("Host: %s gives %d", cases[i].host, r.status);
        drop(&r);
    }
}

static void methods_and_bodies(void **state)
{
    const struct fixture *f = *state;
    static const char *const methods[] = {"POST", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"};
    for (size_t i = 0; i < KT_ARRAY_LEN(methods); i++) {
        struct reply r = ask(f, methods[i], "/api/v1/status", NULL);
        assert_int_equal(r.status, 405);
        assert_non_null(strstr(r.head, "Allow: GET, HEAD"));
        drop(&r);
    }
    struct reply r = ask(f, "GET", "/api/v1/status", "Content-Length: 100000000\r\n");
    assert_int_equal(r.status, 413);
    drop(&r);
    r = ask(f, "GET", "/api/v1/flows", "Transfer-Encoding: chunked\r\n");
    assert_int_equal(r.status, 413);
    drop(&r);
    r = ask(f, "HEAD", "/api/v1/flows", NULL);
    assert_int_equal(r.status, 200);
    assert_int_equal(r.len, 0);
    drop(&r);
}

/* Whatever it is sent, it answers the next one. */
static void hostile_requests(void **state)
{
    const struct fixture *f = *state;
    static const char end[] = " HTTP/1.1\r\nHost: [::1]\r\n\r\n";
    static const char *const starts[] = {
        "GET /",
        "GET /api/v1/flows?filter=",
        "GET / HTTP/1.1\r\nHost: ",
        "GET / HTTP/1.1\r\nX: ",
        "",
        "GET /api/v1/flows?",
        "\r\n\r\n",
    };
    size_t big = 300000;
    char *text = malloc(big);
    for (size_t i = 0; i < KT_ARRAY_LEN(starts); i++)
        for (unsigned filling = 0; filling < 4; filling++) {
            size_t n = strlen(starts[i]);
            memcpy(text, starts[i], n);
            for (size_t k = n; k < big; k++)
                text[k] = filling == 0   ? 'a'
                          : filling == 1 ? "a=b&"[k % 4]
                          : filling == 2 ? "A: b\r\n"[k % 6]
                                         : (char)kt_mix64(k + i, UINT64_C(0x9e3779b97f4a7c15));
            memcpy(text + big - (sizeof end - 1), end, sizeof end - 1);
            struct reply r = talk(f, text, big);
            if (r.status < 400 || !r.body || !strstr(r.body, "\",\"code\":\""))
                fail_msg("%s… (%u) gives %d", starts[i], filling, r.status);
            drop(&r);
        }
    free(text);
    int left[20]; /* half requests, left alone */
    for (unsigned i = 0; i < KT_ARRAY_LEN(left); i++) {
        left[i] = dial(f);
        assert_true(send(left[i], "GET /api/v1/st", 5 + i % 9, 0) > 0);
    }
    expect(f, "/api/v1/status", ".packets", "7");
    for (unsigned i = 0; i < KT_ARRAY_LEN(left); i++)
        close(left[i]);
}

/* Requests as they should not be, or need not be. */
static void odd_requests(void **state)
{
    const struct fixture *f = *state;
#define HOST "Host: localhost\r\n"
#define END "Connection: close\r\n\r\n"
#define STATUS "GET /api/v1/status HTTP/1.1\r\n"
    static const struct {
        const char *text;
        int status;
    } cases[] = {
        {"GET /api/v1/status HTTP/1.0\r\n\r\n", 200},
        {"\r\n\r\n" STATUS HOST END, 200},
        {"GET /api/v1/status HTTP/1.1\nHost: localhost\nConnection: close\n\n", 200},
        {"GET http://localhost/api/v1/status HTTP/1.1\r\n" HOST END, 200},
        {"GET http://127.0.0.1:99?x=y HTTP/1.1\r\nHost: evil.example\r\n" END, 200},
        {"GET http://evil.example/api/v1/status HTTP/1.1\r\n" HOST END, 403},
        {"GET http://localhost:99@evil/ HTTP/1.1\r\n" HOST END, 403},
        {"GET / HTTP/1.1\r\n" END, 400},
        {STATUS HOST HOST END, 400},
        {STATUS HOST "Host : x\r\n" END, 400},
        {STATUS HOST " folded\r\n" END, 400},
        {STATUS HOST "no colon\r\n" END, 400},
        {STATUS HOST "X: a\rb\r\n" END, 400},
        {STATUS HOST "X: \x01\r\n" END, 400},
        {"GET api/v1/status HTTP/1.1\r\n" HOST END, 400},
        {"GET  /api/v1/status HTTP/1.1\r\n" HOST END, 400},
        {"GET /api/v1/status\r\n" HOST END, 400},
        {"GET /api/v1/status HTTP/1.1 \r\n" HOST END, 400},
        {"GET /api/v1/status HTTP/2.0\r\n" HOST END, 505},
        {"G{T / HTTP/1.1\r\n" HOST END, 400},
        {"get / HTTP/1.1\r\n" HOST END, 405},
        {"OPTIONS * HTTP/1.1\r\n" HOST END, 405},
        {"CONNECT localhost:443 HTTP/1.1\r\n" HOST END, 405},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n" END "hello", 405},
        {STATUS HOST "Content-Length: 0\r\n" END, 200},
        {STATUS HOST "Content-Length: 0\r\nContent-Length: 5\r\n" END "hello", 413},
        {STATUS HOST "Content-Length: -5\r\n" END, 400},
        {STATUS HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n" END "0\r\n\r\n", 413},
        {STATUS HOST "Transfer-Encoding: chunked\r\n" END "5\r\nhello\r\n0\r\n\r\n", 413},
    };
    for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
        struct reply r = talk(f, cases[i].text, strlen(cases[i].text));
        if (r.status != cases[i].status)
            fail_msg("%s gives %d", cases[i].text, r.status);
        assert_non_null(strstr(r.head, "Connection: close"));
        drop(&r);
    }
    static const char nul[] = "GET /api/v1/status\0x HTTP/1.1\r\n" HOST END;
    struct reply r = talk(f, nul, sizeof nul - 1);
    assert_int_equal(r.status, 400);
    drop(&r);
}

/* However long it is, the answer says so, or is one. */
static void long_requests(void **state)
{
    const struct fixture *f = *state;
    static const char *const filling[] = {"a", "a=b&", "&", "%41"};
    for (size_t n = 1000; n < 70000; n += n < 17000 ? 797 : 4099)
        for (size_t i = 0; i < KT_ARRAY_LEN(filling); i++) {
            struct kt_buf path = {0};
            kt_buf_str(&path, "/api/v1/flows?sort=");
            while (path.len + strlen(filling[i]) <= n)
                kt_buf_str(&path, filling[i]);
            struct reply r = get(f, path.data);
            int want = n > 16384 ? 414 : filling[i][0] == '&' ? 200 : 400;
            if (n <= 16384 && n > 16200)
                want = r.status == 431 ? 431 : want; /* with what follows */
            if (r.status != want || !r.body || *r.body != '{')
                fail_msg("%zu bytes of %s give %d", n, filling[i], r.status);
            drop(&r);
            kt_buf_free(&path);
        }
    struct kt_buf headers = {0};
    while (headers.len < 20000)
        kt_buf_str(&headers, "X: y\r\n");
    struct reply r = ask(f, "GET", "/api/v1/status", headers.data);
    assert_int_equal(r.status, 431);
    drop(&r);
    headers.len = 6 * 99;
    headers.data[headers.len] = '\0';
    r = ask(f, "GET", "/api/v1/status", headers.data); /* many fields, not many bytes */
    assert_int_equal(r.status, 431);
    drop(&r);
    kt_buf_free(&headers);
}

/* One after the other, in order, though all were sent at once and in pieces. */
static void pipelined_requests(void **state)
{
    const struct fixture *f = *state;
    struct kt_buf all = {0}, got = {0};
    for (unsigned i = 0; i < 50; i++)
        kt_buf_printf(&all, "%s /api/v1/%s%u HTTP/1.1\r\nHost: [::1]\r\n%s\r\n",
                      i == 20 ? "HEAD" : "GET", i % 2 ? "nothing" : "flows?limit=0&offset=", i,
                      i == 49 ? "Connection: close\r\n" : "");
    int fd = dial(f);
    for (size_t at = 0, n; at < all.len; at += n) {
        n = all.len - at < 700 ? all.len - at : 700;
        say(fd, all.data + at, n);
    }
    char part[8192];
    for (ssize_t n; (n = recv(fd, part, sizeof part, 0)) > 0;)
        kt_buf_add(&got, part, (size_t)n);
    close(fd);
    const char *at = got.data;
    for (unsigned i = 0; i < 50; i++) {
        char want[32];
        snprintf(want, sizeof want, "\"offset\":%u,", i);
        assert_non_null(at = strstr(at, i % 2 ? "HTTP/1.1 404" : "HTTP/1.1 200"));
        assert_non_null(at = strstr(at, "\r\n\r\n"));
        if (i != 20)
            assert_non_null(at = strstr(at, i % 2 ? "not-found" : want));
        else
            assert_int_equal(strncmp(at + 4, "HTTP/1.1 404", 12), 0);
    }
    assert_null(strstr(at, "HTTP/1.1"));
    kt_buf_free(&all);
    kt_buf_free(&got);
}

struct asker {
    const struct fixture *f;
    unsigned bad;
};

static void *ask_much(void *arg)
{
    static const char *const path[] = {"/api/v1/flows?sort=name&order=desc&limit=1000", "/",
                                       "/api/v1/series?kind=app&points=5000",
                                       "/api/v1/applications"};
    struct asker *a = arg;
    for (unsigned i = 0; i < 40; i++) {
        struct reply r = get(a->f, path[i % 4]);
        a->bad += r.status != 200;
        drop(&r);
    }
    return NULL;
}

static void many_at_once(void **state)
{
    struct fixture *f = *state;
    pthread_t thread[8];
    struct asker asker[8];
    for (unsigned i = 0; i < 8; i++) {
        asker[i] = (struct asker){f, 0};
        assert_int_equal(pthread_create(&thread[i], NULL, ask_much, &asker[i]), 0);
    }
    for (unsigned i = 0; i < 20; i++) {
        fill_flows(f->store, 300);
        MUST(kt_store_commit(f->store, why));
        kt_web_changed(f->web);
    }
    unsigned bad = 0;
    for (unsigned i = 0; i < 8; i++) {
        pthread_join(thread[i], NULL);
        bad += asker[i].bad;
    }
    assert_int_equal(bad, 0);
}

static void addresses_to_listen_on(void **state)
{
    struct fixture *f = *state;
    static const char *const wrong[] = {"8470",   "localhost", "127.0.0.1:",   "127.0.0.1:70000",
                                        ":80",    "1.2.3:80",  "[::1:80",      "example.org:80",
                                        "::1:80", "",          "127.0.0.1:-80"};
    struct kt_web *web;
    struct kt_error err = {0};
    struct kt_web_options opt = {.store_path = kt_store_path(f->store)};
    for (size_t i = 0; i < KT_ARRAY_LEN(wrong); i++) {
        opt.listen = wrong[i];
        if (kt_web_start(&web, &opt, &err) != KT_EINVAL)
            fail_msg("\"%s\" is taken for an address", wrong[i]);
        assert_null(web);
    }
    char taken[64];
    snprintf(taken, sizeof taken, "127.0.0.1:%u", f->port);
    opt.listen = taken;
    assert_int_equal(kt_web_start(&web, &opt, &err), KT_EBUSY);
    assert_non_null(strstr(err.text, taken));
    opt.listen = "[::1]:0";
    if (kt_web_start(&web, &opt, &err) == KT_OK) { /* where there is IPv6 */
        assert_int_equal(strncmp(kt_web_url(web), "http://[::1]:", 13), 0);
        kt_web_stop(web);
    }
    opt.listen = "127.0.0.1:0";
    opt.store_path = "/nowhere/at/all.kt";
    assert_int_equal(kt_web_start(&web, &opt, &err), KT_ENOTFOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(replies, start_web, stop_web),
        cmocka_unit_test_setup_teardown(flows, start_web, stop_web),
        cmocka_unit_test_setup_teardown(wrong_questions, start_web, stop_web),
        cmocka_unit_test_setup_teardown(the_page, start_web, stop_web),
        cmocka_unit_test_setup_teardown(hosts, start_web, stop_web),
        cmocka_unit_test_setup_teardown(methods_and_bodies, start_web, stop_web),
        cmocka_unit_test_setup_teardown(hostile_requests, start_web, stop_web),
        cmocka_unit_test_setup_teardown(odd_requests, start_web, stop_web),
        cmocka_unit_test_setup_teardown(long_requests, start_web, stop_web),
        cmocka_unit_test_setup_teardown(pipelined_requests, start_web, stop_web),
        cmocka_unit_test_setup_teardown(many_at_once, start_web, stop_web),
        cmocka_unit_test_setup_teardown(addresses_to_listen_on, start_web, stop_web),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
