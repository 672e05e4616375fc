/* neon_f64.c - the neon table for double. */
#include "target.h"

#if FNN_ARM64
#define FNN_BITS 64
#define FNN_SIMD_HEADER "simd/neon.h"
#define FNN_ISA_NAME "neon"
#define FNN_TABLE fnn_neon_f64
#include "kernels.inc"
#endif
