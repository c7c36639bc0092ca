/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "io/reader.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define STOP_MS 100 /* a flag wakes nobody: it is looked at so often */

static bool stopped(const struct kt_reader *r)
{
    return r->stop && kt_flag_get(r->stop);
}

/* Waits until a pipe has something. False: the reader is being closed, or told to stop. */
static bool wait_readable(struct kt_reader *r)
{
    struct pollfd p[2] = {{.fd = r->fd, .events = POLLIN}, {.fd = r->wake[0], .events = POLLIN}};
    int n;
    do {
        if (stopped(r))
            return false;
        n = poll(p, 2, r->stop ? STOP_MS : -1);
    } while (n == 0 || (n < 0 && errno == EINTR));
    return n < 0 || p[1].revents == 0; /* a failure: let read() tell what is wrong */
}

ssize_t kt_reader_raw(struct kt_reader *r, void *buf, size_t len, struct kt_error *err)
{
    if (r->head_at < r->head_len) {
        size_t n = r->head_len - r->head_at;
        n = n < len ? n : len;
        memcpy(buf, r->head + r->head_at, n);
        r->head_at += n;
        return (ssize_t)n;
    }
    for (;;) {
        if (!r->regular && !wait_readable(r))
            return 0;
        ssize_t n = read(r->fd, buf, len);
        if (n >= 0)
            return n;
        if (errno != EINTR && errno != EAGAIN)
            return kt_fail_errno(err, errno, "%s: at byte %llu: cannot read", r->name,
                                 (unsigned long long)kt_count_get(&r->done));
    }
}

/* Reads the first bytes, which tell the codec. What can be rewound is, so that later reads lie
 * on page boundaries. */
static int read_head(struct kt_reader *r, struct kt_error *err)
{
    uint8_t head[KT_CODEC_HEAD];
    size_t len = 0;
    while (len < sizeof head) {
        ssize_t n = kt_reader_raw(r, head + len, sizeof head - len, err);
        if (n < 0)
            return (int)n;
        if (n == 0)
            break;
        len += (size_t)n;
    }
    r->codec = kt_codec_find(head, len);
    if (r->regular && lseek(r->fd, -(off_t)len, SEEK_CUR) >= 0)
        return KT_OK;
    memcpy(r->head, head, len);
    r->head_len = len;
    return KT_OK;
}

const char *kt_input_name(const char *path)
{
    return strcmp(path, "-") == 0 ? "standard input" : path;
}

static int open_file(struct kt_reader *r, const char *path, struct kt_error *err)
{
    bool standard = strcmp(path, "-") == 0;
    r->name = strdup(kt_input_name(path));
    if (!r->name)
        return kt_fail(err, KT_ENOMEM, 0, "%s: no memory", path);
    struct stat st;
    /* of a named pipe even the opening would wait, for a writer */
    int wait = !standard && stat(path, &st) == 0 && S_ISFIFO(st.st_mode) ? O_NONBLOCK : 0;
    r->fd = standard ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                     : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | wait);
    if (r->fd < 0)
        return kt_fail_errno(err, errno, "%s: cannot open", r->name);
    if (fstat(r->fd, &st) < 0)
        return kt_fail_errno(err, errno, "%s: cannot open", r->name);
    if (S_ISDIR(st.st_mode))
        return kt_fail(err, KT_EINVAL, 0, "%s: is a directory", r->name);
    if (S_ISREG(st.st_mode)) {
        r->regular = true;
        r->total = (uint64_t)st.st_size;
        posix_fadvise(r->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    } else if (pipe2(r->wake, O_CLOEXEC) < 0) {
        return kt_fail_errno(err, errno, "%s: cannot open", r->name);
    }
    return read_head(r, err);
}

int kt_reader_open(struct kt_reader **reader, const char *path, struct kt_error *err)
{
    return kt_reader_open_until(reader, path, NULL, err);
}

int kt_reader_open_until(struct kt_reader **reader, const char *path, const struct kt_flag *stop,
                         struct kt_error *err)
{
    *reader = NULL;
    struct kt_reader *r = calloc(1, sizeof *r);
    if (!r)
        return kt_fail(err, KT_ENOMEM, 0, "%s: no memory", path);
    r->fd = r->wake[0] = r->wake[1] = -1;
    r->stop = stop;
    int rc = open_file(r, path, err);
    if (rc == KT_OK && r->codec)
        rc = kt_unpack_start(&r->unpack, r, err);
    if (rc < 0) {
        kt_reader_close(r);
        return rc;
    }
    *reader = r;
    return KT_OK;
}

static ssize_t read_once(struct kt_reader *r, void *buf, size_t len, struct kt_error *err)
{
    if (r->unpack)
        return kt_unpack_read(r->unpack, buf, len, err);
    ssize_t n = kt_reader_raw(r, buf, len, err);
    if (n > 0)
        kt_count_set(&r->done, r->done + (uint64_t)n);
    return n;
}

ssize_t kt_reader_read(struct kt_reader *r, void *buf, size_t len, struct kt_error *err)
{
    size_t got = 0;
    while (got < len) {
        ssize_t n = read_once(r, (uint8_t *)buf + got, len - got, err);
        if (n < 0 && got == 0)
            return n;
        if (n <= 0)
            break; /* a fault comes again with the next read */
        got += (size_t)n;
    }
    return (ssize_t)got;
}

ssize_t kt_reader_read_some(struct kt_reader *r, void *buf, size_t len, struct kt_error *err)
{
    return r->regular ? kt_reader_read(r, buf, len, err) : read_once(r, buf, len, err);
}

void kt_reader_progress(const struct kt_reader *r, uint64_t *done, uint64_t *total)
{
    *done = kt_count_get(&r->done);
    *total = r->total;
}

const char *kt_reader_codec(const struct kt_reader *r)
{
    return r->codec ? r->codec->name : "plain";
}

const char *kt_reader_name(const struct kt_reader *r)
{
    return r->name;
}

void kt_reader_close(struct kt_reader *r)
{
    if (!r)
        return;
    if (r->wake[1] >= 0)
        close(r->wake[1]);
    kt_unpack_stop(r->unpack);
    if (r->wake[0] >= 0)
        close(r->wake[0]);
    if (r->fd >= 0)
        close(r->fd);
    free(r->name);
    free(r);
}
