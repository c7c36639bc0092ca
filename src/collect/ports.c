/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Ports that people know by number stand for themselves, the rest in the three ranges of RFC 6335:
 * a scan of all ports makes no streams. */
#include "internal.h"
#include <stdio.h>

static const uint16_t known[] = {
    20,   21,   22,   23,   25,   53,   67,   68,   69,   80,   110,   111,   119,
    123,  135,  137,  138,  139,  143,  161,  162,  179,  389,  443,   445,   465,
    500,  514,  515,  546,  547,  554,  587,  631,  636,  853,  873,   993,   995,
    1080, 1194, 1433, 1521, 1701, 1723, 1883, 1900, 2049, 2181, 3128,  3306,  3389,
    3478, 4500, 4789, 5004, 5060, 5061, 5201, 5222, 5353, 5355, 5432,  5672,  5900,
    6379, 6667, 6881, 8000, 8080, 8443, 8883, 9092, 9200, 9418, 11211, 27017, 51820};
enum { SYSTEM = KT_ARRAY_LEN(known), REGISTERED, DYNAMIC, CLASSES };
_Static_assert(CLASSES <= PORT_CLASSES, "a class fits a byte");

void kt_ports_init(struct ports *p)
{
    memset(p->class_of, SYSTEM, 1024);
    memset(p->class_of + 1024, REGISTERED, 49152 - 1024);
    memset(p->class_of + 49152, DYNAMIC, 65536 - 49152);
    for (unsigned i = 0; i < KT_ARRAY_LEN(known); i++)
        p->class_of[known[i]] = (uint8_t)i;
    memset(p->stream, 0xff, sizeof p->stream);
}

uint32_t kt_ports_stream(struct ports *p, struct streams *s, const struct kt_slice *slice)
{
    bool has_ports = slice->proto == KT_PROTO_TCP || slice->proto == KT_PROTO_UDP;
    unsigned row = slice->proto == KT_PROTO_TCP ? 0 : slice->proto == KT_PROTO_UDP ? 1 : 2;
    unsigned class = has_ports ? p->class_of[slice->port[1]] : slice->proto;
    uint32_t *stream = &p->stream[row][class];
    if (*stream != NO_STREAM)
        return *stream;
    char name[32], proto[16];
    const char *text = slice->ip ? kt_proto_text(slice->proto, proto) : "not-ip";
    if (!has_ports)
        snprintf(name, sizeof name, "%s", text);
    else if (class < SYSTEM)
        snprintf(name, sizeof name, "%s/%u", text, known[class]);
    else
        snprintf(name, sizeof name, "%s/%s", text,
                 class == SYSTEM       ? "system"
                 : class == REGISTERED ? "registered"
                                       : "dynamic");
    return *stream = kt_streams_get(s, KT_STREAM_PORT, name);
}
