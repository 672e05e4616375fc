/* loops.h - the loops, once. The function is a compile-time constant of each caller, so it is inlined; the tail runs
 * the same function on a partial vector, so a value never depends on its position. */

/* the first `live` <= VF_LANES values, zeros beyond: a whole vector costs no mask */
FNN_INLINE vf load_live(const real *p, size_t live) { return live == VF_LANES ? vf_load(p) : vf_load_part(p, live); }
FNN_INLINE void store_live(real *p, vf v, size_t live)
{
    if (live == VF_LANES)
        vf_store(p, v);
    else
        vf_store_part(p, v, live);
}

FNN_INLINE void map1(vf (*f)(vf), real *y, const real *x, size_t n)
{
    size_t i = 0;
    for (; i + VF_LANES <= n; i += VF_LANES)
        vf_store(y + i, f(vf_load(x + i)));
    if (i < n)
        vf_store_part(y + i, f(vf_load_part(x + i, n - i)), n - i);
}

/* y = f(x, a), a the same for all */
FNN_INLINE void map1_with(vf (*f)(vf, vf), real *y, const real *x, size_t n, real a)
{
    vf va = vf_set1(a);
    size_t i = 0;
    for (; i + VF_LANES <= n; i += VF_LANES)
        vf_store(y + i, f(vf_load(x + i), va));
    if (i < n)
        vf_store_part(y + i, f(vf_load_part(x + i, n - i), va), n - i);
}

/* y = f(a, b) */
FNN_INLINE void map2(vf (*f)(vf, vf), real *y, const real *a, const real *b, size_t n)
{
    size_t i = 0;
    for (; i + VF_LANES <= n; i += VF_LANES)
        vf_store(y + i, f(vf_load(a + i), vf_load(b + i)));
    if (i < n)
        vf_store_part(y + i, f(vf_load_part(a + i, n - i), vf_load_part(b + i, n - i)), n - i);
}

/* y = f(a, b, c), c the same for all */
FNN_INLINE void map2_with(vf (*f)(vf, vf, vf), real *y, const real *a, const real *b, size_t n, real c)
{
    vf vc = vf_set1(c);
    size_t i = 0;
    for (; i + VF_LANES <= n; i += VF_LANES)
        vf_store(y + i, f(vf_load(a + i), vf_load(b + i), vc));
    if (i < n)
        vf_store_part(y + i, f(vf_load_part(a + i, n - i), vf_load_part(b + i, n - i), vc), n - i);
}

/* y = f(a, b, c) * s, c the same for all */
FNN_INLINE void map2_scaled(vf (*f)(vf, vf, vf), real *y, const real *a, const real *b, size_t n, real c, real s)
{
    vf vc = vf_set1(c), vs = vf_set1(s);
    size_t i = 0;
    for (; i + VF_LANES <= n; i += VF_LANES)
        vf_store(y + i, vf_mul(f(vf_load(a + i), vf_load(b + i), vc), vs));
    if (i < n)
        vf_store_part(y + i, vf_mul(f(vf_load_part(a + i, n - i), vf_load_part(b + i, n - i), vc), vs), n - i);
}

/* sum over i of f(a[i], b[i], c), c the same for all, by chains */
FNN_INLINE real reduce2(vf (*f)(vf, vf, vf), const real *a, const real *b, size_t n, real c)
{
    vf vc = vf_set1(c);
    chains s = chains_zero();
    size_t i = 0;
    for (; i + CHAINS <= n; i += CHAINS)
        for (int v = 0; v < CHAIN_VECTORS; v++)
            s.v[v] = vf_add(s.v[v], f(vf_load(a + i + v * VF_LANES), vf_load(b + i + v * VF_LANES), vc));
    for (int v = 0; v < CHAIN_VECTORS; v++) {
        size_t j = i + (size_t)v * VF_LANES, lanes = chain_lanes(n - i, v);
        if (lanes == VF_LANES)
            s.v[v] = vf_add(s.v[v], f(vf_load(a + j), vf_load(b + j), vc));
        else if (lanes) { /* dead lanes hold f(0, 0, c): only the live ones may be added */
            real part[VF_LANES] = {0};
            vf_store_part(part, f(vf_load_part(a + j, lanes), vf_load_part(b + j, lanes), vc), lanes);
            s.v[v] = vf_add(s.v[v], vf_load(part));
        }
    }
    return chains_join(s);
}

/* sum over i of f(x[i], a), a the same for all, by chains */
FNN_INLINE real reduce1_with(vf (*f)(vf, vf), const real *x, size_t n, real a)
{
    vf va = vf_set1(a);
    chains c = chains_zero();
    for (size_t i = 0; i < n; i += CHAINS)
        for (int v = 0; v < CHAIN_VECTORS; v++) {
            size_t j = i + (size_t)v * VF_LANES, lanes = chain_lanes(n - i, v);
            if (lanes == VF_LANES) {
                c.v[v] = vf_add(c.v[v], f(vf_load(x + j), va));
            } else if (lanes) { /* through memory: dead lanes must add 0 */
                real part[VF_LANES] = {0};
                vf_store_part(part, f(vf_load_part(x + j, lanes), va), lanes);
                c.v[v] = vf_add(c.v[v], vf_load(part));
            }
        }
    return chains_join(c);
}

/* sum over i of a[i] * b[i], by chains of fused multiply-adds */
FNN_INLINE real dot(const real *a, const real *b, size_t n)
{
    chains c = chains_zero();
    size_t i = 0;
    for (; i + CHAINS <= n; i += CHAINS)
        for (int v = 0; v < CHAIN_VECTORS; v++)
            c.v[v] = vf_fma(vf_load(a + i + v * VF_LANES), vf_load(b + i + v * VF_LANES), c.v[v]);
    for (int v = 0; v < CHAIN_VECTORS; v++) { /* dead lanes add 0 * 0 */
        size_t lanes = chain_lanes(n - i, v);
        if (lanes)
            c.v[v] =
                vf_fma(vf_load_part(a + i + v * VF_LANES, lanes), vf_load_part(b + i + v * VF_LANES, lanes), c.v[v]);
    }
    return chains_join(c);
}
