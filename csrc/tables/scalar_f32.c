/* scalar_f32.c - the scalar table for float. */
#include "target.h"

#if FNN_X86
FNN_TARGET_PUSH("fma")
#endif
#define FNN_BITS 32
#define FNN_SIMD_HEADER "simd/scalar.h"
#define FNN_ISA_NAME "scalar"
#define FNN_TABLE fnn_scalar_f32
#include "kernels.inc"
#if FNN_X86
FNN_TARGET_POP
#endif
