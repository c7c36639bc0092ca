/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "http.h"
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool refuse(struct kt_http_request *r, unsigned status, const char *code, const char *format,
                   ...) KT_PRINTF(4, 5);

static bool refuse(struct kt_http_request *r, unsigned status, const char *code, const char *format,
                   ...)
{
    va_list ap;
    va_start(ap, format);
    vsnprintf(r->sentence, sizeof r->sentence, format, ap);
    va_end(ap);
    r->status = status;
    r->code = code;
    r->keep = false; /* where the next request would begin is not sure */
    return false;
}

static bool malformed(struct kt_http_request *r, const char *what)
{
    return refuse(r, 400, "request", "this is no HTTP request: %s", what);
}

size_t kt_http_head(const char *bytes, size_t len, size_t *scanned)
{
    const char *end = bytes + len, *at = bytes + *scanned;
    while ((at = memchr(at, '\n', (size_t)(end - at)))) {
        const char *next = at + 1;
        if (next < end && *next == '\r')
            next++;
        if (next == end) { /* the line after it has not come yet */
            *scanned = (size_t)(at - bytes);
            return 0;
        }
        if (*next == '\n')
            return (size_t)(next + 1 - bytes);
        at++;
    }
    *scanned = len;
    return 0;
}

/* The next line, ended by NUL; NULL: it holds a control character. A bare line feed ends a line,
 * too (RFC 9112, 2.2). */
static char *next_line(char **at, char *end)
{
    char *line = *at, *lf = memchr(line, '\n', (size_t)(end - line));
    char *stop = lf ? lf : end - 1;
    *at = stop + 1;
    if (stop > line && stop[-1] == '\r')
        stop--;
    *stop = '\0';
    for (const char *p = line; p < stop; p++)
        if (((unsigned char)*p < 0x20 && *p != '\t') || *p == 0x7f)
            return NULL;
    return line;
}

static bool is_token(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)s[i]) && (!s[i] || !strchr("!#$%&'*+-.^_`|~", s[i])))
            return false;
    return len > 0;
}

/* ---- header fields ---- */

/* Is `word` in a list of words with commas between? */
static bool lists(const char *value, const char *word)
{
    size_t len = strlen(word);
    for (;;) {
        value += strspn(value, " \t,");
        size_t n = strcspn(value, " \t,");
        if (n == 0)
            return false;
        if (n == len && strncasecmp(value, word, n) == 0)
            return true;
        value += n;
    }
}

struct fields {
    unsigned n, hosts;
    bool body, close;
};

static bool field(struct kt_http_request *r, struct fields *f, char *line)
{
    char *colon = strchr(line, ':');
    if (!colon || !is_token(line, (size_t)(colon - line)))
        return malformed(r, "a header field is a name, a colon and a value");
    if (++f->n > KT_HTTP_HEADERS)
        return refuse(r, 431, "too-long", "a request has at most %d header fields here",
                      KT_HTTP_HEADERS);
    *colon = '\0';
    char *value = colon + 1 + strspn(colon + 1, " \t"), *end = value + strlen(value);
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        *--end = '\0';
    if (strcasecmp(line, "Host") == 0) {
        r->host = value;
        f->hosts++;
    } else if (strcasecmp(line, "Content-Length") == 0) {
        if (!*value || value[strspn(value, "0123456789")])
            return malformed(r, "its Content-Length is no number");
        f->body |= value[strspn(value, "0")] != '\0';
    } else if (strcasecmp(line, "Transfer-Encoding") == 0) {
        f->body = true;
    } else if (strcasecmp(line, "Connection") == 0) {
        f->close |= lists(value, "close");
    } else if (strcasecmp(line, "Accept-Encoding") == 0) {
        r->accept_encoding = value;
    } else if (strcasecmp(line, "If-None-Match") == 0) {
        r->if_none_match = value;
    }
    return true;
}

/* ---- the target ---- */

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Decodes in place, as text that is what it says: nothing is cut short at a NUL. */
static bool decode(struct kt_http_request *r, char *text, bool plus, const char *what)
{
    char *to = text;
    for (const char *p = text; *p; p++) {
        char c = *p;
        if (c == '+' && plus) {
            c = ' ';
        } else if (c == '%') {
            int high = hex(p[1]), low = high < 0 ? -1 : hex(p[2]);
            if (low < 0)
                return refuse(r, 400, "invalid", "%.40s: a %% is followed by two hex digits", what);
            c = (char)(high << 4 | low);
            p += 2;
        }
        if (((unsigned char)c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f)
            return refuse(r, 400, "invalid", "%.40s holds a control character (%%%02x)", what,
                          (unsigned)(unsigned char)c);
        *to++ = c;
    }
    *to = '\0';
    for (size_t n; text < to; text += n)
        if ((n = kt_utf8_len((uint8_t *)text, (size_t)(to - text))) == 0)
            return refuse(r, 400, "invalid", "%.40s is not UTF-8", what);
    return true;
}

static bool query(struct kt_http_request *r, char *text)
{
    for (char *next; text; text = next) {
        next = strchr(text, '&');
        if (next)
            *next++ = '\0';
        if (!*text)
            continue;
        if (r->params == KT_HTTP_PARAMS)
            return refuse(r, 400, "invalid", "a query has at most %d values here", KT_HTTP_PARAMS);
        char *value = strchr(text, '=');
        if (value)
            *value++ = '\0';
        if (!decode(r, text, true, "a name in the query") ||
            (value && !decode(r, value, true, text)))
            return false;
        r->param[r->params].name = text;
        r->param[r->params++].value = value ? value : "";
    }
    return true;
}

/* "/path?query", or the same behind "http://authority" (RFC 9112, 3.2.2), whose authority counts
 * instead of the Host field. */
static bool target(struct kt_http_request *r, char *text)
{
    static char root[] = "/";
    size_t scheme = strncasecmp(text, "http://", 7) == 0    ? 7
                    : strncasecmp(text, "https://", 8) == 0 ? 8
                                                            : 0;
    if (scheme) {
        char *host = text + scheme - 1; /* moved to the left by one, so that a NUL has room */
        size_t len = strcspn(text + scheme, "/?");
        memmove(host, text + scheme, len);
        host[len] = '\0';
        r->host = host;
        text += scheme + len;
    } else if (*text != '/') {
        return malformed(r, "its target is no path");
    }
    char *mark = strchr(text, '?');
    if (mark)
        *mark++ = '\0';
    r->path = *text ? text : root;
    return (!*text || decode(r, text, false, "the path")) && (!mark || query(r, mark));
}

/* ---- the whole ---- */

bool kt_http_parse(struct kt_http_request *r, char *head, size_t len)
{
    *r = (struct kt_http_request){.accept_encoding = "", .if_none_match = ""};
    char *at = head, *end = head + len, *line = len ? next_line(&at, end) : NULL;
    if (!line)
        return malformed(r, "its first line is none");
    char *uri = strchr(line, ' '), *version = uri ? strchr(uri + 1, ' ') : NULL;
    if (!version || !is_token(line, (size_t)(uri - line)))
        return malformed(r, "its first line is none");
    *uri++ = *version++ = '\0';
    if (strncmp(version, "HTTP/", 5) != 0 || !isdigit((unsigned char)version[5]) ||
        version[6] != '.' || !isdigit((unsigned char)version[7]) || version[8])
        return malformed(r, "its first line is none");
    if (version[5] != '1')
        return refuse(r, 505, "version", "only HTTP/1.1 and HTTP/1.0 are spoken here");
    struct fields f = {0};
    while (at < end && (line = next_line(&at, end)) && *line)
        if (!field(r, &f, line))
            return false;
    if (!line)
        return malformed(r, "its head holds a control character");
    bool old = version[7] == '0';
    if (f.hosts > 1 || (f.hosts == 0 && !old))
        return malformed(r, "it names one Host");
    r->keep = !old && !f.close;
    r->head_only = strcmp(head, "HEAD") == 0;
    if (!r->head_only && strcmp(head, "GET") != 0)
        return refuse(r, 405, "method", "only GET and HEAD are served");
    if (f.body)
        return refuse(r, 413, "body", "a request has no body here");
    return target(r, uri);
}

const char *kt_http_param(const struct kt_http_request *r, const char *name)
{
    for (unsigned i = 0; i < r->params; i++)
        if (strcmp(r->param[i].name, name) == 0)
            return r->param[i].value;
    return NULL;
}
