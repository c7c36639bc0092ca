/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <errno.h>
#include <kotare/base.h>
#include <stdio.h>

/* Names that others chose may hold what a terminal obeys. */
static void clean(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
}

static void set(struct kt_error *err, int code, uint64_t offset, const char *format, va_list ap)
    KT_PRINTF(4, 0);
static void set(struct kt_error *err, int code, uint64_t offset, const char *format, va_list ap)
{
    err->code = code;
    err->offset = offset;
    vsnprintf(err->text, sizeof err->text, format, ap);
    clean(err->text);
}

int kt_fail(struct kt_error *err, int code, uint64_t offset, const char *format, ...)
{
    if (err) {
        va_list ap;
        va_start(ap, format);
        set(err, code, offset, format, ap);
        va_end(ap);
    }
    return code;
}

static int code_of_errno(int e)
{
    switch (e) {
    case ENOMEM:
        return KT_ENOMEM;
    case EPERM:
    case EACCES:
        return KT_EPERM;
    case ENOENT:
    case ENODEV:
    case ENXIO:
        return KT_ENOTFOUND;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return KT_EFULL;
    case EBUSY:
    case EADDRINUSE:
        return KT_EBUSY;
    case EINVAL:
        return KT_EINVAL;
    default:
        return KT_EIO;
    }
}

int kt_fail_errno(struct kt_error *err, int errno_value, const char *format, ...)
{
    int code = code_of_errno(errno_value);
    if (err) {
        va_list ap;
        va_start(ap, format);
        set(err, code, 0, format, ap);
        va_end(ap);
        size_t n = strlen(err->text);
        char reason[128];
        const char *text = strerror_r(errno_value, reason, sizeof reason);
        snprintf(err->text + n, sizeof err->text - n, ": %s", text);
    }
    return code;
}

const char *kt_code_name(int code)
{
    switch (code) {
    case KT_OK:
        return "ok";
    case KT_END:
        return "end of input";
    case KT_EIO:
        return "input/output error";
    case KT_EFORMAT:
        return "malformed";
    case KT_ETRUNCATED:
        return "truncated";
    case KT_EUNSUPPORTED:
        return "unsupported";
    case KT_ENOMEM:
        return "out of memory";
    case KT_EINVAL:
        return "invalid";
    case KT_EVERSION:
        return "made by a newer version";
    case KT_EFULL:
        return "full";
    case KT_EPERM:
        return "not permitted";
    case KT_ENOTFOUND:
        return "not found";
    case KT_EBUSY:
        return "busy";
    case KT_ECANCELED:
        return "canceled";
    default:
        return "unknown error";
    }
}

int kt_code_exit(int code)
{
    switch (code) {
    case KT_OK:
    case KT_END:
        return 0;
    case KT_EINVAL:
        return 1;
    case KT_EFORMAT:
    case KT_ETRUNCATED:
    case KT_EUNSUPPORTED:
        return 2;
    case KT_EVERSION:
    case KT_EFULL:
        return 4;
    default:
        return 3;
    }
}
