/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Which of the rings of a group a packet belongs to: a hash of addresses and ports that is the same
 * both ways, and that the kernel can compute as well. It gets it as a classic BPF program, which
 * asks for no right beyond that to capture. The program sees through VLAN tags, PPPoE and one
 * encapsulation (IP in IP, GRE, VXLAN, GENEVE, GTP-U, or the quote of an ICMP error). What lies
 * deeper, and what cannot be told from one packet (fragments), comes to some ring, and whoever
 * reads that asks kt_fanout_lane() and hands it on. */
#include "ring.h"
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>

/* Odd numbers without a pattern. */
#define K_SUM UINT32_C(0x9e3779b1)
#define K_XOR UINT32_C(0x85ebca77)
#define K_PORTS UINT32_C(0xc2b2ae3d)
#define K_WORD UINT32_C(0x27d4eb2f)
#define K_LAST UINT32_C(0x165667b1)

static uint32_t fold(const uint8_t *addr, int ip)
{
    uint32_t h = kt_be32(addr);
    for (int i = 4; i < 16 && ip == 6; i += 4)
        h = h * K_WORD + kt_be32(addr + i);
    return h;
}

static bool has_ports(unsigned proto)
{
    return proto == KT_PROTO_TCP || proto == KT_PROTO_UDP || proto == KT_PROTO_SCTP;
}

unsigned kt_fanout_lane(const struct kt_key *k, unsigned lanes)
{
    if (k->ip == 0)
        return 0;
    uint32_t a = fold(k->addr[0], k->ip), b = fold(k->addr[1], k->ip);
    uint32_t h = (a + b) * K_SUM ^ (a ^ b) * K_XOR;
    if (has_ports(k->proto))
        h += ((uint32_t)k->port[0] + k->port[1]) * K_PORTS;
    h ^= h >> 16;
    h *= K_LAST;
    return (h >> 16) * lanes >> 16;
}

/* ---- the same for the kernel ---- */

/* Classic BPF has an accumulator A, an index X and 16 words of memory; it only jumps forward. */
enum { MEM_A, MEM_B, MEM_PORTS, MEM_PROTO, MEM_X, MEM_T, MEM_TYPE };

enum { TAILS = 32 };

struct prog {
    struct sock_filter *f;
    unsigned n, max;
    unsigned tail[TAILS], tails;   /* jumps to the end, where the hash is made */
    unsigned inner[TAILS], inners; /* jumps to the packet inside; X: where it begins */
};

static unsigned op(struct prog *p, unsigned code, uint32_t k)
{
    if (p->n < p->max)
        p->f[p->n] = (struct sock_filter){.code = (uint16_t)code, .k = k};
    return p->n++;
}

#define LD(size, k) op(p, BPF_LD | BPF_##size | BPF_IND, (k)) /* of the packet, from X on */
#define ALU(what, k) op(p, BPF_ALU | BPF_##what | BPF_K, (k))
#define ALU_X(what) op(p, BPF_ALU | BPF_##what | BPF_X, 0)
#define TO_MEM(m) op(p, BPF_ST, (m))
#define FROM_MEM(m) op(p, BPF_LD | BPF_MEM, (m))
#define X_TO_MEM(m) op(p, BPF_STX, (m))
#define X_FROM_MEM(m) op(p, BPF_LDX | BPF_MEM, (m))
#define TAX() op(p, BPF_MISC | BPF_TAX, 0)
#define TXA() op(p, BPF_MISC | BPF_TXA, 0)

/* The block behind it is what the program does when the condition holds. */
#define JOIN(a, b) a##b
#define IF_AT(at, cond, k)                                                                         \
    for (unsigned at = op(p, BPF_JMP | BPF_##cond | BPF_K, (k)) + 1; at; end_if(p, at - 1), at = 0)
#define IF_LINE(line, cond, k) IF_AT(JOIN(at, line), cond, k)
#define IF(cond, k) IF_LINE(__LINE__, cond, k)

static void end_if(struct prog *p, unsigned at)
{
    if (at < p->max && p->n - at - 1 < 256)
        p->f[at].jf = (uint8_t)(p->n - at - 1);
    else
        p->n = p->max + 1; /* too far */
}

static void jump(struct prog *p, unsigned *list, unsigned *n)
{
    if (*n == TAILS)
        p->n = p->max + 1;
    else
        list[(*n)++] = op(p, BPF_JMP | BPF_JA, 0);
}

static void land(struct prog *p, const unsigned *list, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (list[i] < p->max)
            p->f[list[i]].k = p->n - list[i] - 1;
}

static void to_tail(struct prog *p)
{
    jump(p, p->tail, &p->tails);
}

static void to_inner(struct prog *p)
{
    jump(p, p->inner, &p->inners);
}

static void x_plus(struct prog *p, uint32_t k)
{
    TXA();
    ALU(ADD, k);
    TAX();
}

/* An IPv6 address at X + k into memory. */
static void fold_ip6(struct prog *p, uint32_t k, uint32_t m)
{
    X_TO_MEM(MEM_X);
    LD(W, k);
    for (uint32_t i = 4; i < 16; i += 4) {
        ALU(MUL, K_WORD);
        TO_MEM(MEM_T);
        LD(W, k + i);
        X_FROM_MEM(MEM_T);
        ALU_X(ADD);
        X_FROM_MEM(MEM_X);
    }
    TO_MEM(m);
}

/* X: at the ports. */
static void ports(struct prog *p)
{
    X_TO_MEM(MEM_X);
    LD(H, 0);
    TO_MEM(MEM_T);
    LD(H, 2);
    X_FROM_MEM(MEM_T);
    ALU_X(ADD);
    ALU(MUL, K_PORTS);
    TO_MEM(MEM_PORTS);
    X_FROM_MEM(MEM_X);
}

/* Addresses and protocol of the IP header at X; then X is behind it. Fragments end here. */
static void network(struct prog *p)
{
    unsigned four[1] = {0}, fours = 0, six[1] = {0}, sixes = 0;
    LD(B, 0);
    ALU(RSH, 4);
    IF(JEQ, 6)
    {
        jump(p, six, &sixes);
    }
    IF(JEQ, 4)
    {
        LD(W, 12);
        TO_MEM(MEM_A);
        LD(W, 16);
        TO_MEM(MEM_B);
        LD(B, 9);
        TO_MEM(MEM_PROTO);
        LD(H, 6);
        IF(JSET, 0x3fff)
        {
            to_tail(p);
        }
        LD(B, 0);
        ALU(AND, 15);
        ALU(LSH, 2);
        ALU_X(ADD);
        TAX();
        jump(p, four, &fours);
    }
    to_tail(p);
    land(p, six, sixes);
    fold_ip6(p, 8, MEM_A);
    fold_ip6(p, 24, MEM_B);
    LD(B, 6); /* extension headers are rare: not gone through */
    TO_MEM(MEM_PROTO);
    x_plus(p, 40);
    land(p, four, fours);
}

/* Goes inside by the Ethernet type in A, when IP lies there at X. */
static void by_type(struct prog *p)
{
    static const uint16_t ip[] = {ETH_P_IP, ETH_P_IPV6};
    for (unsigned i = 0; i < 2; i++) {
        IF(JEQ, ip[i])
        {
            to_inner(p);
        }
    }
}

/* An Ethernet frame at X. */
static void frame(struct prog *p)
{
    LD(H, 12);
    TO_MEM(MEM_T);
    x_plus(p, 14);
    FROM_MEM(MEM_T);
    IF(JEQ, ETH_P_8021Q)
    {
        LD(H, 2);
        TO_MEM(MEM_T);
        x_plus(p, 4);
        FROM_MEM(MEM_T);
    }
    by_type(p);
    to_tail(p);
}

static void by_type_or_frame(struct prog *p)
{
    by_type(p);
    IF(JEQ, ETH_P_TEB)
    {
        frame(p);
    }
    to_tail(p);
}

/* An ICMP error goes where what it quotes goes. */
static void icmp(struct prog *p, const uint8_t *errors, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        LD(B, 0);
        IF(JEQ, errors[i])
        {
            x_plus(p, 8);
            to_inner(p);
        }
    }
    to_tail(p);
}

/* Four bytes of header, and four for each of the bits 15 (checksum), 13 (key), 12 (sequence). */
static void gre(struct prog *p)
{
    static const unsigned bit[] = {15, 13, 12};
    X_TO_MEM(MEM_X);
    ALU(AND, 0);
    TO_MEM(MEM_T);
    for (unsigned i = 0; i < 3; i++) {
        LD(H, 0);
        ALU(RSH, bit[i]);
        ALU(AND, 1);
        X_FROM_MEM(MEM_T);
        ALU_X(ADD);
        TO_MEM(MEM_T);
        X_FROM_MEM(MEM_X);
    }
    LD(H, 0);
    IF(JSET, 0x4007)
    {
        to_tail(p);
    }
    LD(H, 2);
    TO_MEM(MEM_TYPE);
    FROM_MEM(MEM_T);
    ALU(LSH, 2);
    ALU(ADD, 4);
    ALU_X(ADD);
    TAX();
    FROM_MEM(MEM_TYPE);
    by_type_or_frame(p);
}

/* X: at the UDP header. */
static void udp_tunnels(struct prog *p)
{
    LD(H, 2);
    IF(JEQ, 4789)
    {
        x_plus(p, 16);
        frame(p);
    }
    IF(JEQ, 6081)
    {
        LD(H, 10);
        TO_MEM(MEM_T);
        LD(B, 8);
        ALU(AND, 0x3f);
        ALU(LSH, 2);
        ALU(ADD, 16);
        ALU_X(ADD);
        TAX();
        FROM_MEM(MEM_T);
        by_type_or_frame(p);
    }
    IF(JEQ, 2152)
    {
        LD(B, 9);
        IF(JEQ, 0xff)
        {
            LD(B, 8);
            IF(JSET, 7)
            {
                LD(B, 8);
                IF(JSET, 4)
                {
                    LD(B, 20);
                    ALU(LSH, 2);
                    ALU_X(ADD);
                    TAX();
                }
                x_plus(p, 4);
            }
            x_plus(p, 16);
            to_inner(p);
        }
    }
}

/* X: behind the IP header. */
static void transport(struct prog *p, bool go_inside)
{
    static const uint8_t ported[] = {KT_PROTO_TCP, KT_PROTO_UDP, KT_PROTO_SCTP};
    static const uint8_t errors4[] = {3, 4, 5, 11, 12}, errors6[] = {1, 2, 3, 4};
    static const uint8_t carriers[] = {KT_PROTO_IPIP, KT_PROTO_IPV6};
    for (unsigned i = 0; i < sizeof ported; i++) {
        FROM_MEM(MEM_PROTO);
        IF(JEQ, ported[i])
        {
            if (go_inside && ported[i] == KT_PROTO_UDP)
                udp_tunnels(p);
            ports(p);
            to_tail(p);
        }
    }
    for (unsigned i = 0; i < sizeof carriers && go_inside; i++) {
        FROM_MEM(MEM_PROTO);
        IF(JEQ, carriers[i])
        {
            to_inner(p);
        }
    }
    if (go_inside) {
        FROM_MEM(MEM_PROTO);
        IF(JEQ, KT_PROTO_GRE)
        {
            gre(p);
        }
        IF(JEQ, KT_PROTO_ICMP)
        {
            icmp(p, errors4, sizeof errors4);
        }
        IF(JEQ, KT_PROTO_ICMPV6)
        {
            icmp(p, errors6, sizeof errors6);
        }
    }
    to_tail(p);
}

/* X: where the packet begins in what the program sees. The kernel took the link header off what was
 * received, not off what is sent. */
static void start(struct prog *p, uint32_t link_header)
{
    ALU(AND, 0);
    for (unsigned m = 0; m <= MEM_TYPE; m++)
        TO_MEM(m);
    TAX();
    op(p, BPF_LD | BPF_B | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_PKTTYPE));
    IF(JEQ, PACKET_OUTGOING)
    {
        op(p, BPF_LDX | BPF_IMM, link_header);
    }
    op(p, BPF_LD | BPF_H | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_PROTOCOL));
    for (int i = 0; i < 4; i++) { /* two tags, of either kind */
        IF(JEQ, i & 1 ? ETH_P_8021Q : ETH_P_8021AD)
        {
            LD(H, 2);
            TO_MEM(MEM_T);
            x_plus(p, 4);
            FROM_MEM(MEM_T);
        }
    }
    IF(JEQ, ETH_P_PPP_SES)
    {
        x_plus(p, 8);
    }
}

unsigned kt_fanout_program(struct sock_filter *code, unsigned max, unsigned lanes,
                           uint32_t link_header)
{
    struct prog p = {.f = code, .max = max};
    start(&p, link_header);
    network(&p);
    transport(&p, true);
    land(&p, p.inner, p.inners);
    network(&p);
    transport(&p, false);
    land(&p, p.tail, p.tails);
    op(&p, BPF_LDX | BPF_MEM, MEM_B);
    op(&p, BPF_LD | BPF_MEM, MEM_A);
    op(&p, BPF_ALU | BPF_ADD | BPF_X, 0);
    op(&p, BPF_ALU | BPF_MUL | BPF_K, K_SUM);
    op(&p, BPF_ST, MEM_T);
    op(&p, BPF_LD | BPF_MEM, MEM_A);
    op(&p, BPF_ALU | BPF_XOR | BPF_X, 0);
    op(&p, BPF_ALU | BPF_MUL | BPF_K, K_XOR);
    op(&p, BPF_LDX | BPF_MEM, MEM_T);
    op(&p, BPF_ALU | BPF_XOR | BPF_X, 0);
    op(&p, BPF_LDX | BPF_MEM, MEM_PORTS);
    op(&p, BPF_ALU | BPF_ADD | BPF_X, 0);
    op(&p, BPF_MISC | BPF_TAX, 0);
    op(&p, BPF_ALU | BPF_RSH | BPF_K, 16);
    op(&p, BPF_ALU | BPF_XOR | BPF_X, 0);
    op(&p, BPF_ALU | BPF_MUL | BPF_K, K_LAST);
    op(&p, BPF_ALU | BPF_RSH | BPF_K, 16);
    op(&p, BPF_ALU | BPF_MUL | BPF_K, lanes);
    op(&p, BPF_ALU | BPF_RSH | BPF_K, 16);
    op(&p, BPF_RET | BPF_A, 0);
    return p.n <= max ? p.n : 0;
}
