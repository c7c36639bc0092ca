/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * What `seen` repeats of the key (protocol, ports, addresses) is not stored but made again.
 */
#include "flow_chunk.h"

int kt_flow_chunk_init(struct kt_chunk *c, uint32_t rows)
{
    static const unsigned width[] = {FLOW_SMALL_SIZE, 32, 2 * KT_IDENT_HEAD, KT_NAME_MAX};
    int rc = kt_chunk_init(c, rows, FLOW_INTS, KT_ARRAY_LEN(width), width);
    c->pack = true;
    return rc;
}

static void put_pair(struct kt_chunk *c, unsigned column, uint64_t a, uint64_t b)
{
    kt_chunk_put(c, column, a);
    kt_chunk_put(c, column + 1, b);
}

static unsigned at_most(unsigned v, unsigned most)
{
    return v < most ? v : most;
}

void kt_flow_chunk_add(struct kt_chunk *c, struct kt_flow_base *base,
                       const struct kt_flow_record *r, uint32_t label)
{
    const struct kt_key *k = &r->key;
    unsigned head[2], name = at_most(r->name_len, KT_NAME_MAX), addr = k->ip == 4 ? 4 : 16;
    kt_chunk_put(c, FLOW_ID, kt_zigzag((int64_t)(r->id - base->id)));
    kt_chunk_put(c, FLOW_FIRST, kt_zigzag((int64_t)((uint64_t)r->first - base->first)));
    kt_chunk_put(c, FLOW_LENGTH, kt_zigzag((int64_t)((uint64_t)r->last - (uint64_t)r->first)));
    put_pair(c, FLOW_PORT, k->port[0], k->port[1]);
    put_pair(c, FLOW_VLAN, k->vlan[0], k->vlan[1]);
    kt_chunk_put(c, FLOW_TUNNEL, k->tunnel);
    put_pair(c, FLOW_PACKETS, r->packets[0], r->packets[1]);
    put_pair(c, FLOW_BYTES, r->bytes[0], r->bytes[1]);
    put_pair(c, FLOW_PAYLOAD, r->payload[0], r->payload[1]);
    kt_chunk_put(c, FLOW_RTT, r->rtt_us);
    put_pair(c, FLOW_RETRANSMITS, r->retransmits[0], r->retransmits[1]);
    put_pair(c, FLOW_HEAD_LEN, r->seen.dir[0].len, r->seen.dir[1].len);
    kt_chunk_put(c, FLOW_LABEL, label);
    kt_chunk_put(c, FLOW_ACCEPT, r->verdict.accept);
    kt_chunk_put(c, FLOW_IFACE, r->iface);
    kt_chunk_put(c, FLOW_NAME_LEN, name);
    put_pair(c, FLOW_ANNOUNCER, r->seen.announced ? r->announcer.packet + 1 : 0,
             r->seen.announced ? r->announcer.flow + 1 : 0);
    for (unsigned side = 0; side < 2; side++) {
        const struct kt_first *f = &r->seen.dir[side];
        head[side] = at_most(f->captured, KT_IDENT_HEAD);
        kt_chunk_put_bytes(c, FLOW_ADDR, k->addr[side], addr);
        kt_chunk_put_bytes(c, FLOW_HEAD, f->head, head[side]);
    }
    kt_chunk_put_bytes(c, FLOW_NAME, r->name, name);
    uint8_t small[FLOW_SMALL_SIZE] = {k->ip,
                                      k->proto,
                                      r->tcp_flags[0],
                                      r->tcp_flags[1],
                                      r->end,
                                      r->flags,
                                      r->verdict.confidence,
                                      (uint8_t)head[0],
                                      (uint8_t)head[1],
                                      r->name_kind};
    kt_chunk_put_bytes(c, FLOW_SMALL, small, sizeof small);
    base->id = r->id;
    base->first = (uint64_t)r->first;
    c->rows++;
}

static void get_seen(struct kt_chunk_in *in, struct kt_flow_record *r, unsigned side,
                     unsigned captured)
{
    const struct kt_key *k = &r->key;
    struct kt_first *f = &r->seen.dir[side];
    const uint8_t *addr = kt_chunk_get_bytes(in, FLOW_ADDR, k->ip == 4 ? 4 : 16);
    const uint8_t *head =
        captured <= KT_IDENT_HEAD ? kt_chunk_get_bytes(in, FLOW_HEAD, captured) : NULL;
    f->len = (uint32_t)kt_chunk_get(in, FLOW_HEAD_LEN + side);
    if (!addr || !head) {
        in->bad = true;
        return;
    }
    memcpy(r->key.addr[side], addr, k->ip == 4 ? 4 : 16);
    if (k->ip == 4)
        r->seen.ip4[side] = kt_be32(addr);
    f->captured = (uint8_t)captured;
    memcpy(f->head, head, captured);
}

static void get_counters(struct kt_chunk_in *in, struct kt_flow_record *r)
{
    for (unsigned i = 0; i < 2; i++) {
        r->key.port[i] = (uint16_t)kt_chunk_get(in, FLOW_PORT + i);
        r->key.vlan[i] = (uint16_t)kt_chunk_get(in, FLOW_VLAN + i);
        r->packets[i] = kt_chunk_get(in, FLOW_PACKETS + i);
        r->bytes[i] = kt_chunk_get(in, FLOW_BYTES + i);
        r->payload[i] = kt_chunk_get(in, FLOW_PAYLOAD + i);
        r->retransmits[i] = (uint32_t)kt_chunk_get(in, FLOW_RETRANSMITS + i);
    }
    r->key.tunnel = (uint16_t)kt_chunk_get(in, FLOW_TUNNEL);
    r->rtt_us = (uint32_t)kt_chunk_get(in, FLOW_RTT);
    r->verdict.label = (uint16_t)kt_chunk_get(in, FLOW_LABEL);
    r->verdict.accept = (uint16_t)kt_chunk_get(in, FLOW_ACCEPT);
    r->iface = (uint16_t)kt_chunk_get(in, FLOW_IFACE);
    uint64_t packet = kt_chunk_get(in, FLOW_ANNOUNCER), flow = kt_chunk_get(in, FLOW_ANNOUNCER + 1);
    if (packet) {
        r->announcer = (struct kt_announcer){packet - 1, flow - 1};
        r->seen.announced = r->verdict.label;
    }
}

int kt_flow_chunk_read(struct kt_chunk_in *in, const void *blob, size_t len)
{
    enum { PLAIN = FLOW_COLUMNS - FLOW_INTS, OLD = FLOW_ANNOUNCER };
    static const uint8_t zeros[KT_CHUNK_ROWS / 2];
    const uint8_t *head = blob;
    if (len < 2 || head[1] != OLD + PLAIN)
        return kt_chunk_read(in, blob, len, FLOW_INTS, PLAIN);
    int rc = kt_chunk_read(in, blob, len, OLD, PLAIN);
    if (rc < 0)
        return rc;
    for (unsigned i = FLOW_COLUMNS; i-- > FLOW_INTS;)
        in->column[i] = in->column[i - (FLOW_INTS - OLD)];
    for (unsigned i = OLD; i < FLOW_INTS; i++) {
        in->column[i].length = zeros;
        in->column[i].at = in->column[i].end = zeros;
    }
    return KT_OK;
}

bool kt_flow_chunk_next(struct kt_chunk_in *in, struct kt_flow_base *base, struct kt_flow_record *r)
{
    const uint8_t *small;
    if (in->bad || in->row >= in->rows ||
        !(small = kt_chunk_get_bytes(in, FLOW_SMALL, FLOW_SMALL_SIZE)))
        return false;
    memset(r, 0, sizeof *r);
    base->id += (uint64_t)kt_unzigzag(kt_chunk_get(in, FLOW_ID));
    base->first += (uint64_t)kt_unzigzag(kt_chunk_get(in, FLOW_FIRST));
    r->id = base->id;
    r->first = (int64_t)base->first;
    r->last = (int64_t)(base->first + (uint64_t)kt_unzigzag(kt_chunk_get(in, FLOW_LENGTH)));
    r->key.ip = small[0];
    r->key.proto = small[1];
    r->tcp_flags[0] = small[2];
    r->tcp_flags[1] = small[3];
    r->end = small[4];
    r->flags = small[5];
    r->verdict.confidence = small[6];
    r->name_kind = small[9];
    get_counters(in, r);
    get_seen(in, r, 0, small[7]);
    get_seen(in, r, 1, small[8]);
    r->seen.ip = r->key.ip;
    r->seen.proto = r->key.proto;
    r->seen.client = r->key.port[0];
    r->seen.server = r->key.port[1];
    uint64_t name = kt_chunk_get(in, FLOW_NAME_LEN);
    const uint8_t *text = name <= KT_NAME_MAX ? kt_chunk_get_bytes(in, FLOW_NAME, name) : NULL;
    if (!text) {
        in->bad = true;
        return false;
    }
    r->name_len = (uint8_t)name;
    memcpy(r->name, text, name);
    in->row++;
    return !in->bad;
}
