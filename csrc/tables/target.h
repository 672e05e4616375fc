/* target.h - how a table file turns on its instruction set: a pragma around the one body, so that the build needs no
 * flags for single files and the machine code is that of -mavx2 and the like. */
#ifndef FNN_TARGET_H
#define FNN_TARGET_H

#include "fnn.h"
#include "math64.h"
#include "philox.h"

#if defined(__x86_64__)
#define FNN_X86 1
#define FNN_ARM64 0
#include <immintrin.h>
#elif defined(__aarch64__)
#define FNN_X86 0
#define FNN_ARM64 1
#else
#define FNN_X86 0
#define FNN_ARM64 0
#endif

#define FNN_PRAGMA(words) _Pragma(#words)
#ifdef __clang__
#define FNN_TARGET_PUSH(features)                                                                                      \
    FNN_PRAGMA(clang attribute push(__attribute__((target(features))), apply_to = function))
#define FNN_TARGET_POP FNN_PRAGMA(clang attribute pop)
#else
#define FNN_TARGET_PUSH(features) FNN_PRAGMA(GCC push_options) FNN_PRAGMA(GCC target(features))
#define FNN_TARGET_POP FNN_PRAGMA(GCC pop_options)
#endif

#endif
