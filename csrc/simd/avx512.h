/* avx512.h - 512-bit lanes, AVX-512 F, DQ, BW and VL: x86-64 servers since Skylake-SP (2017), Zen 4. */
#include <immintrin.h>

/* 8 x 2 accumulators + 2 vectors of B: enough chains for two units of latency 4; the FMA broadcasts A */
#define FNN_MR 8
#define FNN_NV 2
#define FNN_REGISTERS 32

#if FNN_BITS == 32
#define VF_LANES 16
typedef __m512 vf;
typedef __mmask16 vm;
typedef __m512i vi;
#define FNN_FIRST_LANES(n) ((__mmask16)((1U << (n)) - 1U))

FNN_INLINE vf vf_zero(void) { return _mm512_setzero_ps(); }
FNN_INLINE vf vf_set1(real a) { return _mm512_set1_ps(a); }
FNN_INLINE vf vf_load(const real *p) { return _mm512_loadu_ps(p); }
FNN_INLINE void vf_store(real *p, vf v) { _mm512_storeu_ps(p, v); }
FNN_INLINE vf vf_load_part(const real *p, size_t n) { return _mm512_maskz_loadu_ps(FNN_FIRST_LANES(n), p); }
FNN_INLINE void vf_store_part(real *p, vf v, size_t n) { _mm512_mask_storeu_ps(p, FNN_FIRST_LANES(n), v); }
FNN_INLINE vf vf_add(vf a, vf b) { return _mm512_add_ps(a, b); }
FNN_INLINE vf vf_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
FNN_INLINE vf vf_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
FNN_INLINE vf vf_div(vf a, vf b) { return _mm512_div_ps(a, b); }
FNN_INLINE vf vf_sqrt(vf a) { return _mm512_sqrt_ps(a); }
FNN_INLINE vf vf_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
FNN_INLINE vf vf_fnma(vf a, vf b, vf c) { return _mm512_fnmadd_ps(a, b, c); }
FNN_INLINE vf vf_max(vf a, vf b) { return _mm512_max_ps(a, b); }
FNN_INLINE vf vf_min(vf a, vf b) { return _mm512_min_ps(a, b); }
FNN_INLINE vm vf_gt(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }
FNN_INLINE vm vf_ge(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ); }
FNN_INLINE vm vf_eq(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
FNN_INLINE vf vf_select(vm m, vf a, vf b) { return _mm512_mask_blend_ps(m, b, a); }
FNN_INLINE vi vf_bits(vf a) { return _mm512_castps_si512(a); }
FNN_INLINE vf vf_from_bits(vi a) { return _mm512_castsi512_ps(a); }
FNN_INLINE vi vi_set1(fnn_bits a) { return _mm512_set1_epi32((int)a); }
FNN_INLINE vi vi_add(vi a, vi b) { return _mm512_add_epi32(a, b); }
FNN_INLINE vi vi_sub(vi a, vi b) { return _mm512_sub_epi32(a, b); }
FNN_INLINE vi vi_sll(vi a, unsigned n) { return _mm512_slli_epi32(a, n); }
FNN_INLINE vi vi_srl(vi a, unsigned n) { return _mm512_srli_epi32(a, n); }
FNN_INLINE real vf_sum_tree(vf a)
{
    __m256 q = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 h = _mm_add_ps(_mm256_castps256_ps128(q), _mm256_extractf128_ps(q, 1));
    h = _mm_add_ps(h, _mm_movehl_ps(h, h));
    return _mm_cvtss_f32(_mm_add_ss(h, _mm_shuffle_ps(h, h, 1)));
}
FNN_INLINE real vf_max_tree(vf a)
{
    __m256 q = _mm256_max_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 h = _mm_max_ps(_mm256_castps256_ps128(q), _mm256_extractf128_ps(q, 1));
    h = _mm_max_ps(h, _mm_movehl_ps(h, h));
    return _mm_cvtss_f32(_mm_max_ss(h, _mm_shuffle_ps(h, h, 1)));
}
#define VF_HAS_LIST
FNN_INLINE size_t vf_list_nonzeros(uint32_t *at, vf x, uint32_t first)
{
    const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __mmask16 live = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_NEQ_UQ);
    const __m512i places = _mm512_add_epi32(lanes, _mm512_set1_epi32((int)first));
    _mm512_storeu_si512(at, _mm512_maskz_compress_epi32(live, places)); /* Zen's compress to memory takes 100 cycles */
    return (size_t)__builtin_popcount(live);
}
FNN_INLINE vf fnn_pick(vf a, vi index, vf b) { return _mm512_permutex2var_ps(a, index, b); }
FNN_INLINE void vf_transpose(vf *v)
{
    vf t[16], u[16];
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_ps(v[i], v[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(v[i], v[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) { /* u[i + j]: column j of each 4 x 4 block of rows i .. i + 3 */
        u[i] = _mm512_shuffle_ps(t[i], t[i + 2], 0x44);
        u[i + 1] = _mm512_shuffle_ps(t[i], t[i + 2], 0xee);
        u[i + 2] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        u[i + 3] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    for (int j = 0; j < 4; j++) { /* then a transpose of 128-bit blocks */
        vf a = _mm512_shuffle_f32x4(u[j], u[4 + j], 0x44), b = _mm512_shuffle_f32x4(u[j], u[4 + j], 0xee);
        vf c = _mm512_shuffle_f32x4(u[8 + j], u[12 + j], 0x44), d = _mm512_shuffle_f32x4(u[8 + j], u[12 + j], 0xee);
        v[j] = _mm512_shuffle_f32x4(a, c, 0x88);
        v[4 + j] = _mm512_shuffle_f32x4(a, c, 0xdd);
        v[8 + j] = _mm512_shuffle_f32x4(b, d, 0x88);
        v[12 + j] = _mm512_shuffle_f32x4(b, d, 0xdd);
    }
}
/* blocks of four change places as they are loaded, for an insertion from memory needs no shuffle unit */
#define VF_HAS_TRANSPOSE_BLOCK
FNN_INLINE __m256 fnn_two_blocks(const real *a, const real *b)
{
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(a)), _mm_loadu_ps(b), 1);
}
FNN_INLINE void vf_transpose_block(real *out, size_t out_ld, const real *in, size_t ld)
{
    for (size_t i = 0; i < 16; i += 4) {
        vf row[4]; /* columns i .. i + 3 of rows r, r + 4, r + 8, r + 12 */
        for (size_t r = 0; r < 4; r++) {
            const real *at = in + r * ld + i;
            row[r] = _mm512_insertf32x8(_mm512_castps256_ps512(fnn_two_blocks(at, at + 4 * ld)),
                                        fnn_two_blocks(at + 8 * ld, at + 12 * ld), 1);
        }
        vf a = _mm512_unpacklo_ps(row[0], row[1]), b = _mm512_unpackhi_ps(row[0], row[1]);
        vf c = _mm512_unpacklo_ps(row[2], row[3]), d = _mm512_unpackhi_ps(row[2], row[3]);
        vf_store(out + i * out_ld, _mm512_shuffle_ps(a, c, 0x44));
        vf_store(out + (i + 1) * out_ld, _mm512_shuffle_ps(a, c, 0xee));
        vf_store(out + (i + 2) * out_ld, _mm512_shuffle_ps(b, d, 0x44));
        vf_store(out + (i + 3) * out_ld, _mm512_shuffle_ps(b, d, 0xee));
    }
}
/* the tree of vf_sum_tree, two vectors to one at each level; rows go in so that lane r of the result is row r */
#define VF_HAS_JOIN
FNN_INLINE vf vf_join(const vf *v)
{
    vf s[8], t[4], u[2];
    for (int i = 0; i < 8; i++) {
        vf a = v[i / 2 + i % 2 * 8], b = v[i / 2 + i % 2 * 8 + 4]; /* rows g + 0, 4 or g + 8, 12 of group g */
        s[i] = _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
    }
    for (int i = 0; i < 4; i++)
        t[i] = _mm512_add_ps(_mm512_shuffle_f32x4(s[2 * i], s[2 * i + 1], 0x88),
                             _mm512_shuffle_f32x4(s[2 * i], s[2 * i + 1], 0xdd));
    for (int i = 0; i < 2; i++)
        u[i] = _mm512_add_ps(_mm512_shuffle_ps(t[2 * i], t[2 * i + 1], 0x44),
                             _mm512_shuffle_ps(t[2 * i], t[2 * i + 1], 0xee));
    return _mm512_add_ps(_mm512_shuffle_ps(u[0], u[1], 0x88), _mm512_shuffle_ps(u[0], u[1], 0xdd));
}
#else
#define VF_LANES 8
typedef __m512d vf;
typedef __mmask8 vm;
typedef __m512i vi;
#define FNN_FIRST_LANES(n) ((__mmask8)((1U << (n)) - 1U))

FNN_INLINE vf vf_zero(void) { return _mm512_setzero_pd(); }
FNN_INLINE vf vf_set1(real a) { return _mm512_set1_pd(a); }
FNN_INLINE vf vf_load(const real *p) { return _mm512_loadu_pd(p); }
FNN_INLINE void vf_store(real *p, vf v) { _mm512_storeu_pd(p, v); }
FNN_INLINE vf vf_load_part(const real *p, size_t n) { return _mm512_maskz_loadu_pd(FNN_FIRST_LANES(n), p); }
FNN_INLINE void vf_store_part(real *p, vf v, size_t n) { _mm512_mask_storeu_pd(p, FNN_FIRST_LANES(n), v); }
FNN_INLINE vf vf_add(vf a, vf b) { return _mm512_add_pd(a, b); }
FNN_INLINE vf vf_sub(vf a, vf b) { return _mm512_sub_pd(a, b); }
FNN_INLINE vf vf_mul(vf a, vf b) { return _mm512_mul_pd(a, b); }
FNN_INLINE vf vf_div(vf a, vf b) { return _mm512_div_pd(a, b); }
FNN_INLINE vf vf_sqrt(vf a) { return _mm512_sqrt_pd(a); }
FNN_INLINE vf vf_fma(vf a, vf b, vf c) { return _mm512_fmadd_pd(a, b, c); }
FNN_INLINE vf vf_fnma(vf a, vf b, vf c) { return _mm512_fnmadd_pd(a, b, c); }
FNN_INLINE vf vf_max(vf a, vf b) { return _mm512_max_pd(a, b); }
FNN_INLINE vf vf_min(vf a, vf b) { return _mm512_min_pd(a, b); }
FNN_INLINE vm vf_gt(vf a, vf b) { return _mm512_cmp_pd_mask(a, b, _CMP_GT_OQ); }
FNN_INLINE vm vf_ge(vf a, vf b) { return _mm512_cmp_pd_mask(a, b, _CMP_GE_OQ); }
FNN_INLINE vm vf_eq(vf a, vf b) { return _mm512_cmp_pd_mask(a, b, _CMP_EQ_OQ); }
FNN_INLINE vf vf_select(vm m, vf a, vf b) { return _mm512_mask_blend_pd(m, b, a); }
FNN_INLINE vi vf_bits(vf a) { return _mm512_castpd_si512(a); }
FNN_INLINE vf vf_from_bits(vi a) { return _mm512_castsi512_pd(a); }
FNN_INLINE vi vi_set1(fnn_bits a) { return _mm512_set1_epi64((long long)a); }
FNN_INLINE vi vi_add(vi a, vi b) { return _mm512_add_epi64(a, b); }
FNN_INLINE vi vi_sub(vi a, vi b) { return _mm512_sub_epi64(a, b); }
FNN_INLINE vi vi_sll(vi a, unsigned n) { return _mm512_slli_epi64(a, n); }
FNN_INLINE vi vi_srl(vi a, unsigned n) { return _mm512_srli_epi64(a, n); }
FNN_INLINE real vf_sum_tree(vf a)
{
    __m256d q = _mm256_add_pd(_mm512_castpd512_pd256(a), _mm512_extractf64x4_pd(a, 1));
    __m128d h = _mm_add_pd(_mm256_castpd256_pd128(q), _mm256_extractf128_pd(q, 1));
    return _mm_cvtsd_f64(_mm_add_sd(h, _mm_unpackhi_pd(h, h)));
}
FNN_INLINE real vf_max_tree(vf a)
{
    __m256d q = _mm256_max_pd(_mm512_castpd512_pd256(a), _mm512_extractf64x4_pd(a, 1));
    __m128d h = _mm_max_pd(_mm256_castpd256_pd128(q), _mm256_extractf128_pd(q, 1));
    return _mm_cvtsd_f64(_mm_max_sd(h, _mm_unpackhi_pd(h, h)));
}
#define VF_HAS_LIST
FNN_INLINE size_t vf_list_nonzeros(uint32_t *at, vf x, uint32_t first)
{
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __mmask8 live = _mm512_cmp_pd_mask(x, _mm512_setzero_pd(), _CMP_NEQ_UQ);
    const __m256i places = _mm256_add_epi32(lanes, _mm256_set1_epi32((int)first));
    _mm256_storeu_si256((__m256i *)(void *)at, _mm256_maskz_compress_epi32(live, places));
    return (size_t)__builtin_popcount(live);
}
FNN_INLINE vf fnn_pick(vf a, vi index, vf b) { return _mm512_permutex2var_pd(a, index, b); }
FNN_INLINE void vf_transpose(vf *v)
{
    vf t[8];
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm512_unpacklo_pd(v[i], v[i + 1]);
        t[i + 1] = _mm512_unpackhi_pd(v[i], v[i + 1]);
    }
    for (int j = 0; j < 2; j++) { /* then a transpose of 128-bit blocks */
        vf a = _mm512_shuffle_f64x2(t[j], t[2 + j], 0x44), b = _mm512_shuffle_f64x2(t[j], t[2 + j], 0xee);
        vf c = _mm512_shuffle_f64x2(t[4 + j], t[6 + j], 0x44), d = _mm512_shuffle_f64x2(t[4 + j], t[6 + j], 0xee);
        v[j] = _mm512_shuffle_f64x2(a, c, 0x88);
        v[2 + j] = _mm512_shuffle_f64x2(a, c, 0xdd);
        v[4 + j] = _mm512_shuffle_f64x2(b, d, 0x88);
        v[6 + j] = _mm512_shuffle_f64x2(b, d, 0xdd);
    }
}
/* as for float, in blocks of two */
#define VF_HAS_TRANSPOSE_BLOCK
FNN_INLINE __m256d fnn_two_blocks(const real *a, const real *b)
{
    return _mm256_insertf128_pd(_mm256_castpd128_pd256(_mm_loadu_pd(a)), _mm_loadu_pd(b), 1);
}
FNN_INLINE void vf_transpose_block(real *out, size_t out_ld, const real *in, size_t ld)
{
    for (size_t i = 0; i < 8; i += 2) {
        vf row[2]; /* columns i, i + 1 of rows r, r + 2, r + 4, r + 6 */
        for (size_t r = 0; r < 2; r++) {
            const real *at = in + r * ld + i;
            row[r] = _mm512_insertf64x4(_mm512_castpd256_pd512(fnn_two_blocks(at, at + 2 * ld)),
                                        fnn_two_blocks(at + 4 * ld, at + 6 * ld), 1);
        }
        vf_store(out + i * out_ld, _mm512_unpacklo_pd(row[0], row[1]));
        vf_store(out + (i + 1) * out_ld, _mm512_unpackhi_pd(row[0], row[1]));
    }
}
#endif

/* x stays in a register: else the compiler may read it from memory again for each of its uses */
#define VF_HOLD(x) __asm__("" : "+v"(x))

FNN_INLINE vm vm_and(vm a, vm b) { return (vm)(a & b); }
FNN_INLINE vm vm_or(vm a, vm b) { return (vm)(a | b); }
FNN_INLINE vi vi_and(vi a, vi b) { return _mm512_and_si512(a, b); }
FNN_INLINE vi vi_or(vi a, vi b) { return _mm512_or_si512(a, b); }
FNN_INLINE vi vi_xor(vi a, vi b) { return _mm512_xor_si512(a, b); }

/* 64-bit lanes: the product of their low halves, their high halves moved down (kernels/dropout.h) */
#define VW_LANES 8
typedef __m512i vw;
FNN_INLINE vw vw_set1(uint64_t a) { return _mm512_set1_epi64((long long)a); }
FNN_INLINE vw vw_load(const uint64_t *p) { return _mm512_loadu_si512(p); }
FNN_INLINE void vw_store(uint64_t *p, vw v) { _mm512_storeu_si512(p, v); }
FNN_INLINE vw vw_mul_low(vw a, vw b) { return _mm512_mul_epu32(a, b); }
FNN_INLINE vw vw_xor(vw a, vw b) { return _mm512_xor_si512(a, b); }
FNN_INLINE vw vw_high(vw a) { return _mm512_srli_epi64(a, 32); }

#include "avx512_zip.h"
