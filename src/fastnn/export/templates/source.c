/* @file@.c - see @file@.h. */
#include "@file@.h"

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>

/* What would change the bits is refused here, and products are not merged with sums but where `fused` says so. */
#if @NAME@_EXPORT != 0x@tie@u
#error "@file@.c and @file@.h are of different exports"
#endif
#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__) || defined(_M_FP_FAST)
#error "@file@.c: compile it without -ffast-math"
#endif
#if defined(FLT_EVAL_METHOD) && FLT_EVAL_METHOD != 0 && FLT_EVAL_METHOD != 16
#error "@file@.c: sums would be kept wider than they are stored; on x86 compile it with -msse2 -mfpmath=sse"
#endif
#if FLT_RADIX != 2 || FLT_MANT_DIG != 24@wide@
#error "@file@.c: the numbers of this compiler are not those of IEEE 754"
#endif
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("fp-contract=off")
#elif defined(_MSC_VER) && !defined(__clang__)
#pragma fp_contract(off)
#else
#pragma STDC FP_CONTRACT OFF
#endif
#if defined(__clang__) && defined(__arm__) && defined(__ARM_NEON)
/* 32-bit NEON flushes subnormal numbers to zero, and clang makes it of unrolled loops: the scalar unit does not */
#pragma clang attribute push(__attribute__((target("no-neon"))), apply_to = function)
#endif

/* --- the functions --- */

@functions@

/* --- the parameters --- */

@constants@
@if classes@

const char *const @name@_classes[@NAME@_N_CLASSES] = {
@classes@
};
@end@

/* --- the prediction --- */

void @name@_predict_with(const @real@ *x, @real@ *y, @real@ *scratch)
{
@lines@
}

void @name@_predict(const @real@ *x, @real@ *y)
{
#ifdef @NAME@_STATIC_SCRATCH
    static
#endif
        @real@ scratch[@NAME@_SCRATCH];
    @name@_predict_with(x, y, scratch);
}
@if self_test@

/* --- the self-test: does this compiler, library and processor give the bits of Python? --- */

#ifdef @NAME@_SELF_TEST
#define TEST_ROWS @test_rows@

static const @real@ test_x[TEST_ROWS * @NAME@_N_IN] = {
@test_x@
};
static const @real@ test_y[TEST_ROWS * @NAME@_N_OUT] = {
@test_y@
};

/* a, b, c and a b + c, rounded once; not known to the compiler, which would work them out by itself */
static volatile @real@ probes[][4] = {
@probes@
};

static int same(@real@ a, @real@ b) { return to_bits(a) == to_bits(b) || (a != a && b != b); }

int @name@_self_test(void)
{
    @real@ y[@NAME@_N_OUT];
    int differ = 0;
    for (size_t i = 0; i < sizeof probes / sizeof probes[0]; i++)
        if (!same(fused(probes[i][0], probes[i][1], probes[i][2]), probes[i][3]))
            return -1;
    for (size_t row = 0; row < TEST_ROWS; row++) {
        @name@_predict(test_x + row * @NAME@_N_IN, y);
        for (size_t j = 0; j < @NAME@_N_OUT; j++)
            differ += !same(y[j], test_y[row * @NAME@_N_OUT + j]);
    }
    return differ;
}

#ifndef @NAME@_NO_MAIN
#include <stdio.h>

int main(void)
{
    int differ = @name@_self_test();
    if (differ < 0)
        puts("@name@: fma rounds twice here, or subnormal numbers are flushed to zero");
    else
        printf("@name@: %d of %d outputs differ\n", differ, TEST_ROWS * @NAME@_N_OUT);
    return differ != 0;
}
#endif
#endif
@end@
#if defined(__clang__) && defined(__arm__) && defined(__ARM_NEON)
#pragma clang attribute pop
#endif
