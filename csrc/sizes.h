/* sizes.h - arithmetic on sizes. */
#ifndef FNN_SIZES_H
#define FNN_SIZES_H

#include <stddef.h>

static inline size_t min(size_t a, size_t b) { return a < b ? a : b; }
static inline size_t max(size_t a, size_t b) { return a > b ? a : b; }
static inline size_t round_up(size_t a, size_t b) { return (a + b - 1) / b * b; }

/* the same for a power of two, such as a number of lanes. A division whose divisor the compiler does not know takes 3 to 5
 * ns, and a small product had seven. */
static inline size_t align_up(size_t a, size_t power) { return (a + power - 1) & ~(power - 1); }
static inline size_t align_down(size_t a, size_t power) { return a & ~(power - 1); }

#endif
