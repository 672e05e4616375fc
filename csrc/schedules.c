/* schedules.c - learning rates by the number of the step, t = 0, 1, ... In float64 with the functions of math64.c, so that
 * the bits are the same on every machine. */
#include "fnn.h"
#include "math64.h"

#define FNN_PI 0x1.921fb54442d18p+1

/* from `first` at x = 0 to `last` at x = 1, along half a cosine; `last` beyond */
static double along_cosine(double first, double last, double x)
{
    return last + (first - last) * 0.5 * (1 + fnn_cos(FNN_PI * (x < 1 ? x : 1)));
}

/* initial factor^floor(t / steps).   p = {initial, steps, factor} */
static double rate_step_decay(const double *p, uint64_t t) { return p[0] * fnn_powi(p[2], t / (uint64_t)p[1]); }

/* initial factor^(t / steps), factor > 0.   p = {initial, steps, factor} */
static double rate_exponential_decay(const double *p, uint64_t t)
{
    return p[0] * fnn_exp(fnn_log(p[2]) * ((double)t / p[1]));
}

/* initial / (1 + decay t / steps): the book's where steps is 1.   p = {initial, steps, decay} */
static double rate_inverse_time(const double *p, uint64_t t) { return p[0] / (1 + p[2] * (double)t / p[1]); }

/* in a straight line from initial to top over `warmup` steps, then along half a cosine to alpha top over `steps` more
 * (Loshchilov and Hutter 2017, without restarts).   p = {initial, steps, alpha, top, warmup} */
static double rate_cosine_decay(const double *p, uint64_t t)
{
    double step = (double)t;
    if (step < p[4])
        return p[0] + (p[3] - p[0]) * (step / p[4]);
    return along_cosine(p[3], p[2] * p[3], (step - p[4]) / p[1]);
}

/* up from top / div to top over the first `share` of the steps and down to top / (div final_div) over the others, both
 * along half a cosine (Smith and Topin 2018, as PyTorch does it).   p = {top, steps, share, div, final_div} */
static double rate_one_cycle(const double *p, uint64_t t)
{
    double first = p[0] / p[3], step = (double)t, turn = p[2] * p[1] - 1, last = p[1] - 1;
    if (turn > 0 && step <= turn)
        return along_cosine(first, p[0], step / turn);
    return step < last ? along_cosine(p[0], first / p[4], (step - turn) / (last - turn)) : first / p[4];
}

/* in a straight line from initial to what the inner schedule begins with, over `warmup` steps, then that schedule from its own
 * step 0 on (Goyal et al. 2017).   p = {warmup, initial, id of the inner schedule or -1 for a constant, its parameters} */
static double rate_warm_up(const double *p, uint64_t t)
{
    const double step = (double)t;
    const int warm = step < p[0];
    const uint64_t at = warm ? 0 : t - (uint64_t)p[0];
    const double inner = p[2] < 0 ? p[3] : fnn_schedule_rate((fnn_schedule_id)p[2], p + 3, at);
    return warm ? p[1] + (inner - p[1]) * (step / p[0]) : inner;
}

typedef double rate_of(const double *p, uint64_t t);
#define ENTRY(name, parameters) rate_##name,
static rate_of *const rates[FNN_RATE_COUNT] = {FNN_SCHEDULES(ENTRY)};
#undef ENTRY

double fnn_schedule_rate(fnn_schedule_id schedule, const double *p, uint64_t t) { return rates[schedule](p, t); }
