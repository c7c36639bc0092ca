/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * The names that a flow filter may use. */
#include <kotare/store.h>

enum {
    ID, START, END, DURATION, PROTO, CLIENT, CLIENT_PORT, SERVER, SERVER_PORT, APP, CATEGORY, RULE,
    NAME, CONFIDENCE, PACKETS, PACKETS_UP, PACKETS_DOWN, BYTES, BYTES_UP, BYTES_DOWN, PAYLOAD,
    RTT_US, RETRANSMITS, END_REASON, SYN, ANSWERED, REFUSED, ICMP_ERROR, VLAN, IP, ADDR, PORT, FIELDS
};

static const struct kt_expr_field fields[FIELDS + 1] = {
    [ID] = {"id", KT_EXPR_INT, "position of its first packet in the trace", {0}},
    [START] = {"start", KT_EXPR_TIME, "time of its first packet", {0}},
    [END] = {"end", KT_EXPR_TIME, "time of its last packet", {0}},
    [DURATION] = {"duration", KT_EXPR_TIME, "from the first packet to the last", {0}},
    [PROTO] = {"proto", KT_EXPR_STR, "\"tcp\", \"udp\", \"icmp\", …", {0}},
    [CLIENT] = {"client", KT_EXPR_ADDR, "address of the initiator", {0}},
    [CLIENT_PORT] = {"client_port", KT_EXPR_INT, "port of the initiator", {0}},
    [SERVER] = {"server", KT_EXPR_ADDR, "address of the responder", {0}},
    [SERVER_PORT] = {"server_port", KT_EXPR_INT, "port of the responder", {0}},
    [APP] = {"app", KT_EXPR_STR, "application", {0}},
    [CATEGORY] = {"category", KT_EXPR_STR, "category of the application", {0}},
    [RULE] = {"rule", KT_EXPR_STR, "rule that gave the label", {0}},
    [NAME] = {"name", KT_EXPR_STR, "host name seen in TLS, HTTP or DNS", {0}},
    [CONFIDENCE] = {"confidence", KT_EXPR_INT, "of the label, percent", {0}},
    [PACKETS] = {"packets", KT_EXPR_INT, "packets both ways", {0}},
    [PACKETS_UP] = {"packets_up", KT_EXPR_INT, "packets from the initiator", {0}},
    [PACKETS_DOWN] = {"packets_down", KT_EXPR_INT, "packets to the initiator", {0}},
    [BYTES] = {"bytes", KT_EXPR_INT, "bytes on the wire both ways", {0}},
    [BYTES_UP] = {"bytes_up", KT_EXPR_INT, "bytes from the initiator", {0}},
    [BYTES_DOWN] = {"bytes_down", KT_EXPR_INT, "bytes to the initiator", {0}},
    [PAYLOAD] = {"payload", KT_EXPR_INT, "transport payload bytes both ways", {0}},
    [RTT_US] = {"rtt_us", KT_EXPR_INT, "round trip of the TCP handshake, microseconds", {0}},
    [RETRANSMITS] = {"retransmits", KT_EXPR_INT, "TCP segments sent again", {0}},
    [END_REASON] = {"end_reason", KT_EXPR_STR, "active, idle, closed, reset, reused, evicted", {0}},
    [SYN] = {"syn", KT_EXPR_BOOL, "its beginning was seen", {0}},
    [ANSWERED] = {"answered", KT_EXPR_BOOL, "both sides sent something", {0}},
    [REFUSED] = {"refused", KT_EXPR_BOOL, "a SYN was answered by RST", {0}},
    [ICMP_ERROR] = {"icmp_error", KT_EXPR_BOOL, "an ICMP error quoted it", {0}},
    [VLAN] = {"vlan", KT_EXPR_INT, "outer VLAN id, 0: none", {0}},
    [IP] = {"ip", KT_EXPR_INT, "4 or 6", {0}},
    [ADDR] = {"addr", KT_EXPR_ADDR, "either address", {"client", "server"}},
    [PORT] = {"port", KT_EXPR_INT, "either port", {"client_port", "server_port"}},
};

const struct kt_expr_env kt_flow_env = {.fields = fields};

static void text(struct kt_expr_value *v, const char *s)
{
    v->str = s;
    v->len = (uint32_t)strlen(s);
}

static void address(struct kt_expr_value *v, const struct kt_key *k, int side)
{
    memcpy(v->addr, k->addr[side], 16);
    v->ip = k->ip;
}

static void proto(struct kt_expr_value *v, uint8_t number)
{
    char buf[16];
    const char *s = kt_proto_text(number, buf);
    text(v, s == buf ? "other" : s);
}

void kt_flow_load(const void *stored_flow, unsigned field, struct kt_expr_value *v)
{
    const struct kt_stored_flow *f = stored_flow;
    const struct kt_flow_record *r = &f->record;
    switch (field) {
    case ID: v->num = (int64_t)r->id; break;
    case START: v->num = r->first; break;
    case END: v->num = r->last; break;
    case DURATION: v->num = r->last - r->first; break;
    case PROTO: proto(v, r->key.proto); break;
    case CLIENT: address(v, &r->key, 0); break;
    case CLIENT_PORT: v->num = r->key.port[0]; break;
    case SERVER: address(v, &r->key, 1); break;
    case SERVER_PORT: v->num = r->key.port[1]; break;
    case APP: text(v, f->app); break;
    case CATEGORY: text(v, f->category); break;
    case RULE: text(v, f->rule); break;
    case NAME: v->str = r->name; v->len = r->name_len; break;
    case CONFIDENCE: v->num = r->verdict.confidence; break;
    case PACKETS: v->num = (int64_t)(r->packets[0] + r->packets[1]); break;
    case PACKETS_UP: v->num = (int64_t)r->packets[0]; break;
    case PACKETS_DOWN: v->num = (int64_t)r->packets[1]; break;
    case BYTES: v->num = (int64_t)(r->bytes[0] + r->bytes[1]); break;
    case BYTES_UP: v->num = (int64_t)r->bytes[0]; break;
    case BYTES_DOWN: v->num = (int64_t)r->bytes[1]; break;
    case PAYLOAD: v->num = (int64_t)(r->payload[0] + r->payload[1]); break;
    case RTT_US: v->num = r->rtt_us; break;
    case RETRANSMITS: v->num = (int64_t)r->retransmits[0] + r->retransmits[1]; break;
    case END_REASON: text(v, kt_flow_end_text(r->end)); break;
    case SYN: v->num = !!(r->flags & KT_FLOW_SYN); break;
    case ANSWERED: v->num = !!(r->flags & KT_FLOW_ANSWERED); break;
    case REFUSED: v->num = !!(r->flags & KT_FLOW_REFUSED); break;
    case ICMP_ERROR: v->num = !!(r->flags & KT_FLOW_ICMP_ERROR); break;
    case VLAN: v->num = r->key.vlan[0]; break;
    case IP: v->num = r->key.ip; break;
    default: break;
    }
}
