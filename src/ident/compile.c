/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * Blocks become columns: the shapes are compiled by room expr, and every accept line names the
 * shapes of its two sides.
 */
#include "ident/rules.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_DEPTH = 32, MAX_COLUMNS = 512 }; /* shapes within shapes; columns of a rule */

const struct kt_expr_field rule_fields[] = {
    [FIELD_PAYLOAD] = {.name = "payload", .type = KT_EXPR_STR},
    [FIELD_PEER_PAYLOAD] = {.name = "peer.payload", .type = KT_EXPR_STR},
    [FIELD_LEN] = {.name = "len", .type = KT_EXPR_INT, .doc = "payload length"},
    [FIELD_PEER_LEN] = {.name = "peer.len", .type = KT_EXPR_INT},
    [FIELD_IP4] = {.name = "ip4", .type = KT_EXPR_INT, .doc = "the sender's IPv4 address"},
    [FIELD_PEER_IP4] = {.name = "peer.ip4", .type = KT_EXPR_INT},
    [FIELD_MIDWAY] = {.name = "midway",
                      .type = KT_EXPR_BOOL,
                      .doc = "the stream's beginning was not seen"},
    [FIELD_PEER_MIDWAY] = {.name = "peer.midway", .type = KT_EXPR_BOOL},
    [FIELD_SERVER] = {.name = "server", .type = KT_EXPR_INT, .doc = "the server's port"},
    [FIELD_CLIENT] = {.name = "client", .type = KT_EXPR_INT, .doc = "the client's port"},
    [FIELD_PORT] = {.name = "port",
                    .type = KT_EXPR_INT,
                    .doc = "either port",
                    .either = {"client", "server"}},
    {.name = NULL},
};

struct compiler {
    struct kt_rules *rules;
    struct rule *rule;
    struct kt_error *err;
    unsigned depth;
    int failed;
    const struct kt_expr *parts[2]; /* what "x" and "y" stand for in join() */
    struct rule_shape *shape;       /* whose lines join_lines() joins */
};

static int failed(struct compiler *c, int rc)
{
    if (rc < 0 && !c->failed)
        c->failed = rc;
    return c->failed;
}

/* Compiles a text of a rule file or one of our own (line 0). The rule set owns the result. */
static struct kt_expr *compile(struct compiler *c, const char *text, struct kt_expr_env env,
                               const struct rule_line *line)
{
    struct kt_rules *r = c->rules;
    struct kt_expr *e = NULL;
    struct kt_error inner = {0};
    struct kt_expr **more = kt_array_room(r->exprs.v, r->exprs.n + 1, &r->exprs.cap, sizeof *more);
    if (!more) {
        failed(c, kt_fail(c->err, KT_ENOMEM, 0, "no memory for rules"));
        return NULL;
    }
    r->exprs.v = more;
    env.file = c->rule ? c->rule->file : "built-in";
    env.line = line ? line->line : c->rule ? c->rule->line : 1;
    env.column = line ? line->column : 1;
    int rc = kt_expr_compile(&e, text, &env, &inner);
    if (rc < 0) {
        if (!c->failed)
            failed(c, kt_fail(c->err, rc == KT_EINVAL ? KT_EFORMAT : rc, inner.offset, "%s",
                              inner.text));
        return NULL;
    }
    return r->exprs.v[r->exprs.n++] = e;
}

static const struct kt_expr *part(void *ctx, const char *name, size_t len)
{
    struct compiler *c = ctx;
    (void)len;
    return c->parts[name[0] - 'x'];
}

/* a and b, either of which may be NULL: always true. */
static const struct kt_expr *join(struct compiler *c, const struct kt_expr *a,
                                  const struct kt_expr *b)
{
    if (!a || !b || a == b)
        return a ? a : b;
    c->parts[0] = a;
    c->parts[1] = b;
    struct kt_expr_env env = {.fields = rule_fields, .named = part, .named_ctx = c};
    return compile(c, "x and y", env, NULL);
}

static struct rule_shape *find(const struct rule *r, const char *name, size_t len)
{
    for (struct rule_shape *s = r ? r->shapes : NULL; s; s = s->next) {
        if (strlen(s->name) == len && !memcmp(s->name, name, len))
            return s;
    }
    return NULL;
}

static const struct kt_expr *alternative(void *ctx, const char *name, size_t len)
{
    struct compiler *c = ctx;
    unsigned i = 0;
    for (size_t k = 1; k < len; k++)
        i = i * 10 + (unsigned)(name[k] - '0');
    return c->shape->alternative[i];
}

static const struct kt_expr *shape_named(void *ctx, const char *name, size_t len);

static void shape(struct compiler *c, struct rule *owner, struct rule_shape *s)
{
    struct rule *before = c->rule;
    struct kt_expr_env env = {
        .fields = rule_fields, .patterns = true, .named = shape_named, .named_ctx = c};
    struct kt_buf text = {0};
    c->rule = owner;
    s->state = SHAPE_BUSY;
    if (++c->depth > MAX_DEPTH)
        failed(c, rule_fail(c->err, owner, s->line[0]->line, "shapes are nested too deeply"));
    kt_buf_str(&text, s->or_silent ? "len == 0 or " : "len > 0 and (");
    for (unsigned i = 0; i < s->n && !c->failed; i++) {
        s->alternative[i] = compile(c, s->line[i]->value, env, s->line[i]);
        kt_buf_printf(&text, i ? " or z%u" : "z%u", i);
    }
    kt_buf_str(&text, s->or_silent ? "" : ")");
    if (text.failed)
        failed(c, kt_fail(c->err, KT_ENOMEM, 0, "no memory for rules"));
    if (!c->failed) {
        env.named = alternative;
        c->shape = s;
        s->whole = compile(c, text.data, env, s->line[0]);
    }
    kt_buf_free(&text);
    s->state = SHAPE_DONE;
    c->depth--;
    c->rule = before;
}

/* Built-in rules mean their own shared blocks, whatever others add. */
static bool is_shared_for(const struct rule *shared, const struct rule *r)
{
    return shared->shared && (shared->builtin || !r->builtin);
}

/* A shape of this block, or of a shared one ("shared.x" says so). */
static const struct kt_expr *shape_named(void *ctx, const char *name, size_t len)
{
    struct compiler *c = ctx;
    struct rule *owner = c->rule;
    struct rule_shape *s = NULL;
    bool shared = len > 7 && !memcmp(name, "shared.", 7);
    if (c->failed)
        return NULL;
    if (shared) {
        name += 7;
        len -= 7;
    } else {
        s = find(owner, name, len);
    }
    for (struct rule *r = c->rules->rules; !s && r; r = r->next) {
        if (is_shared_for(r, c->rule) && (s = find(r, name, len)))
            owner = r;
    }
    if (s && s->state == SHAPE_BUSY)
        failed(c,
               rule_fail(c->err, owner, s->line[0]->line, "shape '%s' refers to itself", s->name));
    if (s && s->state == SHAPE_FRESH)
        shape(c, owner, s);
    return s ? s->whole : NULL;
}

/* Collects the shape lines of a block; two lines of one name are alternatives. */
static int collect(struct compiler *c, struct rule *r)
{
    static const char *const reserved[] = {
        "any",    "silent", "both", "either", "and",    "or",       "not",    "in",  "bytes",
        "text",   "at",     "when", "pair",   "with",   "peer",     "len",    "ip4", "server",
        "client", "port",   "true", "false",  "midway", "contains", "starts", "ends"};
    struct rule_shape **end = &r->shapes;
    for (unsigned i = 0; i < r->n_lines; i++) {
        const struct rule_line *l = &r->lines[i];
        if (strcmp(l->key, "shape"))
            continue;
        size_t n = strspn(l->name, "abcdefghijklmnopqrstuvwxyz0123456789-");
        const char *rest = l->name + n;
        bool or_silent = !strcmp(rest, " or silent");
        bool taken = !n || !islower((unsigned char)l->name[0]);
        for (size_t k = 0; k < KT_ARRAY_LEN(reserved); k++)
            taken |= strlen(reserved[k]) == n && !memcmp(reserved[k], l->name, n);
        if (taken || (*rest && !or_silent))
            return rule_fail(c->err, r, l->line, "'%.40s' can not be the name of a shape", l->name);
        struct rule_shape *s = find(r, l->name, n);
        if (!s) {
            s = kt_arena_alloc(&c->rules->arena, sizeof *s);
            if (!s)
                return kt_fail(c->err, KT_ENOMEM, 0, "no memory for rules");
            *s = (struct rule_shape){.name = kt_arena_strdup(&c->rules->arena, l->name, n)};
            s->line = kt_arena_alloc(&c->rules->arena, r->n_lines * sizeof(void *));
            s->alternative = kt_arena_alloc(&c->rules->arena, r->n_lines * sizeof(void *));
            if (!s->name || !s->line || !s->alternative)
                return kt_fail(c->err, KT_ENOMEM, 0, "no memory for rules");
            *end = s;
            end = &s->next;
        }
        s->line[s->n++] = l;
        s->or_silent |= or_silent;
    }
    return KT_OK;
}

static bool word(const char **p, char *out, size_t size)
{
    size_t n = 0;
    while (isspace((unsigned char)**p))
        (*p)++;
    while (**p && !isspace((unsigned char)**p)) {
        if (n + 1 < size)
            out[n++] = **p;
        (*p)++;
    }
    out[n] = '\0';
    return n > 0;
}

/* The expression of one side of an accept line; false: there is no such shape. */
static bool side(struct compiler *c, const char *name, const struct kt_expr **e)
{
    *e = NULL;
    if (!strcmp(name, "any"))
        return true;
    *e = !strcmp(name, "silent") ? c->rules->is_silent : shape_named(c, name, strlen(name));
    return *e != NULL;
}

static int push(struct compiler *c, struct column_list *list, const struct column *col)
{
    if (list->n == MAX_COLUMNS)
        return failed(c, rule_fail(c->err, c->rule, col->line->line, "too many accept lines"));
    if (list->n == list->cap) {
        unsigned cap = list->cap ? list->cap * 2 : 4;
        struct column *v = kt_arena_alloc(&c->rules->arena, cap * sizeof *v);
        if (!v)
            return failed(c, kt_fail(c->err, KT_ENOMEM, 0, "no memory for rules"));
        if (list->n)
            memcpy(v, list->v, list->n * sizeof *v);
        list->v = v;
        list->cap = cap;
    }
    list->v[list->n++] = *col;
    return KT_OK;
}

/* X <-> Y, X -> Y, both X, either X (which is X <-> any). */
static int sides(struct compiler *c, const char *text, struct column *col)
{
    char a[64], b[64], d[64], more[64];
    const char *p = text;
    word(&p, a, sizeof a);
    word(&p, b, sizeof b);
    const char *left = b, *right = b;
    if (!strcmp(a, "either")) {
        right = "any";
    } else if (strcmp(a, "both")) {
        if ((strcmp(b, "<->") && strcmp(b, "->")) || !word(&p, d, sizeof d))
            return failed(c,
                          rule_fail(c->err, c->rule, col->line->line,
                                    "expected 'X <-> Y', 'X -> Y', 'both X', 'either X' or 'pair "
                                    "NAME', found '%.60s'",
                                    text));
        left = a;
        right = d;
        col->directed = !strcmp(b, "->");
    } else {
        col->directed = true;
    }
    if (word(&p, more, sizeof more))
        return failed(c, rule_fail(c->err, c->rule, col->line->line,
                                   "found '%s', expected 'when' or the end of the line", more));
    for (int i = 0; i < 2; i++) {
        const char *name = i ? right : left;
        if (!side(c, name, &col->side[i]))
            return failed(
                c, rule_fail(c->err, c->rule, col->line->line, "there is no shape '%s'", name));
    }
    if (!col->side[0] && !col->side[1] && !col->when && !(col->accept & KT_ACCEPT_ANNOUNCED))
        return failed(c, rule_fail(c->err, c->rule, col->line->line, "this accepts every flow"));
    return KT_OK;
}

/* Two lines that must hold of one flow, each in either direction. */
static int combine(struct compiler *c, struct column_list *list, const struct column *a,
                   const struct column *b)
{
    for (int turn = 0; turn < 2 && !c->failed; turn++) {
        struct column col = *b;
        /* A directed line stays as it is; the other is turned round. */
        const struct column *fix = a->directed ? a : b, *free = fix == a ? b : a;
        for (int i = 0; i < 2; i++)
            col.side[i] = join(c, fix->side[i], free->side[i ^ turn]);
        col.when = join(c, a->when, b->when);
        col.directed = fix->directed;
        push(c, list, &col);
        if (a->directed && b->directed)
            break;
    }
    return c->failed;
}

static int lines(struct compiler *c, struct rule *r, const char *key, struct column_list *list);

/* pair NAME [with X <-> Y]: the accept lines of the block `shared: NAME`. */
static int pair(struct compiler *c, const char *text, const struct column *col,
                struct column_list *list)
{
    char name[64], with[64];
    struct rule *shared = c->rules->rules;
    struct column extra = *col;
    word(&text, name, sizeof name);
    while (shared && !(is_shared_for(shared, c->rule) && !strcmp(shared->id, name)))
        shared = shared->next;
    if (!shared || shared == c->rule)
        return failed(
            c, rule_fail(c->err, c->rule, col->line->line, "there is no block 'shared: %s'", name));
    if (++c->depth > MAX_DEPTH)
        return failed(c,
                      rule_fail(c->err, c->rule, col->line->line, "pairs are nested too deeply"));
    bool more = word(&text, with, sizeof with);
    if (more && !strcmp(with, "with"))
        sides(c, text, &extra);
    else if (more)
        failed(c, rule_fail(c->err, c->rule, col->line->line, "found '%s', expected 'with'", with));
    struct rule *before = c->rule;
    if (!shared->accepts.n && !c->failed) {
        c->rule = shared;
        lines(c, shared, "accept", &shared->accepts);
        c->rule = before;
    }
    for (unsigned i = 0; i < shared->accepts.n && !c->failed; i++)
        combine(c, list, &shared->accepts.v[i], &extra);
    c->depth--;
    return c->failed;
}

static struct kt_expr *port_condition(struct compiler *c, const char *text,
                                      const struct rule_line *line)
{
    struct kt_expr_env env = {.fields = rule_fields};
    struct kt_expr *e = compile(c, text, env, line);
    for (unsigned f = FIELD_PAYLOAD; e && f < FIELD_SERVER; f++) {
        if (kt_expr_reads(e, f))
            failed(c, rule_fail(c->err, c->rule, line->line,
                                "this condition may speak of ports only, not of '%s'",
                                rule_fields[f].name));
    }
    return e;
}

static int accept_line(struct compiler *c, const struct rule_line *l, uint16_t number,
                       struct column_list *list)
{
    struct column col = {.line = l, .rule = c->rule, .accept = number};
    const char *when = strstr(l->value, " when ");
    char *text = kt_arena_strdup(&c->rules->arena, l->value,
                                 when ? (size_t)(when - l->value) : strlen(l->value));
    if (!text)
        return failed(c, kt_fail(c->err, KT_ENOMEM, 0, "no memory for rules"));
    if (when) {
        struct rule_line at = *l;
        at.column += (unsigned)(when + 6 - l->value);
        col.when = port_condition(c, when + 6, &at);
    }
    if (c->failed)
        return c->failed;
    if (!strncmp(text, "pair ", 5))
        return pair(c, text + 5, &col, list);
    return sides(c, text, &col) < 0 ? c->failed : push(c, list, &col);
}

static int lines(struct compiler *c, struct rule *r, const char *key, struct column_list *list)
{
    uint16_t number = strcmp(key, "announced") ? 0 : KT_ACCEPT_ANNOUNCED;
    for (unsigned i = 0; i < r->n_lines && !c->failed; i++) {
        if (!strcmp(r->lines[i].key, key))
            accept_line(c, &r->lines[i], ++number, list);
    }
    return c->failed;
}

/* Every shape is compiled, used or not, so that no mistake hides. */
static int all_shapes(struct compiler *c, struct rule *r)
{
    for (struct rule_shape *s = r->shapes; s && !c->failed; s = s->next) {
        if (s->state == SHAPE_FRESH)
            shape(c, r, s);
    }
    return c->failed;
}

static int usual_ports(struct compiler *c, struct rule *r)
{
    for (unsigned i = 0; i < r->n_lines; i++) {
        if (strcmp(r->lines[i].key, "usual-port"))
            continue;
        struct kt_buf text = {0};
        kt_buf_printf(&text, "port in {%s}", r->lines[i].value);
        if (text.failed)
            return kt_fail(c->err, KT_ENOMEM, 0, "no memory for rules");
        r->usual = port_condition(c, text.data, &r->lines[i]);
        kt_buf_free(&text);
    }
    return c->failed;
}

int rule_compile(struct kt_rules *rules, struct kt_error *err)
{
    struct compiler c = {.rules = rules, .err = err};
    struct kt_expr_env env = {.fields = rule_fields};
    rules->is_silent = compile(&c, "len == 0", env, NULL);
    for (struct rule *r = rules->rules; r && !c.failed; r = r->next)
        failed(&c, collect(&c, r));
    for (struct rule *r = rules->rules; r && !c.failed; r = r->next) {
        c.rule = r;
        c.depth = 0;
        all_shapes(&c, r);
        if (!r->accepts.n)
            lines(&c, r, "accept", &r->accepts);
        lines(&c, r, "refuse", &r->refuses);
        lines(&c, r, "announced", &r->announced);
        if (!c.failed)
            usual_ports(&c, r);
        if (!c.failed && !r->shared && r->enabled && !r->accepts.n && !r->announced.n)
            failed(&c, rule_fail(err, r, r->line, "'%s' has no accept line", r->id));
    }
    return c.failed;
}
