/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * The program. A subcommand is one file and one line in main.c's table. */
#ifndef KOTARE_CMD_H
#define KOTARE_CMD_H

#include <kotare/base.h>

struct kt_command {
    const char *name, *summary;
    int (*run)(int argc, char **argv); /* argv[0] is the command's name; the exit code */
};

int kt_cmd_watch(int argc, char **argv);
int kt_cmd_count(int argc, char **argv);

/* Writes out what waits for standard output and tells, once, when that failed, now or with the
 * errno `e` before. Returns the exit code: `code`, or that of the failure when it was 0. */
int kt_cmd_said(int e, int code);

/* Set by Ctrl-C, SIGTERM and SIGHUP once they are caught: end, with what there is so far. */
extern struct kt_flag kt_cmd_stop;
void kt_cmd_catch_stop(void);

/* options.c: "--name value", "--name=value" and flags, from one table. What has a value may stand
 * once, but for a list. */
enum kt_option_type { KT_OPTION_FLAG, KT_OPTION_TEXT, KT_OPTION_LIST, KT_OPTION_NUMBER };
struct kt_option_list {
    const char *text[64];
    unsigned n;
};
struct kt_option_number {
    uint64_t value, min, max;
};
struct kt_option {
    const char *name; /* without the dashes; NULL ends the table */
    enum kt_option_type type;
    void *value; /* bool *, const char **, struct kt_option_list *, struct kt_option_number * */
    const char *argument, *doc;
};
/* Moves what is no option to the front of argv[1 …] and returns how many there are, or a negative
 * code with a sentence in *err. KT_ENOTFOUND means that --help was asked for. */
int kt_options_parse(const struct kt_option *options, int argc, char **argv, struct kt_error *err);
void kt_options_help(const struct kt_option *options, const char *usage, const char *about);

#endif
