"""Where the numbers in csrc/kernels/vmath.h, csrc/kernels/gates.h and csrc/math64.c come from.

Run it (needs mpmath; some ten seconds) and compare: it prints every coefficient array and every constant of the two
files as they stand there, with the error the polynomial itself contributes.

Method. Each polynomial is a weighted minimax fit by the Remez exchange: the weight turns an error of the polynomial
into a relative error of the finished function. The coefficients must then be rounded to float or double; done at
once that would cost accuracy. So they are rounded one at a time, lowest power first (it matters most), and the
powers above are fitted anew around what is already fixed. The exchange stops when the error is level to half a per
cent, so an mpmath that rounds differently may print other last digits, equally good (version 1.3 and 1.4 print these).

    python tools/vmath_coefficients.py            everything
    python tools/vmath_coefficients.py exp log    some of it
"""

import sys

from mpmath import cos, erf, erfc, exp, expm1, floor, frexp, ldexp, log, lu_solve, matrix, mp, mpf, pi, sin, sqrt, tanh

mp.dps = 50
PRECISION = {32: 24, 64: 53}  # bits of a significand
TINY = mpf(10) ** -12


# --- polynomial fits ---------------------------------------------------------------------------------------------


def one_per_sign_change(error):
    """Indices of the largest error in each run of equal sign."""
    peaks = []
    for j, e in enumerate(error):
        if peaks and (e > 0) == (error[peaks[-1]] > 0):
            if abs(e) > abs(error[peaks[-1]]):
                peaks[-1] = j
        else:
            peaks.append(j)
    return peaks


def shorten(peaks, error, n):
    """Drop the smallest peaks, keeping the signs alternating, until n are left."""
    while len(peaks) > n:
        if len(peaks) == n + 1:
            del peaks[0 if abs(error[peaks[0]]) < abs(error[peaks[-1]]) else -1]
        else:
            pairs = range(len(peaks) - 1)
            k = min(pairs, key=lambda k: max(abs(error[peaks[k]]), abs(error[peaks[k + 1]])))
            del peaks[k : k + 2]
    return peaks


def dot(a, b):
    return sum(p * q for p, q in zip(a, b, strict=True))


def remez(xs, target, weight, powers):
    """Coefficients c minimising max |weight * (sum c[k] x^powers[k] - target)| over the points xs."""
    n = len(powers)
    basis = [[x**p for p in powers] for x in xs]
    peaks = [round((len(xs) - 1) * i / n) for i in range(n + 1)]
    best = None
    for _ in range(15):
        a, b = matrix(n + 1, n + 1), matrix(n + 1, 1)
        for i, j in enumerate(peaks):
            for k in range(n):
                a[i, k] = basis[j][k]
            a[i, n] = (-1) ** i / weight[j]
            b[i] = target[j]
        solution = lu_solve(a, b)
        c, level = [solution[k] for k in range(n)], abs(solution[n])
        error = [w * (dot(c, row) - t) for w, row, t in zip(weight, basis, target, strict=True)]
        worst = max(map(abs, error))
        if best is None or worst < best[0]:
            best = worst, c
        found = shorten(one_per_sign_change(error), error, n + 1)
        if len(found) < n + 1 or worst < level * mpf("1.005"):
            break
        peaks = found
    return best[1]


def worst_error(xs, target, weight, powers, c):
    fitted = [dot(c, [x**p for p in powers]) for x in xs]
    return max(abs(w * (y - t)) for w, y, t in zip(weight, fitted, target, strict=True))


def rounded(x, bits):
    """x to the nearest number with a significand of that many bits (no subnormals needed here)."""
    mantissa, exponent = frexp(x)
    return ldexp(floor(ldexp(mantissa, bits) + mpf("0.5")), exponent - bits)


def fit(function, weight, degree, low, high, bits):
    """Rounded coefficients, lowest power first, and the largest weighted error."""
    low, high, m = mpf(low), mpf(high), max(200, 20 * degree)
    xs = [(low + high) / 2 - (high - low) / 2 * cos(pi * i / m) for i in range(m + 1)]
    weights = [max(weight(x), TINY) for x in xs]
    rest, fixed, tail = [function(x) for x in xs], [], [mpf(0)] * (degree + 1)
    for p in range(degree + 1):
        powers = list(range(p, degree + 1))
        candidates = [tail, remez(xs, rest, weights, powers)]  # the new fit is not always the better one
        c, *tail = min(candidates, key=lambda c: worst_error(xs, rest, weights, powers, c))
        fixed.append(rounded(c, bits))
        rest = [r - fixed[p] * x**p for r, x in zip(rest, xs, strict=True)]
    return fixed, max(abs(w * r) for w, r in zip(weights, rest, strict=True))


# --- the functions -----------------------------------------------------------------------------------------------


def exp_tail(r):
    """(exp(r) - 1 - r) / r^2"""
    return (expm1(r) - r) / r**2 if abs(r) > TINY else mpf(1) / 2


def exp_weight(r):
    """relative error of exp(r) - 1, the stricter of the two users"""
    return r * r / abs(expm1(r)) if abs(r) > TINY else TINY


def log_tail(z):
    """(log((1 + s) / (1 - s)) - 2 s) / s^3 with z = s^2"""
    s = sqrt(z)
    return (log((1 + s) / (1 - s)) - 2 * s) / s**3 if z > TINY else mpf(2) / 3


def tanh_tail(z):
    """(tanh(x) - x) / x^3 with z = x^2"""
    x = sqrt(z)
    return (tanh(x) - x) / x**3 if z > TINY else -mpf(1) / 3 + 2 * z / 15


def erf_slope(z):
    """erf(x) / x - 1 with z = x^2"""
    x = sqrt(z)
    return (erf(x) / x if z > TINY else 2 / sqrt(pi)) - 1


def sin_tail(z):
    """(sin(x) - x) / x^3 with z = x^2"""
    x = sqrt(z)
    return (sin(x) - x) / x**3 if z > TINY else -mpf(1) / 6 + z / 120


def cos_tail(z):
    """(cos(x) - 1 + x^2 / 2) / x^4 with z = x^2"""
    return (cos(sqrt(z)) - 1 + z / 2) / z**2 if z > TINY else mpf(1) / 24 - z / 720


HALF_LN2 = log(2) / 2 * mpf("1.0001")  # a hair more: the rounded quotient x / ln2 may fall on either side
LOG_Z = ((sqrt(2) - 1) / (sqrt(2) + 1)) ** 2
SIN_Z = (pi / 4) ** 2 * mpf("1.0001")
ERF_CUT = mpf(1)
ERF_TOP = {32: mpf("3.9296875"), 64: mpf("5.9296875")}  # erfc is below half an ulp of 1
ERF_MIDDLE = {32: mpf("1.25"), 64: mpf("1.5")}
ERF_POWER = 4
TANH_CUT = mpf("0.5625")


def erf_fits(bits, degrees):
    """erf near zero as x + x P(x^2); further out as 1 - Q(x - middle)^4."""
    cut, top, middle, n = ERF_CUT, ERF_TOP[bits], ERF_MIDDLE[bits], ERF_POWER
    inner = (erf_slope, lambda z: 1 / (1 + erf_slope(z)), degrees[0], 0, cut**2)
    root = mpf(1) / n
    outer = (
        lambda t: erfc(t + middle) ** root,
        lambda t: n * erfc(t + middle) ** (1 - root) / erf(t + middle),
        degrees[1],
        cut - middle,
        top - middle,
    )
    return {"erf_inner_c": inner, "erf_outer_c": outer}


TAIL_SHIFT = mpf(4)
TAIL_TOP = {32: mpf(15), 64: mpf(40)}  # beyond, exp(-x^2 / 2) is 0


def normal_tail(t):
    """Phi(-x) exp(x^2 / 2) (x + 4) with t = (x - 4) / (x + 4)"""
    x = TAIL_SHIFT * (1 + t) / (1 - t)
    return erfc(x / sqrt(2)) / 2 * exp(x * x / 2) * (x + TAIL_SHIFT)


def fits(bits):
    at = {32: 0, 64: 1}[bits]
    table = {
        "exp_c": (exp_tail, exp_weight, (4, 9)[at], -HALF_LN2, HALF_LN2),
        "tanh_c": (tanh_tail, lambda z: z / (1 + z * tanh_tail(z)), (3, 9)[at], 0, TANH_CUT**2),
        "log_c": (log_tail, lambda z: z / 2, (2, 6)[at], 0, LOG_Z),
    }
    table.update(erf_fits(bits, ((5, 8), (11, 20))[at]))
    top = (TAIL_TOP[bits] - TAIL_SHIFT) / (TAIL_TOP[bits] + TAIL_SHIFT)
    table["normal_tail_c"] = (normal_tail, lambda t: 1 / normal_tail(t), (10, 24)[at], -1, top)
    if bits == 64:
        table["sin_c"] = (sin_tail, lambda z: z, 5, 0, SIN_Z)
        table["cos_c"] = (cos_tail, lambda z: z * z, 5, 0, SIN_Z)
    return table


# --- constants in parts ------------------------------------------------------------------------------------------


def parts(x, sizes):
    """x as a sum of numbers with that many bits each, largest first."""
    result = []
    for bits in sizes:
        result.append(rounded(x, bits))
        x -= result[-1]
    return result


def constants(bits):
    p = PRECISION[bits]
    short = {32: 15, 64: 42}[bits]  # n * LN2_HI is exact for every exponent n, with or without a fused multiply-add
    ln2_hi, ln2_lo = parts(log(2), (short, p))
    table = {"LOG2E": rounded(1 / log(2), p), "LN2_HI": ln2_hi, "LN2_LO": ln2_lo}
    table["SQRT_HALF"] = rounded(sqrt(mpf(1) / 2), p)
    if bits == 64:
        table["TWO_OVER_PI"] = rounded(2 / pi, p)
        for i, part in enumerate(parts(pi / 2, (33, 33, 53))):
            table[f"PI_2_{'ABC'[i]}"] = part
    return table


# --- printing ----------------------------------------------------------------------------------------------------


def literal(x, bits):
    sign, digits = ("-" if x < 0 else ""), float(abs(x)).hex()
    mantissa, exponent = digits.split("p")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{sign}{mantissa}p{exponent}" + ("F" if bits == 32 else "")


def c_array(name, values, bits):
    """Highest power first: the order in which Horner's rule reads them."""
    words, lines, line = [literal(v, bits) for v in reversed(values)], [], "   "
    for i, word in enumerate(words):
        word += "," if i + 1 < len(words) else "};"
        if len(line) + 1 + len(word) > 116:
            lines.append(line)
            line = "   "
        line += " " + word
    head = f"static const {'float' if bits == 32 else 'double'} {name}[] = {{"
    if not lines and len(head) + len(line.strip()) <= 120:
        return head + line.strip()
    return "\n".join([head, *lines, line])


def main(wanted):
    for bits in (32, 64):
        print(f"\n--- {'float' if bits == 32 else 'double'}\n")
        for name, value in constants(bits).items():
            print(f"#define FNN_{name} {literal(value, bits)}")
        for name, (function, weight, degree, low, high) in fits(bits).items():
            if wanted and not any(name.startswith(w) for w in wanted):
                continue
            values, error = fit(function, weight, degree, low, high, PRECISION[bits])
            print(f"{c_array(name, values, bits)}\n    (relative error 2^{float(log(error, 2)):.1f})", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
