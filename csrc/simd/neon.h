/* neon.h - 128-bit lanes of any 64-bit arm. */
#include <arm_neon.h>

/* 6 x 4 accumulators + 4 vectors of B = 28 of 32 registers */
#define FNN_MR 6
#define FNN_MR_1 12
#define FNN_NV 4
#define FNN_REGISTERS 32

#if FNN_BITS == 32
#define VF_LANES 4
typedef float32x4_t vf;
typedef uint32x4_t vm;
typedef uint32x4_t vi;

FNN_INLINE vf vf_zero(void) { return vdupq_n_f32(0); }
FNN_INLINE vf vf_set1(real a) { return vdupq_n_f32(a); }
FNN_INLINE vf vf_load(const real *p) { return vld1q_f32(p); }
FNN_INLINE void vf_store(real *p, vf v) { vst1q_f32(p, v); }
FNN_INLINE vf vf_add(vf a, vf b) { return vaddq_f32(a, b); }
FNN_INLINE vf vf_sub(vf a, vf b) { return vsubq_f32(a, b); }
FNN_INLINE vf vf_mul(vf a, vf b) { return vmulq_f32(a, b); }
FNN_INLINE vf vf_div(vf a, vf b) { return vdivq_f32(a, b); }
FNN_INLINE vf vf_sqrt(vf a) { return vsqrtq_f32(a); }
FNN_INLINE vf vf_fma(vf a, vf b, vf c) { return vfmaq_f32(c, a, b); }
FNN_INLINE vf vf_fnma(vf a, vf b, vf c) { return vfmsq_f32(c, a, b); }
FNN_INLINE vm vf_gt(vf a, vf b) { return vcgtq_f32(a, b); }
FNN_INLINE vm vf_ge(vf a, vf b) { return vcgeq_f32(a, b); }
FNN_INLINE vm vf_eq(vf a, vf b) { return vceqq_f32(a, b); }
FNN_INLINE vm vm_and(vm a, vm b) { return vandq_u32(a, b); }
FNN_INLINE vm vm_or(vm a, vm b) { return vorrq_u32(a, b); }
FNN_INLINE vf vf_select(vm m, vf a, vf b) { return vbslq_f32(m, a, b); }
FNN_INLINE vi vf_bits(vf a) { return vreinterpretq_u32_f32(a); }
FNN_INLINE vf vf_from_bits(vi a) { return vreinterpretq_f32_u32(a); }
FNN_INLINE vi vi_set1(fnn_bits a) { return vdupq_n_u32(a); }
FNN_INLINE vi vi_add(vi a, vi b) { return vaddq_u32(a, b); }
FNN_INLINE vi vi_sub(vi a, vi b) { return vsubq_u32(a, b); }
FNN_INLINE vi vi_and(vi a, vi b) { return vandq_u32(a, b); }
FNN_INLINE vi vi_or(vi a, vi b) { return vorrq_u32(a, b); }
FNN_INLINE vi vi_xor(vi a, vi b) { return veorq_u32(a, b); }
FNN_INLINE vi vi_sll(vi a, int n) { return vshlq_u32(a, vdupq_n_s32(n)); }
FNN_INLINE vi vi_srl(vi a, int n) { return vshlq_u32(a, vdupq_n_s32(-n)); }
/* vpadd joins neighbours, so the tree is spelled with halves */
FNN_INLINE real vf_sum_tree(vf a)
{
    float32x2_t h = vadd_f32(vget_low_f32(a), vget_high_f32(a));
    return vget_lane_f32(h, 0) + vget_lane_f32(h, 1);
}
FNN_INLINE real vf_max_tree(vf a) { return vmaxvq_f32(a); }
FNN_INLINE void vf_transpose(vf *v)
{
    float32x4x2_t a = vtrnq_f32(v[0], v[1]), b = vtrnq_f32(v[2], v[3]);
    v[0] = vcombine_f32(vget_low_f32(a.val[0]), vget_low_f32(b.val[0]));
    v[1] = vcombine_f32(vget_low_f32(a.val[1]), vget_low_f32(b.val[1]));
    v[2] = vcombine_f32(vget_high_f32(a.val[0]), vget_high_f32(b.val[0]));
    v[3] = vcombine_f32(vget_high_f32(a.val[1]), vget_high_f32(b.val[1]));
}
#else
#define VF_LANES 2
typedef float64x2_t vf;
typedef uint64x2_t vm;
typedef uint64x2_t vi;

FNN_INLINE vf vf_zero(void) { return vdupq_n_f64(0); }
FNN_INLINE vf vf_set1(real a) { return vdupq_n_f64(a); }
FNN_INLINE vf vf_load(const real *p) { return vld1q_f64(p); }
FNN_INLINE void vf_store(real *p, vf v) { vst1q_f64(p, v); }
FNN_INLINE vf vf_add(vf a, vf b) { return vaddq_f64(a, b); }
FNN_INLINE vf vf_sub(vf a, vf b) { return vsubq_f64(a, b); }
FNN_INLINE vf vf_mul(vf a, vf b) { return vmulq_f64(a, b); }
FNN_INLINE vf vf_div(vf a, vf b) { return vdivq_f64(a, b); }
FNN_INLINE vf vf_sqrt(vf a) { return vsqrtq_f64(a); }
FNN_INLINE vf vf_fma(vf a, vf b, vf c) { return vfmaq_f64(c, a, b); }
FNN_INLINE vf vf_fnma(vf a, vf b, vf c) { return vfmsq_f64(c, a, b); }
FNN_INLINE vm vf_gt(vf a, vf b) { return vcgtq_f64(a, b); }
FNN_INLINE vm vf_ge(vf a, vf b) { return vcgeq_f64(a, b); }
FNN_INLINE vm vf_eq(vf a, vf b) { return vceqq_f64(a, b); }
FNN_INLINE vm vm_and(vm a, vm b) { return vandq_u64(a, b); }
FNN_INLINE vm vm_or(vm a, vm b) { return vorrq_u64(a, b); }
FNN_INLINE vf vf_select(vm m, vf a, vf b) { return vbslq_f64(m, a, b); }
FNN_INLINE vi vf_bits(vf a) { return vreinterpretq_u64_f64(a); }
FNN_INLINE vf vf_from_bits(vi a) { return vreinterpretq_f64_u64(a); }
FNN_INLINE vi vi_set1(fnn_bits a) { return vdupq_n_u64(a); }
FNN_INLINE vi vi_add(vi a, vi b) { return vaddq_u64(a, b); }
FNN_INLINE vi vi_sub(vi a, vi b) { return vsubq_u64(a, b); }
FNN_INLINE vi vi_and(vi a, vi b) { return vandq_u64(a, b); }
FNN_INLINE vi vi_or(vi a, vi b) { return vorrq_u64(a, b); }
FNN_INLINE vi vi_xor(vi a, vi b) { return veorq_u64(a, b); }
FNN_INLINE vi vi_sll(vi a, int n) { return vshlq_u64(a, vdupq_n_s64(n)); }
FNN_INLINE vi vi_srl(vi a, int n) { return vshlq_u64(a, vdupq_n_s64(-n)); }
FNN_INLINE real vf_sum_tree(vf a) { return vgetq_lane_f64(a, 0) + vgetq_lane_f64(a, 1); }
FNN_INLINE real vf_max_tree(vf a) { return vmaxvq_f64(a); }
FNN_INLINE void vf_transpose(vf *v)
{
    vf lo = vtrn1q_f64(v[0], v[1]);
    v[1] = vtrn2q_f64(v[0], v[1]);
    v[0] = lo;
}
#endif

FNN_INLINE vf vf_max(vf a, vf b)
{
    FNN_UNKNOWN(a);
    return vf_select(vf_gt(a, b), a, b);
}
FNN_INLINE vf vf_min(vf a, vf b)
{
    FNN_UNKNOWN(a);
    return vf_select(vf_gt(b, a), a, b);
}
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
typedef uint64x2_t vw;
FNN_INLINE vw vw_set1(uint64_t a) { return vdupq_n_u64(a); }
FNN_INLINE vw vw_load(const uint64_t *p) { return vld1q_u64(p); }
FNN_INLINE void vw_store(uint64_t *p, vw v) { vst1q_u64(p, v); }
FNN_INLINE vw vw_mul_low(vw a, vw b) { return vmull_u32(vmovn_u64(a), vmovn_u64(b)); }
FNN_INLINE vw vw_xor(vw a, vw b) { return veorq_u64(a, b); }
FNN_INLINE vw vw_high(vw a) { return vshrq_n_u64(a, 32); }
