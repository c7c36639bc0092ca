/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <kotare/store.h>
#include <stdio.h>

static void first_json(struct kt_json *j, const char *key, const struct kt_first *f)
{
    char hex[2 * KT_IDENT_HEAD + 1] = "";
    for (unsigned i = 0; i < f->captured && i < KT_IDENT_HEAD; i++)
        snprintf(hex + 2 * i, 3, "%02x", f->head[i]);
    kt_json_key(j, key);
    kt_json_open(j, '{');
    kt_json_put_u64(j, "len", f->len);
    kt_json_put_str(j, "hex", hex);
    kt_json_close(j, '}');
}

static void flags_json(struct kt_json *j, unsigned flags)
{
    static const char *const name[] = {"syn", "answered", "icmp_error", "refused"};
    kt_json_key(j, "flags");
    kt_json_open(j, '[');
    for (unsigned i = 0; i < KT_ARRAY_LEN(name); i++)
        if (flags & 1u << i)
            kt_json_str(j, name[i]);
    kt_json_close(j, ']');
}

void kt_stored_flow_json(struct kt_json *j, const struct kt_stored_flow *flow)
{
    static const char *const name_kind[] = {NULL, "sni", "http", "dns"};
    const struct kt_flow_record *r = &flow->record;
    char addr[KT_ADDR_TEXT], proto[16];
    kt_json_put_big(j, "id", (int64_t)r->id);
    kt_json_put_big(j, "start", r->first);
    kt_json_put_big(j, "end", r->last);
    kt_json_put_str(j, "proto", kt_proto_text(r->key.proto, proto));
    kt_json_put_str(j, "client", kt_addr_text(r->key.addr[0], r->key.ip, addr));
    kt_json_put_u64(j, "client_port", r->key.port[0]);
    kt_json_put_str(j, "server", kt_addr_text(r->key.addr[1], r->key.ip, addr));
    kt_json_put_u64(j, "server_port", r->key.port[1]);
    kt_json_put_str(j, "app", flow->app);
    kt_json_put_str(j, "category", flow->category);
    kt_json_put_str(j, "rule", flow->rule);
    kt_json_put_u64(j, "accept", r->verdict.accept);
    kt_json_put_u64(j, "confidence", r->verdict.confidence);
    kt_json_key(j, "name");
    if (r->name_len)
        kt_json_strn(j, r->name, r->name_len);
    else
        kt_json_null(j);
    kt_json_put_str(j, "name_kind",
                    r->name_kind < KT_ARRAY_LEN(name_kind) ? name_kind[r->name_kind] : NULL);
    kt_json_put_u64(j, "packets_up", r->packets[0]);
    kt_json_put_u64(j, "packets_down", r->packets[1]);
    kt_json_put_u64(j, "bytes_up", r->bytes[0]);
    kt_json_put_u64(j, "bytes_down", r->bytes[1]);
    kt_json_put_u64(j, "bytes", r->bytes[0] + r->bytes[1]);
    kt_json_key(j, "duration");
    kt_json_i64(j, (int64_t)((uint64_t)r->last - (uint64_t)r->first));
    kt_json_put_u64(j, "rtt_us", r->rtt_us);
    kt_json_put_u64(j, "retransmits", (uint64_t)r->retransmits[0] + r->retransmits[1]);
    kt_json_put_str(j, "end_reason", kt_flow_end_text(r->end));
    flags_json(j, r->flags);
    kt_json_key(j, "vlan");
    kt_json_open(j, '[');
    for (int i = 0; i < 2; i++)
        if (r->key.vlan[i])
            kt_json_u64(j, r->key.vlan[i]);
    kt_json_close(j, ']');
    kt_json_key(j, "announced_by");
    if (r->seen.announced) {
        kt_json_open(j, '{');
        kt_json_put_big(j, "packet", (int64_t)r->announcer.packet);
        kt_json_key(j, "flow");
        if (r->announcer.flow != KT_FLOW_NONE)
            kt_json_put_big(j, NULL, (int64_t)r->announcer.flow);
        else
            kt_json_null(j);
        kt_json_close(j, '}');
    } else {
        kt_json_null(j);
    }
    kt_json_key(j, "evidence");
    kt_json_open(j, '{');
    first_json(j, "up", &r->seen.dir[0]);
    first_json(j, "down", &r->seen.dir[1]);
    kt_json_close(j, '}');
}

void kt_event_json(struct kt_json *j, const struct kt_event *e)
{
    kt_json_put_str(j, "kind", e->kind);
    kt_json_put_str(j, "title", e->title);
    kt_json_put_big(j, "began", e->began);
    kt_json_put_big(j, "noticed", e->noticed);
    if (e->ended)
        kt_json_put_big(j, "ended", e->ended);
    else
        kt_json_put_str(j, "ended", NULL);
    kt_json_key(j, "confidence");
    kt_json_f64(j, e->confidence);
    kt_json_key(j, "severity");
    kt_json_f64(j, e->severity);
    kt_json_put_raw(j, "causes", e->causes && *e->causes ? e->causes : "[]");
    kt_json_put_str(j, "filter", e->filter ? e->filter : "");
    kt_json_put_raw(j, "streams", e->streams && *e->streams ? e->streams : "[]");
}
