/* sse2.h - any x86-64. No fused multiply-add: correct, but outside the bit contract. SSE2 alone (no SSE4.1 blends). */
#include <emmintrin.h>

#define FNN_MR 4
#define FNN_NV 2
#define FNN_REGISTERS 16

#if FNN_BITS == 32
#define VF_LANES 4
typedef __m128 vf;
typedef __m128 vm;
typedef __m128i vi;

FNN_INLINE vf vf_zero(void) { return _mm_setzero_ps(); }
FNN_INLINE vf vf_set1(real a) { return _mm_set1_ps(a); }
FNN_INLINE vf vf_load(const real *p) { return _mm_loadu_ps(p); }
FNN_INLINE void vf_store(real *p, vf v) { _mm_storeu_ps(p, v); }
FNN_INLINE vf vf_add(vf a, vf b) { return _mm_add_ps(a, b); }
FNN_INLINE vf vf_sub(vf a, vf b) { return _mm_sub_ps(a, b); }
FNN_INLINE vf vf_mul(vf a, vf b) { return _mm_mul_ps(a, b); }
FNN_INLINE vf vf_div(vf a, vf b) { return _mm_div_ps(a, b); }
FNN_INLINE vf vf_sqrt(vf a) { return _mm_sqrt_ps(a); }
FNN_INLINE vf vf_max(vf a, vf b) { return _mm_max_ps(a, b); }
FNN_INLINE vf vf_min(vf a, vf b) { return _mm_min_ps(a, b); }
FNN_INLINE vm vf_gt(vf a, vf b) { return _mm_cmpgt_ps(a, b); }
FNN_INLINE vm vf_ge(vf a, vf b) { return _mm_cmpge_ps(a, b); }
FNN_INLINE vm vf_eq(vf a, vf b) { return _mm_cmpeq_ps(a, b); }
FNN_INLINE vm vm_and(vm a, vm b) { return _mm_and_ps(a, b); }
FNN_INLINE vm vm_or(vm a, vm b) { return _mm_or_ps(a, b); }
FNN_INLINE vf vf_select(vm m, vf a, vf b) { return _mm_or_ps(_mm_and_ps(m, a), _mm_andnot_ps(m, b)); }
FNN_INLINE vi vf_bits(vf a) { return _mm_castps_si128(a); }
FNN_INLINE vf vf_from_bits(vi a) { return _mm_castsi128_ps(a); }
FNN_INLINE vi vi_set1(fnn_bits a) { return _mm_set1_epi32((int)a); }
FNN_INLINE vi vi_add(vi a, vi b) { return _mm_add_epi32(a, b); }
FNN_INLINE vi vi_sub(vi a, vi b) { return _mm_sub_epi32(a, b); }
FNN_INLINE vi vi_sll(vi a, int n) { return _mm_slli_epi32(a, n); }
FNN_INLINE vi vi_srl(vi a, int n) { return _mm_srli_epi32(a, n); }
FNN_INLINE real vf_sum_tree(vf a)
{
    vf h = _mm_add_ps(a, _mm_movehl_ps(a, a));
    return _mm_cvtss_f32(_mm_add_ss(h, _mm_shuffle_ps(h, h, 1)));
}
FNN_INLINE real vf_max_tree(vf a)
{
    vf h = _mm_max_ps(a, _mm_movehl_ps(a, a));
    return _mm_cvtss_f32(_mm_max_ss(h, _mm_shuffle_ps(h, h, 1)));
}
FNN_INLINE void vf_transpose(vf *v) { _MM_TRANSPOSE4_PS(v[0], v[1], v[2], v[3]); }
#else
#define VF_LANES 2
typedef __m128d vf;
typedef __m128d vm;
typedef __m128i vi;

FNN_INLINE vf vf_zero(void) { return _mm_setzero_pd(); }
FNN_INLINE vf vf_set1(real a) { return _mm_set1_pd(a); }
FNN_INLINE vf vf_load(const real *p) { return _mm_loadu_pd(p); }
FNN_INLINE void vf_store(real *p, vf v) { _mm_storeu_pd(p, v); }
FNN_INLINE vf vf_add(vf a, vf b) { return _mm_add_pd(a, b); }
FNN_INLINE vf vf_sub(vf a, vf b) { return _mm_sub_pd(a, b); }
FNN_INLINE vf vf_mul(vf a, vf b) { return _mm_mul_pd(a, b); }
FNN_INLINE vf vf_div(vf a, vf b) { return _mm_div_pd(a, b); }
FNN_INLINE vf vf_sqrt(vf a) { return _mm_sqrt_pd(a); }
FNN_INLINE vf vf_max(vf a, vf b) { return _mm_max_pd(a, b); }
FNN_INLINE vf vf_min(vf a, vf b) { return _mm_min_pd(a, b); }
FNN_INLINE vm vf_gt(vf a, vf b) { return _mm_cmpgt_pd(a, b); }
FNN_INLINE vm vf_ge(vf a, vf b) { return _mm_cmpge_pd(a, b); }
FNN_INLINE vm vf_eq(vf a, vf b) { return _mm_cmpeq_pd(a, b); }
FNN_INLINE vm vm_and(vm a, vm b) { return _mm_and_pd(a, b); }
FNN_INLINE vm vm_or(vm a, vm b) { return _mm_or_pd(a, b); }
FNN_INLINE vf vf_select(vm m, vf a, vf b) { return _mm_or_pd(_mm_and_pd(m, a), _mm_andnot_pd(m, b)); }
FNN_INLINE vi vf_bits(vf a) { return _mm_castpd_si128(a); }
FNN_INLINE vf vf_from_bits(vi a) { return _mm_castsi128_pd(a); }
FNN_INLINE vi vi_set1(fnn_bits a) { return _mm_set1_epi64x((long long)a); }
FNN_INLINE vi vi_add(vi a, vi b) { return _mm_add_epi64(a, b); }
FNN_INLINE vi vi_sub(vi a, vi b) { return _mm_sub_epi64(a, b); }
FNN_INLINE vi vi_sll(vi a, int n) { return _mm_slli_epi64(a, n); }
FNN_INLINE vi vi_srl(vi a, int n) { return _mm_srli_epi64(a, n); }
FNN_INLINE real vf_sum_tree(vf a) { return _mm_cvtsd_f64(_mm_add_sd(a, _mm_unpackhi_pd(a, a))); }
FNN_INLINE real vf_max_tree(vf a) { return _mm_cvtsd_f64(_mm_max_sd(a, _mm_unpackhi_pd(a, a))); }
FNN_INLINE void vf_transpose(vf *v)
{
    vf lo = _mm_unpacklo_pd(v[0], v[1]);
    v[1] = _mm_unpackhi_pd(v[0], v[1]);
    v[0] = lo;
}
#endif

FNN_INLINE vf vf_fma(vf a, vf b, vf c) { return vf_add(vf_mul(a, b), c); }
FNN_INLINE vf vf_fnma(vf a, vf b, vf c) { return vf_sub(c, vf_mul(a, b)); }
FNN_INLINE vi vi_and(vi a, vi b) { return _mm_and_si128(a, b); }
FNN_INLINE vi vi_or(vi a, vi b) { return _mm_or_si128(a, b); }
FNN_INLINE vi vi_xor(vi a, vi b) { return _mm_xor_si128(a, b); }

/* No masked memory operations before AVX: partial vectors go through the stack. */
FNN_INLINE vf vf_load_part(const real *p, size_t n)
{
    real t[VF_LANES] = {0};
    for (size_t i = 0; i < n; i++)
        t[i] = p[i];
    return vf_load(t);
}
FNN_INLINE void vf_store_part(real *p, vf v, size_t n)
{
    real t[VF_LANES];
    vf_store(t, v);
    for (size_t i = 0; i < n; i++)
        p[i] = t[i];
}

/* 64-bit lanes: the product of their low halves, their high halves moved down (kernels/dropout.h) */
#define VW_LANES 2
typedef __m128i vw;
FNN_INLINE vw vw_set1(uint64_t a) { return _mm_set1_epi64x((long long)a); }
FNN_INLINE vw vw_load(const uint64_t *p) { return _mm_loadu_si128((const __m128i *)p); }
FNN_INLINE void vw_store(uint64_t *p, vw v) { _mm_storeu_si128((__m128i *)p, v); }
FNN_INLINE vw vw_mul_low(vw a, vw b) { return _mm_mul_epu32(a, b); }
FNN_INLINE vw vw_xor(vw a, vw b) { return _mm_xor_si128(a, b); }
FNN_INLINE vw vw_high(vw a) { return _mm_srli_epi64(a, 32); }
