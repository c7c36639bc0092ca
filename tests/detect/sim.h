/* SPDX-License-Identifier: LGPL-3.0-or-later
 *
 * A small network that never was: clients, servers and twenty applications in bursts, closed
 * interval by interval, with an incident on demand. The same seed gives the same traffic.
 */
#ifndef KOTARE_TESTS_DETECT_SIM_H
#define KOTARE_TESTS_DETECT_SIM_H

#include <kotare/detect.h>

enum sim_kind {
    SIM_CALM,
    SIM_SURGE,
    SIM_CROWD,
    SIM_OUTAGE,
    SIM_SILENCE,
    SIM_PATH,
    SIM_SCAN,
    SIM_NOTHING
};

struct sim_incident {
    enum sim_kind kind;
    unsigned from, to; /* interval numbers, to is the first after */
    double size;  /* surge, crowd: times the traffic so far; path: ms each way; scan: targets/s */
    double loss;  /* path: share */
    unsigned app; /* outage, crowd: whose server */
};

struct sim;

/* `length` of an interval in seconds. */
struct sim *sim_new(uint64_t seed, unsigned length);
void sim_free(struct sim *s);
void sim_add(struct sim *s, struct sim_incident incident);
/* The next interval; valid until the next call. */
const struct kt_interval *sim_step(struct sim *s);
const char *sim_app_name(void *ctx, unsigned app);
/* The address of server (10.0.2.x) or client (10.0.1.x) number i, as text. */
const char *sim_server_of(unsigned app, char buf[32]);
uint64_t sim_random(struct sim *s, uint64_t below);

/* Applications that tests name. */
enum { SIM_NO_PAYLOAD, SIM_HTTP, SIM_DNS, SIM_REDIS, SIM_POSTGRES, SIM_MQTT, SIM_APPS_NAMED };

#endif
