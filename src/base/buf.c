/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <kotare/base.h>
#include <stdio.h>
#include <stdlib.h>

void *kt_buf_room(struct kt_buf *b, size_t n)
{
    if (b->failed)
        return NULL;
    if (b->cap - b->len <= n) { /* one byte stays for the NUL */
        size_t cap = b->cap ? b->cap : 128;
        while (cap - b->len <= n) {
            if (cap > SIZE_MAX / 2) {
                b->failed = true;
                return NULL;
            }
            cap *= 2;
        }
        char *data = realloc(b->data, cap);
        if (!data) {
            b->failed = true;
            return NULL;
        }
        b->data = data;
        b->cap = cap;
    }
    return b->data + b->len;
}

void kt_buf_add(struct kt_buf *b, const void *data, size_t len)
{
    char *at = kt_buf_room(b, len);
    if (!at)
        return;
    if (len)
        memcpy(at, data, len);
    at[len] = '\0';
    b->len += len;
}

void kt_buf_str(struct kt_buf *b, const char *text)
{
    kt_buf_add(b, text, strlen(text));
}

void kt_buf_printf(struct kt_buf *b, const char *format, ...)
{
    char small[256];
    va_list ap, again;
    va_start(ap, format);
    va_copy(again, ap);
    int n = vsnprintf(small, sizeof small, format, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof small) {
        kt_buf_add(b, small, (size_t)n);
    } else if (n >= 0) {
        char *at = kt_buf_room(b, (size_t)n);
        if (at) {
            vsnprintf(at, (size_t)n + 1, format, again);
            b->len += (size_t)n;
        }
    }
    va_end(again);
}

void kt_buf_clear(struct kt_buf *b)
{
    b->len = 0;
    if (b->data)
        b->data[0] = '\0';
}

void kt_buf_free(struct kt_buf *b)
{
    free(b->data);
    *b = (struct kt_buf){0};
}
