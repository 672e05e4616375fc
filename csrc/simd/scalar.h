/* scalar.h - one lane, with a fused multiply-add: the reference that every other table must equal to the bit. */
#define VF_LANES 1
#define FNN_MR 4
#define FNN_NV 4
#define FNN_REGISTERS 16

typedef real vf;
typedef fnn_bits vi;
typedef int vm;

FNN_INLINE vf vf_zero(void) { return 0; }
FNN_INLINE vf vf_set1(real a) { return a; }
FNN_INLINE vf vf_load(const real *p) { return *p; }
FNN_INLINE void vf_store(real *p, vf v) { *p = v; }
FNN_INLINE vf vf_load_part(const real *p, size_t n) { return n ? *p : (real)0; }
FNN_INLINE void vf_store_part(real *p, vf v, size_t n)
{
    if (n)
        *p = v;
}
FNN_INLINE vf vf_add(vf a, vf b) { return a + b; }
FNN_INLINE vf vf_sub(vf a, vf b) { return a - b; }
FNN_INLINE vf vf_mul(vf a, vf b) { return a * b; }
FNN_INLINE vf vf_div(vf a, vf b) { return a / b; }
#if FNN_BITS == 32
FNN_INLINE vf vf_sqrt(vf a) { return __builtin_sqrtf(a); }
FNN_INLINE vf vf_fma(vf a, vf b, vf c) { return __builtin_fmaf(a, b, c); }
#else
FNN_INLINE vf vf_sqrt(vf a) { return __builtin_sqrt(a); }
FNN_INLINE vf vf_fma(vf a, vf b, vf c) { return __builtin_fma(a, b, c); }
#endif
FNN_INLINE vf vf_fnma(vf a, vf b, vf c) { return vf_fma(-a, b, c); }
FNN_INLINE vf vf_max(vf a, vf b)
{
    FNN_UNKNOWN(a);
    return a > b ? a : b;
}
FNN_INLINE vf vf_min(vf a, vf b)
{
    FNN_UNKNOWN(a);
    return a < b ? a : b;
}
FNN_INLINE vm vf_gt(vf a, vf b) { return a > b; }
FNN_INLINE vm vf_ge(vf a, vf b) { return a >= b; }
FNN_INLINE vm vf_eq(vf a, vf b) { return a == b; }
FNN_INLINE vm vm_and(vm a, vm b) { return a & b; }
FNN_INLINE vm vm_or(vm a, vm b) { return a | b; }
FNN_INLINE vf vf_select(vm m, vf a, vf b) { return m ? a : b; }

FNN_INLINE vi vf_bits(vf a)
{
    vi b;
    __builtin_memcpy(&b, &a, sizeof b);
    return b;
}
FNN_INLINE vf vf_from_bits(vi a)
{
    vf b;
    __builtin_memcpy(&b, &a, sizeof b);
    return b;
}
FNN_INLINE vi vi_set1(fnn_bits a) { return a; }
FNN_INLINE vi vi_add(vi a, vi b) { return a + b; }
FNN_INLINE vi vi_sub(vi a, vi b) { return a - b; }
FNN_INLINE vi vi_and(vi a, vi b) { return a & b; }
FNN_INLINE vi vi_or(vi a, vi b) { return a | b; }
FNN_INLINE vi vi_xor(vi a, vi b) { return a ^ b; }
FNN_INLINE vi vi_sll(vi a, int n) { return a << n; }
FNN_INLINE vi vi_srl(vi a, int n) { return a >> n; }

FNN_INLINE real vf_sum_tree(vf a) { return a; }
FNN_INLINE real vf_max_tree(vf a) { return a; }
FNN_INLINE void vf_transpose(vf *v) { (void)v; }

/* 64-bit lanes: the product of their low halves, their high halves moved down (kernels/dropout.h) */
#define VW_LANES 1
typedef uint64_t vw;
FNN_INLINE vw vw_set1(uint64_t a) { return a; }
FNN_INLINE vw vw_load(const uint64_t *p) { return *p; }
FNN_INLINE void vw_store(uint64_t *p, vw v) { *p = v; }
FNN_INLINE vw vw_mul_low(vw a, vw b) { return (a & 0xffffffffU) * (b & 0xffffffffU); }
FNN_INLINE vw vw_xor(vw a, vw b) { return a ^ b; }
FNN_INLINE vw vw_high(vw a) { return a >> 32; }
