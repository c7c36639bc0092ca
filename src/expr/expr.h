/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Inside of expr: the tokens that lex.c makes, and the bytecode that parse.c makes of them and
 * run.c and maybe.c carry out. Jumps go forward only, so a run ends after at most `n` steps.
 */
#ifndef KOTARE_EXPR_INSIDE_H
#define KOTARE_EXPR_INSIDE_H

#include <kotare/expr.h>

#define EXPR_TEXT_MAX 65536 /* bytes of source */
#define EXPR_CODE_MAX 8192  /* instructions */
#define EXPR_NEST_MAX 64    /* parentheses, not, minus */
#define EXPR_STACK 96       /* values alive at once */
#define EXPR_SET_MAX 4096   /* members of a set */

struct expr_prefix {
    uint8_t addr[16], ip, bits;
};

struct expr_range {
    int64_t lo, hi;
};

/* What an instruction needs beyond a number. */
struct expr_const {
    const char *str; /* text, or the values of a byte pattern */
    const uint8_t *mask;
    uint32_t len, offset;
    struct expr_prefix prefix;
    const struct expr_range *range;  /* members of a set of numbers: sorted, apart */
    const struct expr_const *member; /* members of a set of text or addresses */
    uint32_t n;
};

enum expr_op {
    OP_INT,   /* push imm */
    OP_CONST, /* push text or address k */
    OP_FIELD, /* push field a */
    OP_READ,  /* push the number at byte c of text field a; b: width, | 0x80 little-endian */
    OP_BYTES, /* push whether text field a shows pattern k */
    OP_ADD,
    OP_SUB,
    OP_MUL,
    OP_DIV,
    OP_MOD,
    OP_AND,
    OP_OR,
    OP_SHL,
    OP_SHR,
    OP_NEG,
    OP_EQ,
    OP_NE,
    OP_LT,
    OP_LE,
    OP_GT,
    OP_GE,
    OP_CMP, /* compare the top with imm; b: OP_EQ … OP_GE */
    OP_SEQ,
    OP_SNE,
    OP_CONTAINS,
    OP_STARTS,
    OP_ENDS,
    OP_AEQ,
    OP_ANE,
    OP_IN_INT,
    OP_IN_STR,
    OP_IN_ADDR, /* replace the top by whether set k has it */
    OP_NOT,
    OP_JTRUE,
    OP_JFALSE, /* skip c instructions when the top is (certainly) so; keep it */
    OP_LAND,
    OP_LOR, /* two conditions become one */
};

struct expr_ins {
    uint8_t op, b;
    uint16_t a;
    uint32_t c;
    union {
        int64_t imm;
        const struct expr_const *k;
    };
};

/* A list of what an expression has allocated: expressions are many and small. */
struct expr_memory {
    struct expr_memory *next;
    _Alignas(16) char data[];
};

struct kt_expr {
    struct expr_ins *code;
    uint32_t n, cap;
    uint32_t depth; /* most values on the stack */
    struct expr_memory *memory;
};

enum expr_token_kind { T_END, T_NAME, T_INT, T_TIME, T_STR, T_ADDR, T_OP };

struct expr_token {
    enum expr_token_kind kind;
    const char *at;
    uint32_t len;
    unsigned op; /* first character, second one shifted by 8 */
    int64_t num;
    struct expr_prefix prefix;
};

struct expr_lexer {
    const char *text, *next, *end;
    struct expr_token tok;
    const struct kt_expr_env *env;
    struct kt_error *err;
    int failed; /* code of the first error; the token is T_END from then on */
};

#define EXPR_OP(a, b) ((unsigned)(a) | (unsigned)(b) << 8)

void expr_next(struct expr_lexer *l);
/* The first error wins. */
int expr_fail(struct expr_lexer *l, const char *at, const char *format, ...) KT_PRINTF(3, 4);
/* "\"foo\"" or "the end" for messages. */
#define EXPR_FOUND 48
const char *expr_found(const struct expr_token *t, char buf[EXPR_FOUND]);
/* literal.c: the literal at l->next, if there is one, becomes the token. */
bool expr_literal(struct expr_lexer *l);
/* Undoes the escapes of a quoted string; the result is at most as long. Negative: bad escape. */
int expr_unquote(const char *quoted, uint32_t len, char *out);
/* A pattern as in kt_expr_bytes, ending before `end`. */
int expr_pattern(const char *text, const char *end, uint8_t *value, uint8_t *mask, unsigned max,
                 const char **stop, const char **why);
/* The numbers that the pattern environment reads from payload ("be16a", "peer.b7"). */
bool expr_payload_value(const char *name, uint32_t len, bool *peer, unsigned *offset,
                        unsigned *width, bool *little);
int64_t expr_read(const uint8_t *data, uint32_t len, unsigned offset, unsigned width);

#endif
