/* neon_f32.c - the neon table for float. */
#include "target.h"

#if FNN_ARM64
#define FNN_BITS 32
#define FNN_SIMD_HEADER "simd/neon.h"
#define FNN_ISA_NAME "neon"
#define FNN_TABLE fnn_neon_f32
#include "kernels.inc"
#endif
