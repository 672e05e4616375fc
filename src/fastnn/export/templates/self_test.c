
/* --- the self-test: does this compiler, library and processor give the bits of Python? --- */

#ifdef @NAME@_SELF_TEST
#define TEST_ROWS @test_rows@

static const @real@ test_x[TEST_ROWS * @NAME@_N_IN] = {
@test_x@
};
static const @real@ test_y[TEST_ROWS * @NAME@_N_OUT] = {
@test_y@
};

/* a, b, c and a b + c, rounded once; not known to the compiler, which would work them out by itself */
static volatile @real@ probes[][4] = {
@probes@
};

static int same(@real@ a, @real@ b) { return to_bits(a) == to_bits(b) || (a != a && b != b); }

int @name@_self_test(void)
{
    @real@ y[@NAME@_N_OUT];
    int differ = 0;
    for (size_t i = 0; i < sizeof probes / sizeof probes[0]; i++)
        if (!same(fused(probes[i][0], probes[i][1], probes[i][2]), probes[i][3]))
            return -1;
    for (size_t row = 0; row < TEST_ROWS; row++) {
        @name@_predict(test_x + row * @NAME@_N_IN, y);
        for (size_t j = 0; j < @NAME@_N_OUT; j++)
            differ += !same(y[j], test_y[row * @NAME@_N_OUT + j]);
    }
    return differ;
}

#ifndef @NAME@_NO_MAIN
#include <stdio.h>

int main(void)
{
    int differ = @name@_self_test();
    if (differ < 0)
        puts("@name@: fma rounds twice here, or subnormal numbers are flushed to zero");
    else
        printf("@name@: %d of %d outputs differ\n", differ, TEST_ROWS * @NAME@_N_OUT);
    return differ != 0;
}
#endif
#endif
