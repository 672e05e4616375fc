/* optimizers.c - what is the same for all parameters of an optimizer's step, worked out once in float64. What each
 * constant stands for is in the formulas of kernels/optimizers.h, whose h[0], h[1], ... they are. */
#include "fnn.h"

#include "math64.h"

/* h[0 .. 6) of Adam and its kin; returns lr r */
static double adam(double *h, double lr, const double *p, uint64_t t)
{
    const double r = fnn_sqrt(1 - fnn_powi(p[1], t));
    h[0] = lr * r / (1 - fnn_powi(p[0], t));
    h[1] = p[0], h[2] = 1 - p[0], h[3] = p[1], h[4] = 1 - p[1], h[5] = p[2] * r;
    return lr * r;
}

void fnn_opt_constants(fnn_opt_id opt, double *h, double lr, const double *p, uint64_t t)
{
    for (int i = 0; i < FNN_OPT_CONSTANTS; i++)
        h[i] = 0;
    h[0] = lr;
    switch (opt) {
    case FNN_OPT_momentum:
    case FNN_OPT_nesterov:
    case FNN_OPT_adagrad: h[1] = p[0]; break;
    case FNN_OPT_rmsprop: h[1] = p[0], h[2] = 1 - p[0], h[3] = p[1]; break;
    case FNN_OPT_adam:
    case FNN_OPT_amsgrad: adam(h, lr, p, t); break;
    case FNN_OPT_adamw:
        adam(h, lr, p, t);
        h[6] = lr * p[3];
        break;
    case FNN_OPT_nadam: {
        const double rate = adam(h, lr, p, t);
        h[0] = rate * p[0] / (1 - fnn_powi(p[0], t + 1));
        h[6] = rate * (1 - p[0]) / (1 - fnn_powi(p[0], t));
        break;
    }
    case FNN_OPT_lion: h[1] = p[0], h[2] = 1 - p[0], h[3] = p[1], h[4] = 1 - p[1], h[5] = lr * p[2]; break;
    default: /* sgd: its rate alone */ break;
    }
}
