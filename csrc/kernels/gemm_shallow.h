/* gemm_shallow.h - products over a short k: the first layer of a small net, the gradient by the input of its last, the
 * outer product of a batch of one. A tile would be over before its addresses are worked out, so all of b is held in
 * registers and the rows of c go by in one loop. The chains are those of the tiles. */
#define SHALLOW_ROWS 4 /* fewer rows are left to the tiles */

FNN_INLINE void shallow_product(real *c, size_t ldc, const real *a, size_t a_rs, size_t a_cs, const real *b, size_t ldb,
                                size_t m, size_t last, const tile_finish *end, int accumulate, const int K, const int V)
{
    const real *bias_at = end->bias, *gate = end->gate;
    const int relu = end->relu;
    vf row[SHALLOW_K][SHALLOW_V(1)], bias[SHALLOW_V(1)], y[SHALLOW_V(1)];
    for (int j = 0; j < V; j++) {
        bias[j] = bias_at ? load_live(bias_at + j * VF_LANES, TILE_LIVE(j)) : vf_zero();
        for (int p = 0; p < K; p++)
            row[p][j] = vf_load(b + (size_t)p * ldb + j * VF_LANES);
    }
    for (size_t i = 0; i < m; i++, c += ldc, a += a_rs) {
        for (int j = 0; j < V; j++)
            y[j] = accumulate ? load_live(c + j * VF_LANES, TILE_LIVE(j)) : vf_zero();
#pragma GCC unroll 16
        for (int p = 0; p < K; p++) {
            vf ap = vf_set1(a[(size_t)p * a_cs]);
            for (int j = 0; j < V; j++)
                y[j] = vf_fma(ap, row[p][j], y[j]);
        }
        if (bias_at)
            for (int j = 0; j < V; j++)
                y[j] = vf_add(y[j], bias[j]);
        if (relu)
            for (int j = 0; j < V; j++)
                y[j] = act_relu(y[j]);
        if (gate) {
            for (int j = 0; j < V; j++)
                y[j] = act_relu_chain(y[j], load_live(gate + j * VF_LANES, TILE_LIVE(j)));
            gate += ldc;
        }
        for (int j = 0; j < V - 1; j++)
            vf_store(c + j * VF_LANES, y[j]);
        if (last == VF_LANES)
            vf_store(c + (V - 1) * VF_LANES, y[V - 1]);
        else
            vf_store_part(c + (V - 1) * VF_LANES, y[V - 1], last);
    }
}

/* the same with a gate and the sums over columns, and nothing else: the gradient by the input of the last layer */
FNN_INLINE void shallow_gradient(real *c, size_t ldc, const real *a, size_t a_rs, size_t a_cs, const real *b,
                                 size_t ldb, size_t m, size_t last, const tile_finish *end, const int K, const int V)
{
    const real *gate = end->gate;
    vf row[SHALLOW_K][SHALLOW_V(1)], sum[SHALLOW_V(1)];
    for (int j = 0; j < V; j++) {
        sum[j] = end->sums_go_on ? load_live(end->sums + j * VF_LANES, TILE_LIVE(j)) : vf_zero();
        for (int p = 0; p < K; p++)
            row[p][j] = vf_load(b + (size_t)p * ldb + j * VF_LANES);
    }
    for (size_t i = 0; i < m; i++, c += ldc, a += a_rs, gate += ldc) {
        vf y[SHALLOW_V(1)];
        for (int j = 0; j < V; j++)
            y[j] = vf_zero();
#pragma GCC unroll 16
        for (int p = 0; p < K; p++) {
            vf ap = vf_set1(a[(size_t)p * a_cs]);
            for (int j = 0; j < V; j++)
                y[j] = vf_fma(ap, row[p][j], y[j]);
        }
        for (int j = 0; j < V; j++) {
            y[j] = act_relu_chain(y[j], load_live(gate + j * VF_LANES, TILE_LIVE(j)));
            sum[j] = vf_add(sum[j], y[j]);
        }
        for (int j = 0; j < V; j++)
            if (TILE_LIVE(j) == VF_LANES)
                vf_store(c + j * VF_LANES, y[j]);
            else
                vf_store_part(c + j * VF_LANES, y[j], last);
    }
    for (int j = 0; j < V; j++)
        vf_store_part(end->sums + j * VF_LANES, sum[j], TILE_LIVE(j));
}

typedef void shallow_fn(real *c, size_t ldc, const real *a, size_t a_rs, size_t a_cs, const real *b, size_t ldb,
                        size_t m, size_t last, const tile_finish *end, int accumulate);

/* S(K, V): depth x vectors */
#define SHALLOW_LOW(S, V) S(1, V) S(2, V) S(3, V) S(4, V)
#define SHALLOW_HIGH(S, V) S(5, V) S(6, V) S(7, V) S(8, V)
#if FNN_REGISTERS >= 32
#define SHALLOW_MORE(S, V) S(9, V) S(10, V) S(11, V) S(12, V) S(13, V) S(14, V) S(15, V) S(16, V)
#define SHALLOW_WIDE(S) SHALLOW_LOW(S, 4) SHALLOW_MORE(S, 1) SHALLOW_MORE(S, 2)
#else
#define SHALLOW_WIDE(S)
#endif
#define SHALLOW_ALL(S) SHALLOW_LOW(S, 1) SHALLOW_LOW(S, 2) SHALLOW_HIGH(S, 1) SHALLOW_HIGH(S, 2) SHALLOW_WIDE(S)
#define DEFINE_SHALLOW(K, V)                                                                                           \
    static void shallow_##K##x##V(real *c, size_t ldc, const real *a, size_t a_rs, size_t a_cs, const real *b,         \
                                  size_t ldb, size_t m, size_t last, const tile_finish *end, int accumulate)           \
    {                                                                                                                  \
        if (end->sums)                                                                                                 \
            shallow_gradient(c, ldc, a, a_rs, a_cs, b, ldb, m, last, end, K, V);                                       \
        else                                                                                                           \
            shallow_product(c, ldc, a, a_rs, a_cs, b, ldb, m, last, end, accumulate, K, V);                            \
    }
SHALLOW_ALL(DEFINE_SHALLOW)
#define SHALLOW_ENTRY(K, V) [K][V] = shallow_##K##x##V,
static shallow_fn *const shallows[SHALLOW_K + 1][SHALLOW_V(1) + 1] = {SHALLOW_ALL(SHALLOW_ENTRY)};

FNN_INLINE size_t shallow_width(size_t k, size_t vectors)
{
    return vectors >= SHALLOW_V(k) ? SHALLOW_V(k) : vectors >= 2 ? 2 : 1;
}
