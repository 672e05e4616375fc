/* avx2_f64.c - the avx2 table for double. */
#include "target.h"

#if FNN_X86
FNN_TARGET_PUSH("avx2,fma")
#define FNN_BITS 64
#define FNN_SIMD_HEADER "simd/avx2.h"
#define FNN_ISA_NAME "avx2"
#define FNN_TABLE fnn_avx2_f64
#include "kernels.inc"
FNN_TARGET_POP
#endif
