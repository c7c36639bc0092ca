/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * The sentences, causes and filters of events.
 */
#include "explain.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const char *app_name(const struct kt_detect *d, unsigned app)
{
    const char *name = d->opt.app_name ? d->opt.app_name(d->opt.ctx, app) : NULL;
    return name && *name ? name : "unknown";
}

static const char *addr_text(const struct kt_talk_key *k, bool server, char buf[KT_ADDR_TEXT])
{
    return kt_addr_text(server ? k->server : k->client, k->ip, buf);
}

struct unit {
    double scale;
    const char *name;
};

/* The unit in which `after` reads well. */
static struct unit unit_of(enum kt_measure m, double per_second)
{
    if (m == KT_M_FLOWS)
        return (struct unit){1, "flows/s"};
    if (m == KT_M_PACKETS)
        return (struct unit){1, "packets/s"};
    double bits = per_second * 8;
    if (bits >= 1e9)
        return (struct unit){8e-9, "Gbit/s"};
    if (bits >= 1e6)
        return (struct unit){8e-6, "Mbit/s"};
    return (struct unit){8e-3, "kbit/s"};
}

static void number(struct kt_buf *b, double v)
{
    if (v >= 100 || v == 0)
        kt_buf_printf(b, "%.0f", v);
    else if (v >= 10)
        kt_buf_printf(b, "%.3g", v);
    else if (v >= 0.1)
        kt_buf_printf(b, "%.1f", v);
    else
        kt_buf_printf(b, "%.1g", v < 0.01 ? 0.0 : v);
}

/* ": 94 % is 10.0.1.2 → 10.0.2.3 port 80" */
static void who(struct kt_buf *b, const struct kt_causes *c)
{
    char one[KT_ADDR_TEXT], two[KT_ADDR_TEXT];
    const struct kt_cause *client = kt_cause_top(c, KT_BY_CLIENT, 0.6);
    const struct kt_cause *server = kt_cause_top(c, KT_BY_SERVER, 0.6);
    const struct kt_cause *port = kt_cause_top(c, KT_BY_PORT, 0.6);
    if (!client && !server)
        return;
    double share = fmin(client ? client->share : 1, server ? server->share : 1);
    kt_buf_printf(b, ": %.0f %% is ", share * 100);
    if (client)
        kt_buf_str(b, addr_text(&client->sum.talk->key, false, one));
    else
        kt_buf_printf(b, "%u clients", c->active[KT_BY_CLIENT]);
    kt_buf_str(b, " → ");
    if (server)
        kt_buf_str(b, addr_text(&server->sum.talk->key, true, two));
    else
        kt_buf_printf(b, "%u servers", c->active[KT_BY_SERVER]);
    if (port && port->sum.talk->key.port)
        kt_buf_printf(b, " port %u", port->sum.talk->key.port);
}

static void rate_title(struct kt_detect *d, const struct kt_incident *in,
                       const struct kt_change *ch, const struct kt_causes *c, struct kt_buf *b)
{
    double s = KT_SECOND / (double)d->length, before = ch->before * s, after = ch->after * s;
    const struct kt_cause *app = kt_cause_top(c, KT_BY_APP, 0.6);
    if (app) {
        before = app->sum.before * s;
        after = app->sum.after * s;
    }
    struct unit u = unit_of(in->best.measure, fmax(before, after));
    kt_buf_printf(b, "%s %s from ", app ? app_name(d, app->sum.app) : "Traffic",
                  in->class == KT_C_SURGE ? "rose" : "fell");
    number(b, before * u.scale);
    kt_buf_str(b, " to ");
    number(b, after * u.scale);
    kt_buf_printf(b, " %s", u.name);
    who(b, c);
}

/* "ports of 10.0.2.3": known once, while the number still grows. */
static void scan_target(struct kt_incident *in, const struct kt_causes *c)
{
    char text[KT_ADDR_TEXT];
    const struct kt_cause *server = kt_cause_top(c, KT_BY_SERVER, 0.8);
    const struct kt_cause *port = kt_cause_top(c, KT_BY_PORT, 0.8);
    if (server)
        snprintf(in->target, sizeof(in->target), "ports of %s",
                 addr_text(&server->sum.talk->key, true, text));
    else if (port && !port->sum.talk->key.port) { /* a protocol without ports */
        uint8_t proto = port->sum.talk->key.proto;
        in->pinged = proto == KT_PROTO_ICMP || proto == KT_PROTO_ICMPV6;
        snprintf(in->target, sizeof(in->target), "addresses%s%s", in->pinged ? "" : " by ",
                 in->pinged ? "" : kt_proto_text(proto, text));
    } else if (port)
        snprintf(in->target, sizeof(in->target), "addresses on port %u", port->sum.talk->key.port);
    else
        snprintf(in->target, sizeof(in->target), "ports of %u addresses", c->active[KT_BY_SERVER]);
}

static void scan_title(const struct kt_incident *in, struct kt_buf *b)
{
    char text[KT_ADDR_TEXT];
    kt_buf_printf(b, "%s %s %u %s", kt_addr_text(in->best.addr, in->best.ip, text),
                  in->pinged ? "pinged" : "probed", in->best.count, in->target);
}

static void outage_title(struct kt_detect *d, const struct kt_incident *in, struct kt_buf *b)
{
    char text[KT_ADDR_TEXT];
    uint32_t requests = 0, clients = 0;
    const struct kt_signal *most = &in->server[0];
    for (unsigned i = 0; i < in->servers; i++) {
        const struct kt_signal *s = &in->server[i];
        requests += s->count;
        clients = s->of > clients ? s->of : clients;
        most = s->count > most->count ? s : most;
    }
    kt_buf_printf(b, "%s on %s", app_name(d, most->app), kt_addr_text(most->addr, most->ip, text));
    if (most->port)
        kt_buf_printf(b, " port %u", most->port);
    if (in->servers > 1)
        kt_buf_printf(b, " and %u more", in->servers - 1);
    kt_buf_printf(b, " stopped answering: %u request%s of %u client%s failed", requests,
                  requests == 1 ? "" : "s", clients, clients == 1 ? "" : "s");
}

static void path_title(const struct kt_incident *in, const struct kt_causes *c, struct kt_buf *b)
{
    if (in->by & KT_BY_LATENCY && in->best.by) {
        kt_buf_str(b, "Round trips rose from ");
        number(b, in->best.before);
        kt_buf_str(b, " to ");
        number(b, in->best.after);
        kt_buf_str(b, " ms");
        if (in->loss.by)
            kt_buf_printf(b, ", retransmissions to %.1f %%", in->loss.after);
    } else
        kt_buf_printf(b, "Retransmissions rose from %.1f to %.1f %% of TCP packets",
                      in->loss.before, in->loss.after);
    who(b, c);
}

static void filter_text(struct kt_detect *d, const struct kt_incident *in,
                        const struct kt_causes *c, struct kt_buf *b)
{
    char text[KT_ADDR_TEXT];
    if (in->class == KT_C_OUTAGE) {
        for (unsigned i = 0; i < in->servers; i++) {
            const struct kt_signal *s = &in->server[i];
            kt_buf_printf(b,
                          in->servers > 1 ? "%s(server == %s and server_port == %u)"
                                          : "%sserver == %s and server_port == %u",
                          i ? " or " : "", kt_addr_text(s->addr, s->ip, text), s->port);
        }
        return;
    }
    double enough = in->class == KT_C_SCAN ? 0.8 : 0.6;
    const struct kt_cause *client = kt_cause_top(c, KT_BY_CLIENT, enough);
    const struct kt_cause *server = kt_cause_top(c, KT_BY_SERVER, enough);
    const struct kt_cause *port = kt_cause_top(c, KT_BY_PORT, enough);
    const struct kt_cause *app = kt_cause_top(c, KT_BY_APP, enough);
    const char *and = "";
    if (in->class == KT_C_SCAN) {
        kt_buf_printf(b, "client == %s", kt_addr_text(in->best.addr, in->best.ip, text));
        and = " and ";
    } else if (client) {
        kt_buf_printf(b, "client == %s", addr_text(&client->sum.talk->key, false, text));
        and = " and ";
    }
    if (server) {
        kt_buf_printf(b, "%sserver == %s", and, addr_text(&server->sum.talk->key, true, text));
        and = " and ";
    }
    if (port && port->sum.talk->key.port) {
        kt_buf_printf(b, "%sserver_port == %u", and, port->sum.talk->key.port);
        and = " and ";
    }
    if (app && !*and) {
        kt_buf_str(b, "app == \"");
        for (const char *p = app_name(d, app->sum.app); *p; p++)
            kt_buf_printf(b, *p == '"' || *p == '\\' ? "\\%c" : "%c", *p);
        kt_buf_str(b, "\"");
    }
}

static const char *const cause_text[KT_CAUSE_KINDS] = {"flow", "client", "server", "port", "app"};

static void cause_name(struct kt_detect *d, const struct kt_cause *c, struct kt_buf *b)
{
    char one[KT_ADDR_TEXT], two[KT_ADDR_TEXT], proto[16];
    const struct kt_talk_key *k = &c->sum.talk->key;
    switch (c->kind) {
    case KT_BY_APP:
        kt_buf_str(b, app_name(d, c->sum.app));
        break;
    case KT_BY_CLIENT:
    case KT_BY_SERVER:
        kt_buf_str(b, addr_text(k, c->kind == KT_BY_SERVER, one));
        break;
    case KT_BY_PORT:
        kt_buf_printf(b, "%s/%u", kt_proto_text(k->proto, proto), k->port);
        break;
    default:
        kt_buf_printf(b, "%s → %s %s/%u", addr_text(k, false, one), addr_text(k, true, two),
                      kt_proto_text(k->proto, proto), k->port);
    }
}

static void causes_text(struct kt_detect *d, const struct kt_incident *in,
                        const struct kt_causes *c, struct kt_buf *out)
{
    struct kt_json j = kt_json(out);
    double scale = KT_SECOND / (double)d->length;
    const char *unit = in->class == KT_C_SCAN ? "probes/s" : "failures/s";
    bool latency = in->class == KT_C_PATH && in->best.strength >= in->loss.strength;
    if (in->class == KT_C_PATH)
        unit = latency ? "ms" : "retransmissions/s";
    else if (in->class == KT_C_SURGE || in->class == KT_C_DROP) {
        bool bytes = in->best.measure == KT_M_BYTES;
        unit = bytes ? "bit/s" : unit_of(in->best.measure, 0).name;
        scale *= bytes ? 8 : 1;
    }
    kt_json_open(&j, '[');
    for (unsigned i = 0; i < c->n; i++) {
        const struct kt_cause *cause = &c->cause[i];
        if (in->class == KT_C_SCAN && cause->kind == KT_BY_APP)
            continue; /* nothing was said that could tell one */
        double before = cause->sum.before * scale, after = cause->sum.after * scale;
        if (latency && cause->sum.after > 0) {
            before = cause->sum.ms_before / cause->sum.after;
            after = cause->sum.ms_after / cause->sum.after;
        }
        struct kt_buf name = {0};
        cause_name(d, cause, &name);
        kt_json_open(&j, '{');
        kt_json_key(&j, "kind");
        kt_json_str(&j, cause_text[cause->kind]);
        kt_json_key(&j, "name");
        kt_json_str(&j, name.data);
        kt_json_key(&j, "before");
        kt_json_f64(&j, round(before * 10) / 10);
        kt_json_key(&j, "after");
        kt_json_f64(&j, round(after * 10) / 10);
        kt_json_key(&j, "share");
        kt_json_f64(&j, round(cause->share * 1000) / 1000);
        kt_json_key(&j, "unit");
        kt_json_str(&j, unit);
        kt_json_key(&j, "more");
        kt_json_u64(&j, cause->more);
        kt_json_close(&j, '}');
        kt_buf_free(&name);
    }
    kt_json_close(&j, ']');
}

static void streams_text(struct kt_detect *d, const struct kt_incident *in, struct kt_buf *out)
{
    struct kt_json j = kt_json(out);
    kt_json_open(&j, '[');
    for (unsigned i = 0; i < in->streams; i++) {
        if (!d->iv || in->stream[i] >= d->iv->stream_count)
            continue;
        const struct kt_stream *s = &d->iv->streams[in->stream[i]];
        kt_json_open(&j, '{');
        kt_json_key(&j, "kind");
        kt_json_str(&j, kt_stream_kind_text(s->kind));
        kt_json_key(&j, "name");
        kt_json_str(&j, s->name);
        kt_json_close(&j, '}');
    }
    kt_json_close(&j, ']');
}

/* Takes the text over; a title is cut where it must, not inside a character. */
static int keep(char **to, struct kt_buf *b)
{
    kt_buf_str(b, "");
    if (b->failed || !b->data) {
        kt_buf_free(b);
        return KT_ENOMEM;
    }
    free(*to);
    *to = b->data;
    return KT_OK;
}

static void keep_title(struct kt_incident *in, struct kt_buf *b)
{
    size_t n = b->len < sizeof(in->title) ? b->len : sizeof(in->title) - 1;
    while (n < b->len && n > 0 && ((unsigned char)b->data[n] & 0xc0) == 0x80)
        n--;
    if (b->data)
        memcpy(in->title, b->data, n);
    in->title[n] = 0;
    kt_buf_free(b);
}

/* Does its title count what goes on? */
static bool counts(const struct kt_incident *in)
{
    return in->class == KT_C_SCAN || in->class == KT_C_OUTAGE;
}

static void title_of(struct kt_detect *d, struct kt_incident *in, const struct kt_change *change,
                     const struct kt_causes *causes)
{
    struct kt_buf b = {0};
    if (in->class == KT_C_SCAN)
        scan_title(in, &b);
    else if (in->class == KT_C_OUTAGE)
        outage_title(d, in, &b);
    else if (in->class == KT_C_PATH)
        path_title(in, causes, &b);
    else
        rate_title(d, in, change, causes, &b);
    keep_title(in, &b);
}

int kt_explain(struct kt_detect *d, struct kt_incident *in, bool fresh)
{
    if (d->iv) {
        struct kt_buf streams = {0};
        streams_text(d, in, &streams);
        int rc = keep(&in->stream_text, &streams);
        if (rc != KT_OK)
            return rc;
    }
    if (!fresh && in->causes) {
        if (counts(in))
            title_of(d, in, NULL, NULL);
        return KT_OK;
    }
    in->explained = in->last;
    struct kt_change change;
    struct kt_causes causes;
    int rc = kt_change_take(d, &change, in);
    if (rc == KT_OK)
        rc = kt_causes_of(&change, &causes);
    if (rc != KT_OK) {
        kt_change_fini(&change);
        return rc;
    }
    if (in->class == KT_C_SCAN)
        scan_target(in, &causes);
    title_of(d, in, &change, &causes);
    struct kt_buf text = {0}, filter = {0};
    causes_text(d, in, &causes, &text);
    filter_text(d, in, &causes, &filter);
    kt_change_fini(&change);
    rc = keep(&in->causes, &text);
    int rc2 = keep(&in->filter, &filter);
    return rc != KT_OK ? rc : rc2;
}
