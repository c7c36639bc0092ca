/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * What payloads announce: every form of FTP, session descriptions, RTSP and TFTP, and what only
 * resembles them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <kotare/ident.h>
#include <stdio.h>
#include <stdlib.h>

static struct kt_rules *rules;

/* A packet as kt_decode() would leave it: from 10.0.0.1:1111 to 10.0.0.2:2222, or the same in
 * 2001:db8::/64. */
static struct kt_packet packet(uint8_t proto, int ip, const char *payload, size_t len)
{
    struct kt_packet p = {.data = (const uint8_t *)payload,
                          .caplen = (uint32_t)len,
                          .wirelen = (uint32_t)len,
                          .payload_len = (uint32_t)len,
                          .flags = KT_PKT_DECODED | KT_PKT_IP | KT_PKT_TRANSPORT,
                          .proto = proto};
    int version;
    p.key.ip = (uint8_t)ip;
    p.key.proto = proto;
    p.key.port[0] = 1111;
    p.key.port[1] = 2222;
    assert_int_equal(kt_addr_parse(ip == 4 ? "10.0.0.1" : "2001:db8::1", p.key.addr[0], &version),
                     0);
    assert_int_equal(kt_addr_parse(ip == 4 ? "10.0.0.2" : "2001:db8::2", p.key.addr[1], &version),
                     0);
    return p;
}

/* "ftp-data tcp 10.0.0.1 5000 from 10.0.0.2; …", in order. */
static const char *told_of(const struct kt_packet *p)
{
    static char text[2048];
    struct kt_announcement a[KT_ANNOUNCEMENTS];
    unsigned n = kt_ident_may_announce(p) ? kt_ident_announcements(rules, p, a) : 0;
    size_t at = 0;
    text[0] = '\0';
    for (unsigned i = 0; i < n; i++) {
        char addr[KT_ADDR_TEXT], peer[KT_ADDR_TEXT], proto[16];
        assert_true(a[i].life >= KT_SECOND * 60);
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%s %s %s %u from %s", i ? "; " : "",
                               kt_rules_label(rules, a[i].label)->id,
                               kt_proto_text(a[i].proto, proto),
                               kt_addr_text(a[i].addr, a[i].ip, addr), a[i].port,
                               a[i].anyone ? "anyone" : kt_addr_text(a[i].peer, a[i].ip, peer));
        assert_true(at < sizeof text);
    }
    return text;
}

static const char *told(uint8_t proto, int ip, const char *payload)
{
    struct kt_packet p = packet(proto, ip, payload, strlen(payload));
    return told_of(&p);
}

#define TCP(payload) told(KT_PROTO_TCP, 4, payload)
#define TCP6(payload) told(KT_PROTO_TCP, 6, payload)
#define UDP(payload) told(KT_PROTO_UDP, 4, payload)

static void ftp(void **state)
{
    (void)state;
    const char *own = "ftp-data tcp 10.0.0.1 5000 from 10.0.0.2";
    assert_string_equal(TCP("227 Entering Passive Mode (10,0,0,1,19,136).\r\n"), own);
    assert_string_equal(TCP("227 Entering Passive Mode. 10,0,0,1,19,136\r\n"), own);
    assert_string_equal(TCP("227 =10,0,0,1,19,136"), own);
    assert_string_equal(TCP("229 Entering Extended Passive Mode (|||5000|)\r\n"), own);
    assert_string_equal(TCP("PORT 10,0,0,1,19,136\r\n"), own);
    assert_string_equal(TCP("port 10,0,0,1,19,136\r\n"), own);
    assert_string_equal(TCP("EPRT |1|10.0.0.1|5000|\r\n"), own);
    assert_string_equal(TCP("TYPE I\r\nPORT 10,0,0,1,19,136\r\n"), own);
    assert_string_equal(TCP("200 Type set to I\r\n227 Ok (10,0,0,1,19,136)\r\n"), own);
    assert_string_equal(TCP6("229 Entering Extended Passive Mode (|||5000|)\r\n"),
                        "ftp-data tcp 2001:db8::1 5000 from 2001:db8::2");
    assert_string_equal(TCP6("EPRT |2|2001:db8::1|5000|\r\n"),
                        "ftp-data tcp 2001:db8::1 5000 from 2001:db8::2");
    /* another address: both are waited for */
    assert_string_equal(TCP("227 Entering Passive Mode (192,168,1,1,19,136)\r\n"),
                        "ftp-data tcp 10.0.0.1 5000 from 10.0.0.2; "
                        "ftp-data tcp 192.168.1.1 5000 from anyone");
}

static void not_ftp(void **state)
{
    static const char *const text[] = {
        "227 Entering Passive Mode (10,0,0,1,19)\r\n",
        "227 Entering Passive Mode (10,0,0,1,19,256)\r\n",
        "227 Entering Passive Mode (10,0,0,1,0,0)\r\n",
        "227 Entering Passive Mode (10,0,0,1,19,",
        "229 Entering Extended Passive Mode (|||70000|)\r\n",
        "229 Entering Extended Passive Mode (|||5000",
        "229 Entering Extended Passive Mode |||5000|\r\n",
        "220 (10,0,0,1,19,136)\r\n",
        "PORTAL 10,0,0,1,19,136\r\n",
        "PORT 10,0,0,1,999999999999999999,1\r\n",
        "EPRT |1|10.0.0.1.7|5000|\r\n",
        "EPRT |1|10.0.0.1\r\n",
        "EPRT         \r\n",
        "TYPE I\r\nSIZE x\r\n",
    };
    (void)state;
    for (size_t i = 0; i < KT_ARRAY_LEN(text); i++)
        assert_string_equal(TCP(text[i]), "");
    assert_string_equal(UDP("PORT 10,0,0,1,19,136\r\n"), "");
}

#define SIP "INVITE sip:bob@example.org SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1\r\n\r\n"
#define SDP "v=0\r\no=- 1 1 IN IP4 10.0.0.9\r\ns=-\r\n"

static void session(void **state)
{
    (void)state;
    const char *audio = "rtp udp 10.0.0.9 49170 from anyone; rtcp udp 10.0.0.9 49171 from anyone";
    assert_string_equal(
        UDP(SIP SDP "c=IN IP4 10.0.0.9\r\nt=0 0\r\nm=audio 49170 RTP/AVP 0\r\na=rtpmap:0 x\r\n"),
        audio);
    assert_string_equal(
        UDP("SIP/2.0 200 OK\r\n\r\n" SDP "c=IN IP4 10.0.0.9\r\nm=audio 49170 RTP/SAVP 0\r\n"),
        audio);
    assert_string_equal(TCP(SDP "c=IN IP4 10.0.0.9\r\nm=audio 49170 UDP/TLS/RTP/SAVPF 0\r\n"),
                        audio);
    assert_string_equal(UDP(SIP "--b\r\nContent-Type: application/sdp\r\n\r\n" SDP
                                "c=IN IP4 10.0.0.9\r\nm=audio 49170 RTP/AVP 0\r\n--b--\r\n"),
                        audio);
    /* an address of its own, RTCP elsewhere, a refused stream, one over TCP, a fax */
    assert_string_equal(
        UDP(SIP SDP
            "c=IN IP4 10.0.0.9\r\n"
            "m=audio 49170 RTP/AVP 0\r\nc=IN IP6 2001:db8::9\r\na=rtcp:53020 IN IP4 10.0.0.7\r\n"
            "m=video 0 RTP/AVP 31\r\nm=video 9 TCP/RTP/AVP 31\r\nm=image 50000 udptl t38\r\n"
            "m=video 50002/2 RTP/AVP 31\r\na=rtcp:50009\r\n"),
        "rtp udp 2001:db8::9 49170 from anyone; rtcp udp 10.0.0.7 53020 from anyone; "
        "rtp udp 10.0.0.9 50002 from anyone; rtcp udp 10.0.0.9 50009 from anyone; "
        "rtp udp 10.0.0.9 50004 from anyone; rtcp udp 10.0.0.9 50009 from anyone");
    /* on hold, a name, no address at all, cut, no body */
    assert_string_equal(UDP(SIP SDP "c=IN IP4 0.0.0.0\r\nm=audio 49170 RTP/AVP 0\r\n"), "");
    assert_string_equal(UDP(SIP SDP "c=IN IP4 a.example.org\r\nm=audio 49170 RTP/AVP 0\r\n"), "");
    assert_string_equal(UDP(SIP SDP "m=audio 49170 RTP/AVP 0\r\n"), "");
    assert_string_equal(UDP(SIP SDP "c=IN IP4 10.0.0.9\r\nm=audio 49170"), "");
    assert_string_equal(UDP(SIP SDP "c=IN IP4 10.0.0.9\r\nm=audio 490000 RTP/AVP 0\r\n"), "");
    assert_string_equal(UDP(SIP), "");
    assert_string_equal(UDP("SIP/2.0 200 OK\r\nv=0\r\n"), "");
    /* however many streams, there is an end */
    char many[4096] = SIP SDP "c=IN IP4 10.0.0.9\r\n";
    for (int i = 0; i < 40; i++)
        strcat(many, "m=audio 40000/4 RTP/AVP 0\r\n");
    struct kt_announcement a[KT_ANNOUNCEMENTS];
    struct kt_packet p = packet(KT_PROTO_UDP, 4, many, strlen(many));
    assert_int_equal(kt_ident_announcements(rules, &p, a), KT_ANNOUNCEMENTS);
}

static void rtsp(void **state)
{
    (void)state;
    assert_string_equal(
        TCP("SETUP rtsp://x/1 RTSP/1.0\r\nCSeq: 3\r\n"
            "Transport: RTP/AVP;unicast;client_port=4588-4589\r\n\r\n"),
        "rtp udp 10.0.0.1 4588 from 10.0.0.2; rtcp udp 10.0.0.1 4589 from 10.0.0.2");
    assert_string_equal(
        TCP("RTSP/1.0 200 OK\r\nCSeq: 3\r\nTransport: RTP/AVP/UDP;unicast;client_port=4588-4589;"
            "server_port=6256-6257;ssrc=1\r\n\r\n"),
        "rtp udp 10.0.0.2 4588 from 10.0.0.1; rtcp udp 10.0.0.2 4589 from 10.0.0.1; "
        "rtp udp 10.0.0.1 6256 from 10.0.0.2; rtcp udp 10.0.0.1 6257 from 10.0.0.2");
    assert_string_equal(TCP("RTSP/1.0 200 OK\r\ntransport: RTP/AVP;unicast;destination=10.0.0.7;"
                            "source=10.0.0.8;client_port=4588;server_port=6256\r\n\r\n"),
                        "rtp udp 10.0.0.7 4588 from 10.0.0.8; rtp udp 10.0.0.8 6256 from 10.0.0.7");
    assert_string_equal(
        TCP("RTSP/1.0 200 OK\r\nTransport: RTP/AVP;multicast;"
            "destination=224.2.0.1;port=3456-3457;ttl=16\r\n\r\n"),
        "rtp udp 224.2.0.1 3456 from 10.0.0.1; rtcp udp 224.2.0.1 3457 from 10.0.0.1");
    assert_string_equal(TCP("RTSP/1.0 200 OK\r\nTransport: RTP/AVP/TCP;interleaved=0-1\r\n\r\n"),
                        "");
    assert_string_equal(TCP("RTSP/1.0 200 OK\r\n\r\nTransport: RTP/AVP;client_port=4588\r\n"), "");
    assert_string_equal(TCP("RTSP/1.0 200 OK\r\nTransport: RTP/AVP;client_port=x\r\n\r\n"), "");
}

static void tftp(void **state)
{
    static const char read[] = "\0\1pxelinux.0\0octet\0blksize\0001400";
    static const char write[] = "\0\2a\0NETASCII\0";
    (void)state;
    struct kt_packet p = packet(KT_PROTO_UDP, 4, read, sizeof read);
    assert_string_equal(told_of(&p), "tftp udp 10.0.0.1 1111 from 10.0.0.2");
    p = packet(KT_PROTO_UDP, 4, write, sizeof write);
    assert_string_equal(told_of(&p), "tftp udp 10.0.0.1 1111 from 10.0.0.2");
    p = packet(KT_PROTO_TCP, 4, read, sizeof read);
    assert_string_equal(told_of(&p), "");
    p = packet(KT_PROTO_UDP, 4, read, 14); /* cut before the mode */
    assert_string_equal(told_of(&p), "");
    p = packet(KT_PROTO_UDP, 4, "\0\1\0\10!\22\244B0123456789ab", 20); /* STUN */
    assert_string_equal(told_of(&p), "");
}

static void only_where_a_payload_begins(void **state)
{
    const char *text = "227 Entering Passive Mode (10,0,0,1,19,136).\r\n";
    struct kt_announcement a[KT_ANNOUNCEMENTS];
    (void)state;
    struct kt_packet p = packet(KT_PROTO_TCP, 4, text, strlen(text));
    p.flags |= KT_PKT_FRAGMENT | KT_PKT_FRAGMENT_LATER;
    assert_int_equal(kt_ident_announcements(rules, &p, a), 0);
    p = packet(KT_PROTO_TCP, 4, text, strlen(text));
    p.flags |= KT_PKT_ICMP_ERROR;
    assert_int_equal(kt_ident_announcements(rules, &p, a), 0);
    p = packet(KT_PROTO_TCP, 4, text, strlen(text));
    p.caplen = 9; /* the snap length */
    assert_false(kt_ident_may_announce(&p));
    assert_int_equal(kt_ident_announcements(rules, &p, a), 0);
}

#define BLOCK(id, more)                                                                            \
    "protocol: " id "\nname: " id                                                                  \
    "\ntransport: tcp\ncategory: x\npriority: 10\nshape a: text \"x\"\n"                           \
    "accept: either a\n" more "\n"

static void lines(void **state)
{
    static const struct {
        const char *text, *error;
    } wrong[] = {
        {BLOCK("a", "announces: b by ftp\n"), "r:8: there is no protocol 'b'"},
        {BLOCK("a", "announces: b by ftp\n") BLOCK("b", ""), "r:8: 'b' has no 'announced:' line"},
        {BLOCK("a", "announces: a by fpt\n"), "r:8: there is no reader 'fpt'"},
        {BLOCK("a", "announces: a\n"), "r:8: expected 'PROTOCOL by READER', found 'a'"},
        {BLOCK("a", "announced: b <-> any\n"), "r:8: there is no shape 'b'"},
    };
    struct kt_rules *r;
    struct kt_error err = {0};
    (void)state;
    for (size_t i = 0; i < KT_ARRAY_LEN(wrong); i++) {
        const char *text = wrong[i].text;
        assert_int_equal(kt_rules_load_text(&r, "r", text, strlen(text), &err), KT_EFORMAT);
        assert_string_equal(err.text, wrong[i].error);
    }
    const char *none = BLOCK("a", "");
    assert_int_equal(kt_rules_load_text(&r, "r", none, strlen(none), &err), KT_OK);
    assert_false(kt_rules_announce(r));
    kt_rules_free(r);
    const char *off =
        BLOCK("a", "announces: b by ftp\n") BLOCK("b", "announced: any <-> any\nenabled: no\n");
    assert_int_equal(kt_rules_load_text(&r, "r", off, strlen(off), &err), KT_OK);
    assert_false(kt_rules_announce(r));
    kt_rules_free(r);
}

/* An announced line comes before all rules, and only for what was announced under its label. */
static void matching(void **state)
{
    const char *text = BLOCK("a", "announced: odd <-> any\nshape odd: b0 & 1 == 1\n")
        BLOCK("b", "announced: any <-> any\nrefuse: ten <-> any\nshape ten: len == 10\n");
    struct kt_rules *r;
    struct kt_seen seen = {.proto = KT_PROTO_TCP, .ip = 4};
    struct kt_verdict v;
    struct kt_buf out = {0};
    (void)state;
    assert_int_equal(kt_rules_load_text(&r, "r", text, strlen(text), NULL), KT_OK);
    uint16_t a = KT_LABEL_FIXED_COUNT, b = a + 1;
    seen.announced = b; /* not a byte so far */
    kt_ident_match(r, &seen, &v);
    assert_int_equal(v.label, b);
    assert_int_equal(v.confidence, 95);
    seen.dir[1] = (struct kt_first){.len = 1, .captured = 1, .head = "x"}; /* what a's rule knows */
    kt_ident_match(r, &seen, &v);
    assert_int_equal(v.label, b);
    assert_int_equal(v.accept, KT_ACCEPT_ANNOUNCED | 1);
    kt_ident_explain(r, &seen, &v, &out);
    assert_non_null(strstr(out.data, "b by rule b (r:18, \"any <-> any\"), 95% sure: another flow "
                                     "announced it; "));
    kt_buf_free(&out);
    seen.announced = a;
    kt_ident_match(r, &seen, &v);
    assert_int_equal(v.label, a);
    assert_int_equal(v.accept, 1); /* 'x' is even: only the accept line holds */
    seen.announced = b;
    seen.dir[0].len = 10;
    kt_ident_match(r, &seen, &v);
    assert_int_equal(v.label, a);
    seen.announced = b;
    seen.proto = KT_PROTO_UDP;
    seen.dir[0].len = 0;
    kt_ident_match(r, &seen, &v);
    assert_int_equal(v.label, KT_LABEL_UNKNOWN_UDP);
    kt_rules_free(r);
}

int main(void)
{
    if (kt_rules_load_builtin(&rules, NULL) < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ftp),     cmocka_unit_test(not_ftp),
        cmocka_unit_test(session), cmocka_unit_test(rtsp),
        cmocka_unit_test(tftp),    cmocka_unit_test(only_where_a_payload_begins),
        cmocka_unit_test(lines),   cmocka_unit_test(matching),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    kt_rules_free(rules);
    return rc;
}
