/* fpstate.h - the processor's floating-point mode. Kernels run rounding to nearest with gradual underflow, whatever the
 * process had set (some libraries turn on flush-to-zero for everybody), and put back what they found. */
#ifndef FNN_FPSTATE_H
#define FNN_FPSTATE_H

#include <stdint.h>

#if defined(__x86_64__)
#include <xmmintrin.h>
typedef uint32_t fnn_fp_state;
#define FNN_MXCSR_DEFAULT 0x1f80u /* all exceptions masked, to nearest, no FTZ, no DAZ */
static inline fnn_fp_state fnn_fp_enter(void)
{
    fnn_fp_state found = _mm_getcsr();
    if ((found & ~0x3fu) != FNN_MXCSR_DEFAULT)
        _mm_setcsr(FNN_MXCSR_DEFAULT);
    return found;
}
/* the sticky exception flags go back too: NumPy would report ours as its own */
static inline void fnn_fp_leave(fnn_fp_state found)
{
    if (_mm_getcsr() != found)
        _mm_setcsr(found);
}
#elif defined(__aarch64__)
typedef uint64_t fnn_fp_state;
#define FNN_FPSR_FLAGS 0x9fu
static inline fnn_fp_state fnn_fp_enter(void)
{
    uint64_t fpcr, fpsr;
    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
    __asm__ volatile("mrs %0, fpsr" : "=r"(fpsr));
    if (fpcr)
        __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)0));
    return fpcr | fpsr << 32;
}
static inline void fnn_fp_leave(fnn_fp_state found)
{
    uint64_t fpsr;
    if (found & 0xffffffffu)
        __asm__ volatile("msr fpcr, %0" : : "r"(found & 0xffffffffu));
    __asm__ volatile("mrs %0, fpsr" : "=r"(fpsr));
    if (fpsr != found >> 32)
        __asm__ volatile("msr fpsr, %0" : : "r"(found >> 32));
}
#else
#include <fenv.h>
typedef fenv_t fnn_fp_state;
static inline fnn_fp_state fnn_fp_enter(void)
{
    fenv_t found;
    fegetenv(&found);
    fesetenv(FE_DFL_ENV);
    return found;
}
static inline void fnn_fp_leave(fnn_fp_state found) { fesetenv(&found); }
#endif

#endif
