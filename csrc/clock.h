/* clock.h - seconds of a clock that does not jump, for the loops that surface about ten times a second. */
#ifndef FNN_CLOCK_H
#define FNN_CLOCK_H

#include <time.h>

static inline double fnn_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#endif
