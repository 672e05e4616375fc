/* sse2_f32.c - the sse2 table for float. */
#include "target.h"

#if FNN_X86
#define FNN_BITS 32
#define FNN_SIMD_HEADER "simd/sse2.h"
#define FNN_ISA_NAME "sse2"
#define FNN_TABLE fnn_sse2_f32
#include "kernels.inc"
#endif
