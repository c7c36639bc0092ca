/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "cmd.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <unistd.h>

static const struct kt_command commands[] = {
    {"watch", "carry captures or an interface through to the page", kt_cmd_watch},
    {"count", "read, decode and count packets", kt_cmd_count},
};

static void help(FILE *out)
{
    fputs("usage: kotare COMMAND [OPTIONS] …\n\n", out);
    for (size_t i = 0; i < KT_ARRAY_LEN(commands); i++)
        fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].summary);
    fputs("\nkotare COMMAND --help tells more.\n"
          "Exit codes: 0 ok, 1 usage, 2 bad input, 3 system, 4 store.\n",
          out);
}

/* A standard stream that is closed gets one that can only be used the other way round: else the
 * first file that is opened would take its number, and be read or written in its place. */
static bool open_standard(void)
{
    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF &&
            open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
            return false;
    return true;
}

int kt_cmd_said(int e, int code)
{
    errno = 0;
    if (fflush(stdout) != 0 && !e)
        e = errno;
    else if (ferror(stdout) && !e)
        e = EIO;
    clearerr(stdout);
    __fpurge(stdout);
    if (e == 0 || e == EPIPE) /* who closes a pipe has read enough */
        return code;
    fprintf(stderr, "kotare: standard output: cannot write: %s\n", strerror(e));
    return code ? code : kt_code_exit(KT_EIO);
}

struct kt_flag kt_cmd_stop; /* the program's, not a library's: a signal handler needs it */

static void on_signal(int number)
{
    (void)number;
    kt_flag_set(&kt_cmd_stop);
}

void kt_cmd_catch_stop(void)
{
    const struct sigaction act = {.sa_handler = on_signal};
    struct sigaction before;
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGTERM, &act, NULL);
    if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN) /* nohup */
        sigaction(SIGHUP, &act, NULL);
}

static int dispatch(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--version") == 0)
        return puts("kotare " KT_VERSION), 0;
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)) {
        help(stdout);
        return 0;
    }
    for (size_t i = 0; argc > 1 && i < KT_ARRAY_LEN(commands); i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    if (argc > 1)
        fprintf(stderr, "kotare: there is no command \"%s\"\n", argv[1]);
    help(stderr);
    return 1;
}

int main(int argc, char **argv)
{
    if (!open_standard())
        return kt_code_exit(KT_EIO);
    signal(SIGXFSZ, SIG_IGN); /* a limit of the size of files is told like a full disk */
    return kt_cmd_said(0, dispatch(argc, argv));
}
