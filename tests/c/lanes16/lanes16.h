/* lanes16.h - the lanes of avx512 (16 float, 8 double) in C without an intrinsic: csrc/kernels/ takes the same path over
 * them as over simd/avx512.h, which they stand in for where a processor has no AVX-512. Every operation of simd.h is a
 * loop over the lanes, and shares nothing with the other headers. */
#define FNN_MR 8
#define FNN_NV 2
#define FNN_REGISTERS 32
#define VF_LANES (512 / FNN_BITS)
#define ALONE static __attribute__((noinline, unused)) /* inlined, sixteen lanes each, they take minutes to compile */
#define LANES for (int i = 0; i < VF_LANES; i++)

typedef struct {
    real lane[VF_LANES];
} vf;
typedef struct {
    fnn_bits lane[VF_LANES];
} vi;
typedef struct {
    char lane[VF_LANES];
} vm;

#define LANEWISE(type, name, parameters, value)                                                                        \
    ALONE type name parameters                                                                                         \
    {                                                                                                                  \
        type r;                                                                                                        \
        LANES r.lane[i] = value;                                                                                       \
        return r;                                                                                                      \
    }
#if FNN_BITS == 32
#define ROOT __builtin_sqrtf
#define FUSED __builtin_fmaf
#else
#define ROOT __builtin_sqrt
#define FUSED __builtin_fma
#endif
#define A a.lane[i]
#define B b.lane[i]
#define C c.lane[i]

LANEWISE(vf, vf_zero, (void), 0)
LANEWISE(vf, vf_set1, (real a), a)
LANEWISE(vf, vf_load, (const real *p), p[i])
LANEWISE(vf, vf_load_part, (const real *p, size_t n), (size_t)i < n ? p[i] : 0)
ALONE void vf_store_part(real *p, vf a, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = A;
}
ALONE void vf_store(real *p, vf a) { vf_store_part(p, a, VF_LANES); }
LANEWISE(vf, vf_add, (vf a, vf b), A + B)
LANEWISE(vf, vf_sub, (vf a, vf b), A - B)
LANEWISE(vf, vf_mul, (vf a, vf b), A *B)
LANEWISE(vf, vf_div, (vf a, vf b), A / B)
LANEWISE(vf, vf_sqrt, (vf a), ROOT(A))
LANEWISE(vf, vf_fma, (vf a, vf b, vf c), FUSED(A, B, C))
LANEWISE(vf, vf_fnma, (vf a, vf b, vf c), FUSED(-A, B, C))
LANEWISE(vf, vf_max, (vf a, vf b), A > B ? A : B)
LANEWISE(vf, vf_min, (vf a, vf b), A < B ? A : B)
LANEWISE(vm, vf_gt, (vf a, vf b), A > B)
LANEWISE(vm, vf_ge, (vf a, vf b), A >= B)
LANEWISE(vm, vf_eq, (vf a, vf b), A == B)
LANEWISE(vm, vm_and, (vm a, vm b), A &B)
LANEWISE(vm, vm_or, (vm a, vm b), A | B)
LANEWISE(vf, vf_select, (vm c, vf a, vf b), C ? A : B)

ALONE vi vf_bits(vf a)
{
    vi r;
    __builtin_memcpy(&r, &a, sizeof r);
    return r;
}
ALONE vf vf_from_bits(vi a)
{
    vf r;
    __builtin_memcpy(&r, &a, sizeof r);
    return r;
}
LANEWISE(vi, vi_set1, (fnn_bits a), a)
LANEWISE(vi, vi_add, (vi a, vi b), A + B)
LANEWISE(vi, vi_sub, (vi a, vi b), A - B)
LANEWISE(vi, vi_and, (vi a, vi b), A &B)
LANEWISE(vi, vi_or, (vi a, vi b), A | B)
LANEWISE(vi, vi_xor, (vi a, vi b), A ^ B)
LANEWISE(vi, vi_sll, (vi a, int n), A << n)
LANEWISE(vi, vi_srl, (vi a, int n), A >> n)

ALONE real vf_sum_tree(vf a)
{
    for (int half = VF_LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            A = A + a.lane[i + half];
    return a.lane[0];
}
ALONE real vf_max_tree(vf a)
{
    for (int half = VF_LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            A = A > a.lane[i + half] ? A : a.lane[i + half];
    return a.lane[0];
}
ALONE void vf_transpose(vf *v)
{
    for (int i = 0; i < VF_LANES; i++)
        for (int j = 0; j < i; j++) {
            const real kept = v[i].lane[j];
            v[i].lane[j] = v[j].lane[i];
            v[j].lane[i] = kept;
        }
}

#define VF_HAS_JOIN
ALONE vf vf_join(const vf *rows)
{
    vf r;
    LANES r.lane[i] = vf_sum_tree(rows[i]);
    return r;
}
#define VF_ZIP 4
ALONE void vf_zip(vf *x, const vf *col, size_t c)
{
    for (size_t q = 0; q < c * VF_LANES; q++)
        x[q / VF_LANES].lane[q % VF_LANES] = col[q % c].lane[q / c];
}
ALONE void vf_unzip(vf *col, const vf *x, size_t c)
{
    for (size_t q = 0; q < c * VF_LANES; q++)
        col[q % c].lane[q / c] = x[q / VF_LANES].lane[q % VF_LANES];
}

#define VW_LANES 8
typedef struct {
    uint64_t lane[VW_LANES];
} vw;
#define EACH_WIDE(name, parameters, value)                                                                             \
    ALONE vw name parameters                                                                                           \
    {                                                                                                                  \
        vw r;                                                                                                          \
        for (int i = 0; i < VW_LANES; i++)                                                                             \
            r.lane[i] = value;                                                                                         \
        return r;                                                                                                      \
    }
EACH_WIDE(vw_set1, (uint64_t a), a)
EACH_WIDE(vw_load, (const uint64_t *p), p[i])
ALONE void vw_store(uint64_t *p, vw a) { __builtin_memcpy(p, &a, sizeof a); }
EACH_WIDE(vw_mul_low, (vw a, vw b), (A & 0xffffffffU) * (B & 0xffffffffU))
EACH_WIDE(vw_xor, (vw a, vw b), A ^ B)
EACH_WIDE(vw_high, (vw a), A >> 32)

#undef A
#undef B
#undef C
#undef LANES
