/* simd.h - the lane primitives, and the one place that picks their header.
 *
 * A stub in csrc/tables/ names its instruction set (FNN_SIMD_HEADER) and its real type (FNN_BITS, 32 or 64); everything
 * above this file is written once on the names below. Selection is by our own macros, never by __AVX2__: a user's
 * -march=native must not turn one table into another.
 *
 * Types      real        float or double
 *            vf          VF_LANES reals
 *            vi          VF_LANES unsigned integers of the width of a real (bit patterns)
 *            vm          VF_LANES truth values
 * Constants  VF_LANES    lanes of vf
 *            FNN_MR      rows of the full register tile of a matrix product
 *            FNN_MR_1    rows of a tile of one vector, where more than FNN_MR; 12 or not given
 *            FNN_NV      vectors in a row of that tile
 *            FNN_REGISTERS  vector registers there are
 * Memory     vf_load vf_store                     any alignment
 *            vf_load_part(p, n)                   lanes >= n are +0 and their memory is not touched; 0 <= n <= VF_LANES
 *            vf_store_part(p, v, n)               likewise
 * Arithmetic vf_zero vf_set1 vf_add vf_sub vf_mul vf_div vf_sqrt      IEEE, round to nearest
 *            vf_fma(a, b, c) = a*b + c            one rounding (two in sse2, which is outside the contract)
 *            vf_fnma(a, b, c) = c - a*b           likewise
 *            vf_max(a, b) = a > b ? a : b         so b where either is NaN: x86's rule, kept on every instruction set
 *            vf_min(a, b) = a < b ? a : b
 * Truth      vf_gt vf_ge vf_eq                    false where either is NaN
 *            vm_and vm_or vf_select(m, a, b) = m ? a : b
 * Bits       vf_bits vf_from_bits vi_set1 vi_add vi_sub vi_and vi_or vi_xor vi_sll vi_srl (shift count a constant)
 * Wide       vw: VW_LANES unsigned 64-bit integers: vw_set1 vw_load vw_store vw_xor
 *            vw_mul_low(a, b)                     the 64-bit products of the low halves
 *            vw_high(a)                           the high halves moved down, zeros above
 * Lanes      vf_sum_tree(v)                       fixed tree: lane i + lane i + LANES/2, then LANES/4, ... (reduce.h)
 *            vf_max_tree(v)                       the largest lane (NaN lanes: unspecified)
 *            vf_transpose(v)                      VF_LANES vectors in place: v[i][j] <-> v[j][i]
 * Perhaps    vf_join(v)                           vf_sum_tree of VF_LANES vectors, in a vector; else made of vf_transpose
 *            vf_transpose_block(out, out_ld, in, ld)  out[i][j] = in[j][i], VF_LANES of both; else made of vf_transpose
 *            vf_list_nonzeros(at, x, first)       at = first + i of the lanes i of x that are not 0, ascending; how many.
 *                                                 Writes VF_LANES places, whatever they hold
 *            VF_HOLD(x)                           keep x in a register from here on
 *            vf_zip vf_unzip                      2 to VF_ZIP columns to the order of memory and back; else VF_ZIP is 0
 */
#ifndef FNN_SIMD_H
#define FNN_SIMD_H

#include <stddef.h>
#include <stdint.h>

#if FNN_BITS == 32
typedef float real;
typedef uint32_t fnn_bits;
#define FNN_REAL_MIN 0x1p-126F /* smallest normal number */
#define FNN_EXPONENT_BIAS 127
#define FNN_MANTISSA_BITS 23
#elif FNN_BITS == 64
typedef double real;
typedef uint64_t fnn_bits;
#define FNN_REAL_MIN 0x1p-1022
#define FNN_EXPONENT_BIAS 1023
#define FNN_MANTISSA_BITS 52
#else
#error "FNN_BITS must be 32 or 64"
#endif

#define FNN_INLINE static inline __attribute__((always_inline, unused))
#define FNN_SIGN_BIT ((fnn_bits)1 << (FNN_BITS - 1))

/* Where clang knows that a is 0, it makes `a > b ? a : b` a maximum of the processor's, but on x86, and arm64's gives 0 for
 * b = -0 (LLVM issue 93414). So it is not let know; a constant is in a register before the loop either way. */
#if defined(__clang__) && defined(__aarch64__)
#define FNN_UNKNOWN(a) __asm__("" : "+w"(a))
#elif defined(__clang__) && !defined(__x86_64__)
#define FNN_UNKNOWN(a) __asm__("" : "+m"(a))
#else
#define FNN_UNKNOWN(a) (void)(a)
#endif

#include FNN_SIMD_HEADER

#ifndef VF_ZIP
#define VF_ZIP 0
FNN_INLINE void vf_zip(vf *x, const vf *col, size_t c) { (void)x, (void)col, (void)c; }
FNN_INLINE void vf_unzip(vf *col, const vf *x, size_t c) { (void)col, (void)x, (void)c; }
#endif
#ifndef FNN_MR_1
#define FNN_MR_1 FNN_MR
#endif
#ifndef VF_HOLD
#define VF_HOLD(x) (void)(x)
#endif
#ifndef VF_HAS_TRANSPOSE_BLOCK
FNN_INLINE void vf_transpose_block(real *out, size_t out_ld, const real *in, size_t ld)
{
    vf v[VF_LANES];
    for (size_t j = 0; j < VF_LANES; j++)
        v[j] = vf_load(in + j * ld);
    vf_transpose(v);
    for (size_t i = 0; i < VF_LANES; i++)
        vf_store(out + i * out_ld, v[i]);
}
#endif
#ifndef VF_HAS_JOIN
FNN_INLINE vf vf_join(const vf *rows)
{
    vf v[VF_LANES];
    for (size_t i = 0; i < VF_LANES; i++)
        v[i] = rows[i];
    vf_transpose(v);
    for (size_t half = VF_LANES / 2; half > 0; half /= 2)
        for (size_t i = 0; i < half; i++)
            v[i] = vf_add(v[i], v[i + half]);
    return v[0];
}
#endif

/* --- what follows from the primitives, alike on every instruction set --- */

FNN_INLINE vf vf_abs(vf x) { return vf_from_bits(vi_and(vf_bits(x), vi_set1(~FNN_SIGN_BIT))); }
FNN_INLINE vf vf_neg(vf x) { return vf_from_bits(vi_xor(vf_bits(x), vi_set1(FNN_SIGN_BIT))); }
FNN_INLINE vf vf_copysign(vf magnitude, vf sign)
{
    vi s = vi_and(vf_bits(sign), vi_set1(FNN_SIGN_BIT));
    return vf_from_bits(vi_or(vf_bits(vf_abs(magnitude)), s));
}
FNN_INLINE vm vf_lt(vf a, vf b) { return vf_gt(b, a); }
FNN_INLINE vm vf_le(vf a, vf b) { return vf_ge(b, a); }
/* state that sank below the smallest normal number becomes +0 (see docs/numerics.md, rule 6) */
FNN_INLINE vf vf_flush(vf x) { return vf_select(vf_lt(vf_abs(x), vf_set1(FNN_REAL_MIN)), vf_zero(), x); }

#endif
