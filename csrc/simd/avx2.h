/* avx2.h - 256-bit lanes with FMA3: x86-64 since Haswell (2013) and Zen. */
#include <immintrin.h>

/* 6 x 2 accumulators + 2 vectors of B + 1 broadcast = 15 of 16 registers */
#define FNN_MR 6
#define FNN_MR_1 12
#define FNN_NV 2
#define FNN_REGISTERS 16

/* a window into this gives the mask of the first n lanes */
static const int32_t fnn_mask_window[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};

#if FNN_BITS == 32
#define VF_LANES 8
typedef __m256 vf;
typedef __m256 vm;
typedef __m256i vi;

FNN_INLINE vf vf_zero(void) { return _mm256_setzero_ps(); }
FNN_INLINE vf vf_set1(real a) { return _mm256_set1_ps(a); }
FNN_INLINE vf vf_load(const real *p) { return _mm256_loadu_ps(p); }
FNN_INLINE void vf_store(real *p, vf v) { _mm256_storeu_ps(p, v); }
FNN_INLINE vf vf_load_part(const real *p, size_t n)
{
    return _mm256_maskload_ps(p, _mm256_loadu_si256((const __m256i *)(fnn_mask_window + 8 - n)));
}
/* by halves: AMD's vmaskmov stores take tens of cycles */
FNN_INLINE void vf_store_part(real *p, vf v, size_t n)
{
    if (n >= 8) {
        vf_store(p, v);
        return;
    }
    __m128 h = _mm256_castps256_ps128(v);
    if (n & 4) {
        _mm_storeu_ps(p, h);
        h = _mm256_extractf128_ps(v, 1);
        p += 4;
    }
    if (n & 2) {
        _mm_storel_pi((__m64 *)p, h);
        h = _mm_movehl_ps(h, h);
        p += 2;
    }
    if (n & 1)
        _mm_store_ss(p, h);
}
FNN_INLINE vf vf_add(vf a, vf b) { return _mm256_add_ps(a, b); }
FNN_INLINE vf vf_sub(vf a, vf b) { return _mm256_sub_ps(a, b); }
FNN_INLINE vf vf_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
FNN_INLINE vf vf_div(vf a, vf b) { return _mm256_div_ps(a, b); }
FNN_INLINE vf vf_sqrt(vf a) { return _mm256_sqrt_ps(a); }
FNN_INLINE vf vf_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
FNN_INLINE vf vf_fnma(vf a, vf b, vf c) { return _mm256_fnmadd_ps(a, b, c); }
FNN_INLINE vf vf_max(vf a, vf b) { return _mm256_max_ps(a, b); }
FNN_INLINE vf vf_min(vf a, vf b) { return _mm256_min_ps(a, b); }
FNN_INLINE vm vf_gt(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_GT_OQ); }
FNN_INLINE vm vf_ge(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_GE_OQ); }
FNN_INLINE vm vf_eq(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_EQ_OQ); }
FNN_INLINE vm vm_and(vm a, vm b) { return _mm256_and_ps(a, b); }
FNN_INLINE vm vm_or(vm a, vm b) { return _mm256_or_ps(a, b); }
FNN_INLINE vf vf_select(vm m, vf a, vf b) { return _mm256_blendv_ps(b, a, m); }
FNN_INLINE vi vf_bits(vf a) { return _mm256_castps_si256(a); }
FNN_INLINE vf vf_from_bits(vi a) { return _mm256_castsi256_ps(a); }
FNN_INLINE vi vi_set1(fnn_bits a) { return _mm256_set1_epi32((int)a); }
FNN_INLINE vi vi_add(vi a, vi b) { return _mm256_add_epi32(a, b); }
FNN_INLINE vi vi_sub(vi a, vi b) { return _mm256_sub_epi32(a, b); }
FNN_INLINE vi vi_sll(vi a, int n) { return _mm256_slli_epi32(a, n); }
FNN_INLINE vi vi_srl(vi a, int n) { return _mm256_srli_epi32(a, n); }
FNN_INLINE real vf_sum_tree(vf a)
{
    __m128 h = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    h = _mm_add_ps(h, _mm_movehl_ps(h, h));
    return _mm_cvtss_f32(_mm_add_ss(h, _mm_shuffle_ps(h, h, 1)));
}
FNN_INLINE real vf_max_tree(vf a)
{
    __m128 h = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    h = _mm_max_ps(h, _mm_movehl_ps(h, h));
    return _mm_cvtss_f32(_mm_max_ss(h, _mm_shuffle_ps(h, h, 1)));
}
FNN_INLINE void vf_transpose(vf *v)
{
    vf t[8], u[8];
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(v[i], v[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(v[i], v[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        u[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        u[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
        u[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        u[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    for (int i = 0; i < 4; i++) {
        v[i] = _mm256_permute2f128_ps(u[i], u[i + 4], 0x20);
        v[i + 4] = _mm256_permute2f128_ps(u[i], u[i + 4], 0x31);
    }
}
/* blocks of four change places as they are loaded, for an insertion from memory needs no shuffle unit */
#define VF_HAS_TRANSPOSE_BLOCK
FNN_INLINE void vf_transpose_block(real *out, size_t out_ld, const real *in, size_t ld)
{
    for (size_t i = 0; i < 8; i += 4) {
        vf row[4]; /* columns i .. i + 3 of rows r, r + 4 */
        for (size_t r = 0; r < 4; r++) {
            const real *at = in + r * ld + i;
            row[r] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(at)), _mm_loadu_ps(at + 4 * ld), 1);
        }
        vf a = _mm256_unpacklo_ps(row[0], row[1]), b = _mm256_unpackhi_ps(row[0], row[1]);
        vf c = _mm256_unpacklo_ps(row[2], row[3]), d = _mm256_unpackhi_ps(row[2], row[3]);
        vf_store(out + i * out_ld, _mm256_shuffle_ps(a, c, 0x44));
        vf_store(out + (i + 1) * out_ld, _mm256_shuffle_ps(a, c, 0xee));
        vf_store(out + (i + 2) * out_ld, _mm256_shuffle_ps(b, d, 0x44));
        vf_store(out + (i + 3) * out_ld, _mm256_shuffle_ps(b, d, 0xee));
    }
}
#else
#define VF_LANES 4
typedef __m256d vf;
typedef __m256d vm;
typedef __m256i vi;

FNN_INLINE vf vf_zero(void) { return _mm256_setzero_pd(); }
FNN_INLINE vf vf_set1(real a) { return _mm256_set1_pd(a); }
FNN_INLINE vf vf_load(const real *p) { return _mm256_loadu_pd(p); }
FNN_INLINE void vf_store(real *p, vf v) { _mm256_storeu_pd(p, v); }
FNN_INLINE vf vf_load_part(const real *p, size_t n)
{
    return _mm256_maskload_pd(p, _mm256_loadu_si256((const __m256i *)(fnn_mask_window + 8 - 2 * n)));
}
FNN_INLINE void vf_store_part(real *p, vf v, size_t n)
{
    if (n >= 4) {
        vf_store(p, v);
        return;
    }
    __m128d h = _mm256_castpd256_pd128(v);
    if (n & 2) {
        _mm_storeu_pd(p, h);
        h = _mm256_extractf128_pd(v, 1);
        p += 2;
    }
    if (n & 1)
        _mm_store_sd(p, h);
}
FNN_INLINE vf vf_add(vf a, vf b) { return _mm256_add_pd(a, b); }
FNN_INLINE vf vf_sub(vf a, vf b) { return _mm256_sub_pd(a, b); }
FNN_INLINE vf vf_mul(vf a, vf b) { return _mm256_mul_pd(a, b); }
FNN_INLINE vf vf_div(vf a, vf b) { return _mm256_div_pd(a, b); }
FNN_INLINE vf vf_sqrt(vf a) { return _mm256_sqrt_pd(a); }
FNN_INLINE vf vf_fma(vf a, vf b, vf c) { return _mm256_fmadd_pd(a, b, c); }
FNN_INLINE vf vf_fnma(vf a, vf b, vf c) { return _mm256_fnmadd_pd(a, b, c); }
FNN_INLINE vf vf_max(vf a, vf b) { return _mm256_max_pd(a, b); }
FNN_INLINE vf vf_min(vf a, vf b) { return _mm256_min_pd(a, b); }
FNN_INLINE vm vf_gt(vf a, vf b) { return _mm256_cmp_pd(a, b, _CMP_GT_OQ); }
FNN_INLINE vm vf_ge(vf a, vf b) { return _mm256_cmp_pd(a, b, _CMP_GE_OQ); }
FNN_INLINE vm vf_eq(vf a, vf b) { return _mm256_cmp_pd(a, b, _CMP_EQ_OQ); }
FNN_INLINE vm vm_and(vm a, vm b) { return _mm256_and_pd(a, b); }
FNN_INLINE vm vm_or(vm a, vm b) { return _mm256_or_pd(a, b); }
FNN_INLINE vf vf_select(vm m, vf a, vf b) { return _mm256_blendv_pd(b, a, m); }
FNN_INLINE vi vf_bits(vf a) { return _mm256_castpd_si256(a); }
FNN_INLINE vf vf_from_bits(vi a) { return _mm256_castsi256_pd(a); }
FNN_INLINE vi vi_set1(fnn_bits a) { return _mm256_set1_epi64x((long long)a); }
FNN_INLINE vi vi_add(vi a, vi b) { return _mm256_add_epi64(a, b); }
FNN_INLINE vi vi_sub(vi a, vi b) { return _mm256_sub_epi64(a, b); }
FNN_INLINE vi vi_sll(vi a, int n) { return _mm256_slli_epi64(a, n); }
FNN_INLINE vi vi_srl(vi a, int n) { return _mm256_srli_epi64(a, n); }
FNN_INLINE real vf_sum_tree(vf a)
{
    __m128d h = _mm_add_pd(_mm256_castpd256_pd128(a), _mm256_extractf128_pd(a, 1));
    return _mm_cvtsd_f64(_mm_add_sd(h, _mm_unpackhi_pd(h, h)));
}
FNN_INLINE real vf_max_tree(vf a)
{
    __m128d h = _mm_max_pd(_mm256_castpd256_pd128(a), _mm256_extractf128_pd(a, 1));
    return _mm_cvtsd_f64(_mm_max_sd(h, _mm_unpackhi_pd(h, h)));
}
FNN_INLINE void vf_transpose(vf *v)
{
    vf a = _mm256_unpacklo_pd(v[0], v[1]), b = _mm256_unpackhi_pd(v[0], v[1]);
    vf c = _mm256_unpacklo_pd(v[2], v[3]), d = _mm256_unpackhi_pd(v[2], v[3]);
    v[0] = _mm256_permute2f128_pd(a, c, 0x20);
    v[1] = _mm256_permute2f128_pd(b, d, 0x20);
    v[2] = _mm256_permute2f128_pd(a, c, 0x31);
    v[3] = _mm256_permute2f128_pd(b, d, 0x31);
}
#endif

FNN_INLINE vi vi_and(vi a, vi b) { return _mm256_and_si256(a, b); }
FNN_INLINE vi vi_or(vi a, vi b) { return _mm256_or_si256(a, b); }
FNN_INLINE vi vi_xor(vi a, vi b) { return _mm256_xor_si256(a, b); }

/* 64-bit lanes: the product of their low halves, their high halves moved down (kernels/dropout.h) */
#define VW_LANES 4
typedef __m256i vw;
FNN_INLINE vw vw_set1(uint64_t a) { return _mm256_set1_epi64x((long long)a); }
FNN_INLINE vw vw_load(const uint64_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
FNN_INLINE void vw_store(uint64_t *p, vw v) { _mm256_storeu_si256((__m256i *)p, v); }
FNN_INLINE vw vw_mul_low(vw a, vw b) { return _mm256_mul_epu32(a, b); }
FNN_INLINE vw vw_xor(vw a, vw b) { return _mm256_xor_si256(a, b); }
FNN_INLINE vw vw_high(vw a) { return _mm256_srli_epi64(a, 32); }
