/* @file@.h - a neural network that was trained in Python with fastnn, exported as C. Export it anew rather than edit it.
 *
@layers@
 *
 * @constant_bytes@ bytes of constants, @scratch_bytes@ of scratch memory; @multiply_adds@ multiply-adds a prediction.
 *
 * The outputs are those of Model.predict in Python, bit for bit; a NaN may have another sign. To compile:
 *
 *     cc -std=c99 -O2 -ffp-contract=off -c @file@.c          and -lm where you link; as C++ from C++17 on
 *
 * without -ffast-math and the like, on a processor that rounds to nearest and does not flush subnormal numbers to zero.
 *
 * -D@NAME@_STATIC_SCRATCH  the scratch memory of @name@_predict is static, not on the stack: one call at a time
@if float@
 * -D@NAME@_SOFT_FMA        fmaf by way of double, for a library whose own rounds twice
@end@
@if self_test@
 * -D@NAME@_SELF_TEST       @name@_self_test(), and a main() that runs it
@end@
 */
#ifndef @NAME@_H_@tie@ /* by content: names that differ in case alone have one set of macros, and are seen to clash */
#define @NAME@_H_@tie@

#define @NAME@_N_IN @n_in@
#define @NAME@_N_OUT @n_out@
@if classes@
#define @NAME@_N_CLASSES @n_classes@
@end@
#define @NAME@_SCRATCH @scratch@ /* numbers of scratch memory */
#define @NAME@_EXPORT 0x@tie@u /* @file@.c has the same number */

#ifdef __cplusplus
extern "C" {
#endif

/* y[0 .. @NAME@_N_OUT) = the prediction for the row x[0 .. @NAME@_N_IN), which may not overlap. Allocates nothing; any
 * number of threads may call it at a time. */
void @name@_predict(const @real@ *x, @real@ *y);

/* The same with scratch memory of the caller's: @NAME@_SCRATCH numbers, which nobody else uses meanwhile. */
void @name@_predict_with(const @real@ *x, @real@ *y, @real@ *scratch);

@if classes@
/* the classes, in the order of the outputs */
extern const char *const @name@_classes[@NAME@_N_CLASSES];

@end@
@if self_test@
#ifdef @NAME@_SELF_TEST
/* 0 where the bits are those of Python; else how many outputs differ, or -1 where fused multiply-adds are not rounded once.
 * main() is left out with -D@NAME@_NO_MAIN. */
int @name@_self_test(void);
#endif

@end@
#ifdef __cplusplus
}
#endif

#endif
