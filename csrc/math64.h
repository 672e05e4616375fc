/* math64.h - exp, log, sin, cos, powers and square root in double, one number at a time: for learning-rate schedules,
 * powers of beta, random normal numbers and the generated datasets.
 *
 * Not libm, because two C libraries need not agree to the last bit, and no fused multiply-add, because not every x86
 * has one: + - * / and bit operations only, so the bits are the same on every IEEE machine that computes double in
 * double (all but the x87). Compile with -ffp-contract=off. Errors are the largest seen over dense samples
 * (tests/c/vmath_check.c), in units in the last place (ulp) of the correctly rounded result.
 */
#ifndef FNN_MATH64_H
#define FNN_MATH64_H

#include <stdint.h>

/* 0 below -745.14, inf above 709.79, NaN for NaN; gradual underflow; error 1.0 ulp */
double fnn_exp(double x);

/* x must be a positive, finite, normal number; error 0.93 ulp */
double fnn_log(double x);

/* |x| <= 1e5; error 0.80 ulp, also next to the multiples of pi / 2; odd and even to the bit */
double fnn_sin(double x);
double fnn_cos(double x);

/* base^n by repeated squaring; relative error at most about n * 2^-53; 1 for n = 0 */
double fnn_powi(double base, uint64_t n);

/* correctly rounded; NaN below zero */
double fnn_sqrt(double x);

#endif
