/* avx512_f64.c - lanes16.h in the place of csrc/tables/avx512_f64.c; with fused multiply-adds, and nothing of AVX-512. */
#include "target.h"

#if FNN_X86
FNN_TARGET_PUSH("fma")
#define FNN_BITS 64
#define FNN_SIMD_HEADER "lanes16.h"
#define FNN_ISA_NAME "avx512"
#define FNN_TABLE fnn_avx512_f64
#define FNN_HALF_TABLE fnn_avx2_f64
extern const fnn_kernels FNN_HALF_TABLE;
#include "kernels.inc"
FNN_TARGET_POP
#endif
