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
#if FLT_RADIX != 2 || FLT_MANT_DIG != 24@double_check@
#error "@file@.c: the numbers of this compiler are not those of IEEE 754"
#endif
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("fp-contract=off")
#elif defined(_MSC_VER) && !defined(__clang__)
#pragma fp_contract(off)
#else
#pragma STDC FP_CONTRACT OFF
#endif

/* --- the functions --- */

@functions@

/* --- the parameters --- */

@constants@@classes@/* --- the prediction --- */

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
@self_test@
