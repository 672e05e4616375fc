/* tsan_check.c - the pool, the drivers and the workspace under ThreadSanitizer: several callers at once while the number of
 * threads changes. Built by run_tsan.py; with -DRACE one plain counter is shared, and the sanitizer must say so. */
#define _POSIX_C_SOURCE 200809L
#include "fnn.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CALLERS 8
#define M 96
#define N 160
#define K 130
#define PARAMETERS 70000
#define ROWS 1500
#define COLS 128
#define SHARED 6 /* of the calls of a pass */

static int rounds = 10;
#ifdef RACE
static volatile long shared_by_mistake;
static pthread_barrier_t start, end; /* the sanitizer forgets what lies too far back */
#endif

/* the linker puts it in the place of fnn_parallel: how often a call's work was shared out */
static atomic_int shared_out;
void __real_fnn_parallel(size_t n, fnn_task *task, void *context);
void __wrap_fnn_parallel(size_t n, fnn_task *task, void *context);
void __wrap_fnn_parallel(size_t n, fnn_task *task, void *context)
{
    atomic_fetch_add(&shared_out, n > 1);
    __real_fnn_parallel(n, task, context);
}

static float *numbers(size_t n, unsigned seed)
{
    float *x = malloc(n * sizeof *x);
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (float)(seed >> 8) / (1 << 23) - 1;
    }
    return x;
}

static unsigned long bits_of(const float *x, size_t n)
{
    unsigned long bits = 0;
    for (size_t i = 0; i < n; i++)
        bits += ((const unsigned *)(const void *)x)[i];
    return bits;
}

/* all that is shared out among threads but a session's rows: a product with an epilogue, an optimizer's step and the running
 * average, a gather, batch normalization. What they give, as a sum of bits */
static unsigned long pass(int round)
{
    const fnn_kernels *t = fnn_table(fnn_isa_best(), FNN_F32);
    float *a = numbers(M * K, 1), *b = numbers(K * N, 2), *bias = numbers(N, 3), *c = numbers(M * N, 4);
    float *w = numbers(PARAMETERS, 5), *g = numbers(PARAMETERS, 6), *m = calloc(PARAMETERS, 4),
          *v = calloc(PARAMETERS, 4);
    float *rows = numbers(ROWS * COLS, 7), *y = malloc(ROWS * COLS * sizeof *y);
    uint32_t index[ROWS];
    void *states[FNN_MOST_STATES] = {m, v, NULL};
    const double p[8] = {1e-7, 0.9, 0.999};
    float *sums = numbers(N, 8);
    const fnn_epilogue epilogue = {.kind = FNN_EPI_FORWARD, .act = FNN_ACT_relu, .y = c, .sums = sums};
    float *mean = numbers(COLS, 9), *variance = numbers(COLS, 10), *dx = numbers(ROWS * COLS, 11);
    void *ws = fnn_workspace(fnn_gemm_workspace(t, M, N, K) + (size_t)(round % 3) * 100000);
    fnn_gemm(t, c, a, K, 1, b, N, 1, M, N, K, bias, FNN_BY_WIDTH, &epilogue, ws);
    double h[FNN_OPT_CONSTANTS];
    fnn_opt_constants(FNN_OPT_adam, h, 1e-3, p, 1);
    fnn_opt_step_shared(t, FNN_OPT_adam, w, states, g, PARAMETERS, h);
    fnn_permutation(index, ROWS, 9, 0, 3);
    fnn_gather_shared(t, y, rows, FNN_SRC_float32, index, ROWS, COLS, COLS * sizeof *rows, sizeof *rows);
    fnn_average_shared(t, m, w, PARAMETERS, 0.9);
    unsigned long bits = bits_of(c, M * N) + bits_of(sums, N) + bits_of(w, PARAMETERS) + bits_of(m, PARAMETERS);
    bits += bits_of(y, ROWS * COLS);
    fnn_batch_norm_fwd(t, y, mean, variance, rows, NULL, NULL, 1e-3, ROWS, COLS);
    fnn_batch_norm_bwd(t, dx, sums, bias, y, rows, mean, variance, NULL, 1e-3, ROWS, COLS);
    bits += bits_of(y, ROWS * COLS) + bits_of(dx, ROWS * COLS);
    float *all[] = {a, b, bias, c, sums, w, g, m, v, rows, y, mean, variance, dx};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    return bits;
}

static void *caller(void *want)
{
#ifdef RACE
    pthread_barrier_wait(&start);
    for (int i = 0; i < 1000; i++) /* before any lock of the library orders the callers */
        shared_by_mistake++;
    pthread_barrier_wait(&end);
#endif
    for (int i = 0; i < rounds; i++)
        if (pass(i) != *(unsigned long *)want)
            return "other bits";
    return NULL;
}

static void *changer(void *unused)
{
    (void)unused;
    for (int i = 0; i < rounds * 4; i++)
        fnn_set_threads(1 + i % 4);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[CALLERS + 1];
    unsigned long want = pass(0);
    int bad = 0;
    if (argc > 1)
        rounds = atoi(argv[1]);
#ifdef RACE
    pthread_barrier_init(&start, NULL, CALLERS);
    pthread_barrier_init(&end, NULL, CALLERS);
#endif
    fnn_set_threads(4);
    const int before = shared_out;
    bad += pass(0) != want;
    if (shared_out - before != SHARED) {
        printf("%d calls are shared out, not %d\n", shared_out - before, SHARED);
        return 1;
    }
    for (int i = 0; i <= CALLERS; i++)
        pthread_create(&threads[i], NULL, i < CALLERS ? caller : changer, &want);
    for (int i = 0; i <= CALLERS; i++) {
        void *answer;
        pthread_join(threads[i], &answer);
        bad += answer != NULL;
    }
    fnn_set_threads(1);
    printf("%d callers x %d rounds, %d with other bits\n", CALLERS, rounds, bad);
    return bad != 0;
}
