/* scalar_f64.c - the scalar table for double. */
#include "target.h"

#if FNN_X86
FNN_TARGET_PUSH("fma")
#endif
#define FNN_BITS 64
#define FNN_SIMD_HEADER "simd/scalar.h"
#define FNN_ISA_NAME "scalar"
#define FNN_TABLE fnn_scalar_f64
#include "kernels.inc"
#if FNN_X86
FNN_TARGET_POP
#endif
