/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <inttypes.h>
#include <kotare/base.h>
#include <stdio.h>
#include <time.h>

static int64_t read_clock(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * KT_SECOND + t.tv_nsec;
}

int64_t kt_now(void)
{
    return read_clock(CLOCK_REALTIME);
}

int64_t kt_monotonic(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

char *kt_time_text(int64_t ns, int digits, char buf[KT_TIME_TEXT])
{
    int64_t sec = ns / KT_SECOND, frac = ns % KT_SECOND;
    if (frac < 0) {
        frac += KT_SECOND;
        sec--;
    }
    time_t t = (time_t)sec;
    struct tm tm;
    if (!gmtime_r(&t, &tm))
        memset(&tm, 0, sizeof tm);
    size_t n = strftime(buf, KT_TIME_TEXT, "%Y-%m-%dT%H:%M:%S", &tm);
    if (digits > 9)
        digits = 9;
    if (digits > 0) {
        char nine[16];
        snprintf(nine, sizeof nine, "%09" PRId64, frac);
        n += (size_t)snprintf(buf + n, KT_TIME_TEXT - n, ".%.*s", digits, nine);
    }
    snprintf(buf + n, KT_TIME_TEXT - n, "Z");
    return buf;
}

static char *scaled(double v, double base, const char *const *unit, size_t units,
                    char buf[KT_SIZE_TEXT])
{
    size_t i = 0;
    /* what would be printed as a whole unit of the next is one */
    while (i + 1 < units && v >= (i ? base - 0.05 : base)) {
        v /= base;
        i++;
    }
    snprintf(buf, KT_SIZE_TEXT, i == 0 ? "%.0f%s" : "%.1f%s", v, unit[i]);
    return buf;
}

char *kt_bytes_text(uint64_t bytes, char buf[KT_SIZE_TEXT])
{
    static const char *const unit[] = {" B", " KiB", " MiB", " GiB", " TiB", " PiB"};
    return scaled((double)bytes, 1024, unit, KT_ARRAY_LEN(unit), buf);
}

char *kt_count_text(uint64_t n, char buf[KT_SIZE_TEXT])
{
    static const char *const unit[] = {"", " k", " M", " G", " T"};
    return scaled((double)n, 1000, unit, KT_ARRAY_LEN(unit), buf);
}
