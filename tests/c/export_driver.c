/* export_driver.c - an exported model over many rows, for tests/test_export_c.py: `many` for a shared library; as a program,
 * rows of raw numbers from standard input and predictions to standard output. MODEL names the exported .c file, PREDICT
 * its function, N_IN and N_OUT its macros. */
#include MODEL
#include <stdio.h>

#ifdef DOUBLE
typedef double number;
#else
typedef float number;
#endif

void many(number *y, const number *x, size_t rows);
void many(number *y, const number *x, size_t rows)
{
    for (size_t i = 0; i < rows; i++)
        PREDICT(x + i * N_IN, y + i * N_OUT);
}

/* y[i] = a[i] b[i] + c[i], as the file does it */
void multiply_add(number *y, const number *a, const number *b, const number *c, size_t n);
void multiply_add(number *y, const number *a, const number *b, const number *c, size_t n)
{
#ifdef FUSED
    for (size_t i = 0; i < n; i++)
        y[i] = fused(a[i], b[i], c[i]);
#else
    (void)y, (void)a, (void)b, (void)c, (void)n;
#endif
}

#ifdef PROGRAM
int main(void)
{
    static number x[N_IN], y[N_OUT];
    while (fread(x, sizeof x, 1, stdin) == 1) {
        many(y, x, 1);
        if (fwrite(y, sizeof y, 1, stdout) != 1)
            return 1;
    }
    return 0;
}
#endif
