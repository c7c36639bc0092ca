/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * The names that flow filters and sort orders use: docs/expressions.md.
 */
#include <kotare/store.h>

enum {
    F_ID,
    F_START,
    F_END,
    F_DURATION,
    F_IP,
    F_PROTO,
    F_CLIENT,
    F_SERVER,
    F_ADDR,
    F_CLIENT_PORT,
    F_SERVER_PORT,
    F_PORT,
    F_VLAN_OUTER,
    F_VLAN_INNER,
    F_VLAN,
    F_APP,
    F_CATEGORY,
    F_RULE,
    F_CONFIDENCE,
    F_NAME,
    F_NAME_KIND,
    F_PACKETS,
    F_PACKETS_UP,
    F_PACKETS_DOWN,
    F_BYTES,
    F_BYTES_UP,
    F_BYTES_DOWN,
    F_PAYLOAD,
    F_PAYLOAD_UP,
    F_PAYLOAD_DOWN,
    F_RTT_US,
    F_RETRANSMITS,
    F_END_REASON,
    F_SYN,
    F_ANSWERED,
    F_REFUSED,
    F_ICMP_ERROR,
    F_ANNOUNCED_BY,
};

static const struct kt_expr_field fields[] = {
    [F_ID] = {"id",
              KT_EXPR_INT,
              "its number: where its first packet stands in the trace, unique in a store",
              {0}},
    [F_START] = {"start", KT_EXPR_TIME, "time of the first packet", {0}},
    [F_END] = {"end", KT_EXPR_TIME, "time of the last packet", {0}},
    [F_DURATION] = {"duration", KT_EXPR_TIME, "from the first packet to the last", {0}},
    [F_IP] = {"ip", KT_EXPR_INT, "version of IP: 4, 6, or 0 for other traffic", {0}},
    [F_PROTO] = {"proto", KT_EXPR_STR, "\"tcp\", \"udp\", \"icmp\", … \"proto-NNN\"", {0}},
    [F_CLIENT] = {"client", KT_EXPR_ADDR, "address of who began the flow", {0}},
    [F_SERVER] = {"server", KT_EXPR_ADDR, "address of the other side", {0}},
    [F_ADDR] = {"addr", KT_EXPR_ADDR, "client or server", {"client", "server"}},
    [F_CLIENT_PORT] = {"client_port", KT_EXPR_INT, "port of the client", {0}},
    [F_SERVER_PORT] = {"server_port", KT_EXPR_INT, "port of the server", {0}},
    [F_PORT] = {"port", KT_EXPR_INT, "client_port or server_port", {"client_port", "server_port"}},
    [F_VLAN_OUTER] = {"vlan_outer", KT_EXPR_INT, "outer VLAN, 0: none", {0}},
    [F_VLAN_INNER] = {"vlan_inner", KT_EXPR_INT, "inner VLAN, 0: none", {0}},
    [F_VLAN] = {"vlan", KT_EXPR_INT, "vlan_outer or vlan_inner", {"vlan_outer", "vlan_inner"}},
    [F_APP] = {"app", KT_EXPR_STR, "name of the application", {0}},
    [F_CATEGORY] = {"category", KT_EXPR_STR, "category of the application", {0}},
    [F_RULE] = {"rule", KT_EXPR_STR, "the rule that recognised it", {0}},
    [F_CONFIDENCE] = {"confidence", KT_EXPR_INT, "how sure the rule is, percent", {0}},
    [F_NAME] = {"name", KT_EXPR_STR, "host name from the payload", {0}},
    [F_NAME_KIND] = {"name_kind", KT_EXPR_STR, "where it stood: \"sni\", \"http\", \"dns\"", {0}},
    [F_PACKETS] = {"packets", KT_EXPR_INT, "packets both ways", {0}},
    [F_PACKETS_UP] = {"packets_up", KT_EXPR_INT, "packets from the client", {0}},
    [F_PACKETS_DOWN] = {"packets_down", KT_EXPR_INT, "packets from the server", {0}},
    [F_BYTES] = {"bytes", KT_EXPR_INT, "bytes on the wire both ways", {0}},
    [F_BYTES_UP] = {"bytes_up", KT_EXPR_INT, "bytes from the client", {0}},
    [F_BYTES_DOWN] = {"bytes_down", KT_EXPR_INT, "bytes from the server", {0}},
    [F_PAYLOAD] = {"payload", KT_EXPR_INT, "bytes above the transport header, both ways", {0}},
    [F_PAYLOAD_UP] = {"payload_up", KT_EXPR_INT, "the same from the client", {0}},
    [F_PAYLOAD_DOWN] = {"payload_down", KT_EXPR_INT, "the same from the server", {0}},
    [F_RTT_US] = {"rtt_us", KT_EXPR_INT, "time of the handshake, microseconds, 0: not seen", {0}},
    [F_RETRANSMITS] = {"retransmits", KT_EXPR_INT, "TCP segments sent again, both ways", {0}},
    [F_END_REASON] = {"end_reason",
                      KT_EXPR_STR,
                      "\"active\", \"idle\", \"closed\", \"reset\", \"reused\", \"evicted\"",
                      {0}},
    [F_SYN] = {"syn", KT_EXPR_BOOL, "the start of the connection was seen", {0}},
    [F_ANSWERED] = {"answered", KT_EXPR_BOOL, "both sides sent something", {0}},
    [F_REFUSED] = {"refused", KT_EXPR_BOOL, "the SYN was answered by RST", {0}},
    [F_ICMP_ERROR] = {"icmp_error", KT_EXPR_BOOL, "an ICMP error quoted it", {0}},
    [F_ANNOUNCED_BY] = {"announced_by",
                        KT_EXPR_INT,
                        "id of the flow that announced it, -1: none",
                        {0}},
    {NULL, 0, NULL, {0}},
};

const struct kt_expr_env kt_flow_env = {.fields = fields};

static void text(struct kt_expr_value *v, const char *s, size_t len)
{
    v->str = s;
    v->len = (uint32_t)len;
}

static int64_t sum(uint64_t a, uint64_t b)
{
    uint64_t s = a + b;
    return s < a || s > INT64_MAX ? INT64_MAX : (int64_t)s;
}

static void addr(struct kt_expr_value *v, const struct kt_flow_record *r, unsigned side)
{
    v->ip = r->key.ip;
    memcpy(v->addr, r->key.addr[side], 16);
}

static const char *proto_text(const struct kt_stored_flow *f)
{
    switch (f->record.key.proto) {
    case KT_PROTO_TCP:
        return "tcp";
    case KT_PROTO_UDP:
        return "udp";
    default:
        return f->proto;
    }
}

static const char *name_kind_text(unsigned kind)
{
    static const char *const name[] = {"", "sni", "http", "dns"};
    return kind < KT_ARRAY_LEN(name) ? name[kind] : "";
}

static void load_text(const struct kt_stored_flow *f, unsigned field, struct kt_expr_value *v)
{
    const struct kt_flow_record *r = &f->record;
    const char *s = NULL;
    switch (field) {
    case F_PROTO:
        s = proto_text(f);
        break;
    case F_APP:
        s = f->app;
        break;
    case F_CATEGORY:
        s = f->category;
        break;
    case F_RULE:
        s = f->rule;
        break;
    case F_NAME_KIND:
        s = name_kind_text(r->name_kind);
        break;
    case F_END_REASON:
        s = kt_flow_end_text(r->end);
        break;
    case F_NAME:
        text(v, r->name, r->name_len);
        return;
    }
    text(v, s ? s : "", s ? strlen(s) : 0);
}

static int64_t load_number(const struct kt_flow_record *r, unsigned field)
{
    switch (field) {
    case F_ID:
        return sum(r->id, 0);
    case F_START:
        return r->first;
    case F_END:
        return r->last;
    case F_DURATION:
        return (int64_t)((uint64_t)r->last - (uint64_t)r->first);
    case F_IP:
        return r->key.ip;
    case F_CLIENT_PORT:
        return r->key.port[0];
    case F_SERVER_PORT:
        return r->key.port[1];
    case F_VLAN_OUTER:
        return r->key.vlan[0];
    case F_VLAN_INNER:
        return r->key.vlan[1];
    case F_CONFIDENCE:
        return r->verdict.confidence;
    case F_PACKETS:
        return sum(r->packets[0], r->packets[1]);
    case F_PACKETS_UP:
        return sum(r->packets[0], 0);
    case F_PACKETS_DOWN:
        return sum(r->packets[1], 0);
    case F_BYTES:
        return sum(r->bytes[0], r->bytes[1]);
    case F_BYTES_UP:
        return sum(r->bytes[0], 0);
    case F_BYTES_DOWN:
        return sum(r->bytes[1], 0);
    case F_PAYLOAD:
        return sum(r->payload[0], r->payload[1]);
    case F_PAYLOAD_UP:
        return sum(r->payload[0], 0);
    case F_PAYLOAD_DOWN:
        return sum(r->payload[1], 0);
    case F_RTT_US:
        return r->rtt_us;
    case F_RETRANSMITS:
        return sum(r->retransmits[0], r->retransmits[1]);
    case F_SYN:
        return (r->flags & KT_FLOW_SYN) != 0;
    case F_ANSWERED:
        return (r->flags & KT_FLOW_ANSWERED) != 0;
    case F_REFUSED:
        return (r->flags & KT_FLOW_REFUSED) != 0;
    case F_ICMP_ERROR:
        return (r->flags & KT_FLOW_ICMP_ERROR) != 0;
    case F_ANNOUNCED_BY:
        return r->seen.announced && r->announcer.flow != KT_FLOW_NONE ? sum(r->announcer.flow, 0)
                                                                      : -1;
    }
    return 0;
}

void kt_flow_load(const void *stored_flow, unsigned field, struct kt_expr_value *value)
{
    const struct kt_stored_flow *f = stored_flow;
    *value = (struct kt_expr_value){0};
    if (field >= KT_ARRAY_LEN(fields) - 1)
        return;
    switch (fields[field].type) {
    case KT_EXPR_STR:
        load_text(f, field, value);
        break;
    case KT_EXPR_ADDR:
        addr(value, &f->record, field == F_SERVER);
        break;
    default:
        value->num = load_number(&f->record, field);
    }
}
