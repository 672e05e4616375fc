/* avx512_f64.c - the avx512 table for double. */
#include "target.h"

#if FNN_X86
FNN_TARGET_PUSH("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")
#define FNN_BITS 64
#define FNN_SIMD_HEADER "simd/avx512.h"
#define FNN_ISA_NAME "avx512"
#define FNN_TABLE fnn_avx512_f64
#define FNN_HALF_TABLE fnn_avx2_f64
extern const fnn_kernels FNN_HALF_TABLE;
#include "kernels.inc"
FNN_TARGET_POP
#endif
