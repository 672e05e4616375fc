/* sse2_f64.c - the sse2 table for double. */
#include "target.h"

#if FNN_X86
#define FNN_BITS 64
#define FNN_SIMD_HEADER "simd/sse2.h"
#define FNN_ISA_NAME "sse2"
#define FNN_TABLE fnn_sse2_f64
#include "kernels.inc"
#endif
