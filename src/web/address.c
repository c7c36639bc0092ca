/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Addresses as people and browsers write them.
 */
#include "internal.h"
#include <arpa/inet.h>
#include <kotare/packet.h>
#include <netinet/in.h>
#include <stdlib.h>

bool kt_web_listen_parse(const char *listen, struct kt_web_address *a)
{
    char host[64];
    const char *colon = strrchr(listen, ':');
    if (!colon || colon == listen)
        return false;
    bool v6 = *listen == '[' && colon[-1] == ']';
    size_t len = (size_t)(colon - listen) - (v6 ? 2 : 0);
    if (len >= sizeof host)
        return false;
    memcpy(host, listen + v6, len);
    host[len] = '\0';
    char *end;
    unsigned long port = strtoul(colon + 1, &end, 10);
    if (*end || colon[1] < '0' || colon[1] > '9' || port > 65535)
        return false;
    if (strcmp(host, "localhost") == 0)
        strcpy(host, "127.0.0.1");
    memset(a, 0, sizeof *a);
    if (v6) {
        struct sockaddr_in6 *in = (struct sockaddr_in6 *)&a->sa;
        in->sin6_family = AF_INET6;
        in->sin6_port = htons((uint16_t)port);
        a->len = sizeof *in;
        return inet_pton(AF_INET6, host, &in->sin6_addr) == 1;
    }
    struct sockaddr_in *in = (struct sockaddr_in *)&a->sa;
    in->sin_family = AF_INET;
    in->sin_port = htons((uint16_t)port);
    a->len = sizeof *in;
    return inet_pton(AF_INET, host, &in->sin_addr) == 1;
}

/* "", ":" or ":8470" (RFC 3986, 3.2.3). */
static bool port_or_none(const char *s)
{
    size_t digits = *s == ':' ? strspn(s + 1, "0123456789") : 0;
    return !*s || (*s == ':' && digits <= 5 && !s[1 + digits]);
}

bool kt_web_host_ours(const char *host)
{
    char name[64];
    uint8_t addr[16];
    int ip;
    if (!host)
        return true; /* HTTP/1.0; no browser */
    bool v6 = *host == '[';
    size_t len = v6 ? strcspn(++host, "]") : strcspn(host, ":");
    const char *after = host + len + (v6 && host[len]);
    if (len == 0 || len >= sizeof name || (v6 && !host[len]) || !port_or_none(after))
        return false;
    memcpy(name, host, len);
    name[len] = '\0';
    if (!v6 && strcasecmp(name, "localhost") == 0)
        return true;
    return kt_addr_parse(name, addr, &ip) == KT_OK && ip == (v6 ? 6 : 4);
}
