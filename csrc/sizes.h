/* sizes.h - arithmetic on sizes. */
#ifndef FNN_SIZES_H
#define FNN_SIZES_H

#include <stddef.h>

static inline size_t min(size_t a, size_t b) { return a < b ? a : b; }
static inline size_t max(size_t a, size_t b) { return a > b ? a : b; }
static inline size_t round_up(size_t a, size_t b) { return (a + b - 1) / b * b; }

#endif
