/* gemm_tile.h - register tiles of a matrix product. Each element of c is one chain of fused multiply-adds over p
 * ascending, so neither the tile's shape nor the vector's width can change a bit of it. */

/* a k up to SHALLOW_K goes to gemm_shallow.h, so many vectors at a time: k rows of b fill the registers, and what does not
 * fit is read with the product */
#define SHALLOW_K (FNN_REGISTERS / 2)
#define SHALLOW_V(k) ((k) <= 4 ? FNN_REGISTERS / 8 : 2)

/* vectors in a row of a packed panel of b (pack.h) */
FNN_INLINE size_t panel_vectors(size_t k) { return k <= SHALLOW_K ? SHALLOW_V(k) : FNN_NV; }

/* fnn_finish at one tile */
typedef struct {
    const real *bias, *gate;
    int relu;
    real *sums; /* of a shallow product alone: elsewhere a tile has a few of the rows */
    int sums_go_on;
} tile_finish;

/* TILE_EACH(i, j): a loop over the vectors of a tile, unrolled, so that each is a register of its own */
#define TILE_EACH(i, j)                                                                                                \
    FNN_PRAGMA(GCC unroll 16)                                                                                          \
    for (int i = 0; i < R; i++)                                                                                        \
        FNN_PRAGMA(GCC unroll 8)                                                                                       \
    for (int j = 0; j < V; j++)
/* the lanes that live of vector j of a row */
#define TILE_LIVE(j) ((j) < V - 1 ? VF_LANES : last)

/* what follows the chains: bias, activation, gate, and c is written; `last` = live lanes of the last vector */
FNN_INLINE void tile_end(real *c, size_t ldc, vf (*acc)[8], size_t last, const tile_finish *end, const int R,
                         const int V)
{
    if (end->bias) {
        vf bias[8];
        for (int j = 0; j < V; j++)
            bias[j] = load_live(end->bias + j * VF_LANES, TILE_LIVE(j));
        TILE_EACH (i, j)
            acc[i][j] = vf_add(acc[i][j], bias[j]);
    }
    if (end->relu)
        TILE_EACH (i, j)
            acc[i][j] = act_relu(acc[i][j]);
    if (end->gate)
        TILE_EACH (i, j)
            acc[i][j] = act_relu_chain(acc[i][j], load_live(end->gate + (size_t)i * ldc + j * VF_LANES, TILE_LIVE(j)));
    if (last == VF_LANES)
        TILE_EACH (i, j)
            vf_store(c + (size_t)i * ldc + j * VF_LANES, acc[i][j]);
    else
        TILE_EACH (i, j)
            vf_store_part(c + (size_t)i * ldc + j * VF_LANES, acc[i][j], TILE_LIVE(j));
}

/* c[R][V vectors] (+)= a.b; `last` = live lanes of the last vector. R and V are constants of each instantiation, so the
 * accumulators live in registers. One of a's strides is 1; the instantiation knows which. */
FNN_INLINE void tile_product(real *c, size_t ldc, const real *a, size_t a_rs, size_t a_cs, const real *b, size_t ldb,
                             size_t k, size_t last, const tile_finish *end, int accumulate, const int R, const int V)
{
    vf acc[FNN_MR_1][8];
    if (accumulate)
        TILE_EACH (i, j)
            acc[i][j] = load_live(c + (size_t)i * ldc + j * VF_LANES, TILE_LIVE(j));
    else
        TILE_EACH (i, j)
            acc[i][j] = vf_zero();

#pragma GCC unroll 4
    for (size_t p = 0; p < k; p++) {
        vf row[8];
#pragma GCC unroll 8
        for (int j = 0; j < V; j++)
            row[j] = vf_load(b + p * ldb + (size_t)j * VF_LANES);
#pragma GCC unroll 16
        for (int i = 0; i < R; i++) {
            vf ai = vf_set1(a[(size_t)i * a_rs + p * a_cs]);
#pragma GCC unroll 8
            for (int j = 0; j < V; j++)
                acc[i][j] = vf_fma(ai, row[j], acc[i][j]);
        }
    }
    tile_end(c, ldc, acc, last, end, R, V);
}

typedef void tile_fn(real *c, size_t ldc, const real *a, size_t a_stride, const real *b, size_t ldb, size_t k,
                     size_t last, const tile_finish *end, int accumulate);

/* T(R, V): rows x vectors. One row, and two where there are registers, get tiles of every width up to FNN_PANEL: to have as
 * many chains in flight, and to read a row of b in one go. */
#define FNN_TILES_1(T) T(1, 1) T(1, 2) T(1, 3) T(1, 4) T(1, 5) T(1, 6) T(1, 7) T(1, 8)
#if FNN_REGISTERS >= 32
#define FNN_WIDE_ROWS 2
#define FNN_TILES_2(T) T(2, 1) T(2, 2) T(2, 3) T(2, 4) T(2, 5) T(2, 6) T(2, 7) T(2, 8)
#else
#define FNN_WIDE_ROWS 1
#define FNN_TILES_2(T) T(2, 1) T(2, 2) T(2, 4)
#endif
#define FNN_TILES_34(T) T(3, 1) T(3, 2) T(4, 1) T(4, 2)
#define FNN_TILES_56(T) T(5, 1) T(5, 2) T(6, 1) T(6, 2)
#define FNN_TILES_78(T) T(7, 1) T(7, 2) T(8, 1) T(8, 2)
#if FNN_MR >= 8
#define FNN_TILES_BY_2(T) FNN_TILES_34(T) FNN_TILES_56(T) FNN_TILES_78(T)
#elif FNN_MR >= 6
#define FNN_TILES_BY_2(T) FNN_TILES_34(T) FNN_TILES_56(T)
#else
#define FNN_TILES_BY_2(T) FNN_TILES_34(T)
#endif
#if FNN_NV < 4
#define FNN_TILES_BY_4(T)
#elif FNN_MR >= 6
#define FNN_TILES_BY_4(T) T(3, 4) T(4, 4) T(5, 4) T(6, 4)
#else
#define FNN_TILES_BY_4(T) T(3, 4) T(4, 4)
#endif
#if FNN_MR_1 > FNN_MR
#define FNN_TILES_TALL(T) T(7, 1) T(8, 1) T(9, 1) T(10, 1) T(11, 1) T(12, 1)
#else
#define FNN_TILES_TALL(T)
#endif
#define FNN_TILES(T) FNN_TILES_TALL(T) FNN_TILES_1(T) FNN_TILES_2(T) FNN_TILES_BY_2(T) FNN_TILES_BY_4(T)

/* tile_r: a by rows (a_cs == 1);  tile_c: a by columns (a_rs == 1) */
#define DEFINE_TILE(R, V)                                                                                              \
    static void tile_r_##R##x##V(real *c, size_t ldc, const real *a, size_t stride, const real *b, size_t ldb,         \
                                 size_t k, size_t last, const tile_finish *end, int accumulate)                        \
    {                                                                                                                  \
        tile_product(c, ldc, a, stride, 1, b, ldb, k, last, end, accumulate, R, V);                                    \
    }                                                                                                                  \
    static void tile_c_##R##x##V(real *c, size_t ldc, const real *a, size_t stride, const real *b, size_t ldb,         \
                                 size_t k, size_t last, const tile_finish *end, int accumulate)                        \
    {                                                                                                                  \
        tile_product(c, ldc, a, 1, stride, b, ldb, k, last, end, accumulate, R, V);                                    \
    }
FNN_TILES(DEFINE_TILE)

#define TILE_ENTRY_R(R, V) [R][V] = tile_r_##R##x##V,
#define TILE_ENTRY_C(R, V) [R][V] = tile_c_##R##x##V,
static tile_fn *const tiles_by_row[FNN_MR_1 + 1][9] = {FNN_TILES(TILE_ENTRY_R)};
static tile_fn *const tiles_by_column[FNN_MR_1 + 1][9] = {FNN_TILES(TILE_ENTRY_C)};

/* the first tile (in vectors) for so many rows and vectors that are left; of more rows a power of two */
FNN_INLINE size_t tile_width(size_t rows, size_t vectors)
{
    const size_t widest = rows == 2 ? 4 : FNN_NV;
    if (rows <= FNN_WIDE_ROWS)
        return fnn_panel_vectors(vectors);
    return vectors >= 4 && widest >= 4 ? 4 : vectors >= 2 ? 2 : 1;
}

/* Rows are dealt out to tiles evenly: 33 rows are 7 7 7 6 6, not 8 8 8 8 1. */
typedef struct {
    size_t tiles, rows, one_more; /* the first one_more tiles have rows + 1 */
} row_deal;
FNN_INLINE row_deal deal_rows(size_t m, size_t tallest)
{
    row_deal d = {1, m, 0};
    if (m > tallest) {
        d.tiles = (m + tallest - 1) / tallest;
        d.rows = m / d.tiles;
        d.one_more = m % d.tiles;
    }
    return d;
}
