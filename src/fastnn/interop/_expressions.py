"""Which activation a handful of elementwise operators makes: GELU comes as five nodes, SiLU as two.

An ``Expression`` is a function of one variable in a normal form: a polynomial whose atoms are the variable and
functions (exp, erf, clip, ...) of expressions. However a formula is bracketed, its normal form is the same, up to the
rounding of its constants; so it is compared with those of the activations (``PATTERNS``), written down with the same
arithmetic. Affine expressions may have a coefficient for each column.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from fastnn.activations import (
    ELU,
    GELU,
    SELU,
    Activation,
    Exponential,
    GELUTanh,
    HardSigmoid,
    HardSwish,
    LeakyReLU,
    Mish,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softplus,
    Step,
    Tanh,
)

MOST_TERMS, MOST_FACTORS, MOST_ATOMS = 16, 8, 200  # the largest pattern has 3 terms of 4 factors, and 30 atoms
CLOSE = 1e-6  # between constants: those of a file are rounded to float32, some of them twice

Array = np.ndarray[Any, np.dtype[Any]]
Monomial: TypeAlias = "tuple[Any, ...]"  # atoms in order: ("x",) or (function, its argument, parameters, atoms in it)
Terms: TypeAlias = "dict[Monomial, float | Array]"

X = ("x",)


class TooComplexError(ValueError):
    """No activation: more terms than any has, or a function of an expression that differs from column to column."""


class Expression:
    def __init__(self, terms: Terms) -> None:
        if len(terms) > MOST_TERMS or any(len(monomial) > MOST_FACTORS for monomial in terms):
            raise TooComplexError
        self.atoms = sum(1 if atom == X else atom[3] for monomial in terms for atom in monomial)
        if self.atoms > MOST_ATOMS:
            raise TooComplexError
        self.terms = {m: c for m, c in terms.items() if isinstance(c, np.ndarray) or c != 0}

    @staticmethod
    def of(value: Expression | float | Array) -> Expression:
        return value if isinstance(value, Expression) else Expression({(): value})

    def __add__(self, other: Expression | float | Array) -> Expression:
        terms = dict(self.terms)
        for monomial, c in Expression.of(other).terms.items():
            terms[monomial] = _joined(np.add, terms[monomial], c) if monomial in terms else c
        return Expression(terms)

    def __mul__(self, other: Expression | float | Array) -> Expression:
        terms: Terms = {}
        for m, c in self.terms.items():
            for n, d in Expression.of(other).terms.items():
                monomial = tuple(sorted((*m, *n), key=repr))
                product = _joined(np.multiply, c, d)
                terms[monomial] = _joined(np.add, terms[monomial], product) if monomial in terms else product
        return Expression(terms)

    __radd__, __rmul__ = __add__, __mul__

    def __sub__(self, other: Expression | float | Array) -> Expression:
        return self + Expression.of(other) * -1.0

    def apply(self, function: str, *parameters: float) -> Expression:
        """function(self), as an atom."""
        if self.by_column:
            raise TooComplexError
        argument = tuple(sorted(self.terms.items(), key=repr))
        return Expression({((function, argument, parameters, self.atoms + 1),): 1.0})

    def clip(self, low: float, high: float) -> Expression:
        """min(max(self, low), high), in the form a * (clip(x, ..) + s) where self is affine with a positive slope; and
        a bound on what is bounded already joins that."""
        slope, shift = self.terms.get((X,)), self.terms.get((), 0.0)
        if len(self.terms) == 1 and not low > high:
            [(monomial, c)] = self.terms.items()
            if len(monomial) == 1 and monomial[0][0] == "clip" and isinstance(c, float) and c == 1.0:
                _, argument, (least, most), _ = monomial[0]
                if max(least, low) < min(most, high):
                    return Expression(dict(argument)).apply("clip", max(least, low), min(most, high))
        affine = set(self.terms) <= {(X,), ()}
        if not affine or not isinstance(slope, float) or not isinstance(shift, float) or slope <= 0 or not low < high:
            return self.apply("clip", low, high)
        s = shift / slope
        return (variable().apply("clip", low / slope - s, high / slope - s) + s) * slope

    @property
    def by_column(self) -> bool:
        """Whether it has a coefficient for each column."""
        return any(isinstance(c, np.ndarray) for c in self.terms.values())

    @property
    def affine(self) -> tuple[float | Array, float | Array] | None:
        """(scale, offset) of scale * x + offset, None where it is none."""
        if not set(self.terms) <= {(X,), ()} or (X,) not in self.terms:
            return None
        return self.terms[X,], self.terms.get((), 0.0)


def variable() -> Expression:
    return Expression({(X,): 1.0})


def _joined(operation: Any, a: float | Array, b: float | Array) -> Any:
    """Sum or product of coefficients. Arrays do not grow beyond the larger: (1000, 1) and (1000,) will not meet."""
    with np.errstate(all="ignore"):
        if not isinstance(a, np.ndarray) and not isinstance(b, np.ndarray):
            return float(operation(a, b))
        if math.prod(np.broadcast_shapes(np.shape(a), np.shape(b))) > max(np.size(a), np.size(b)):
            raise TooComplexError
        return operation(a, b)


# --- comparison, with constants that are equal to rounding ---


def _skeleton(monomial: Monomial) -> str:
    """The monomial without its constants."""
    return repr([atom if atom == X else (atom[0], sorted(_skeleton(m) for m, _ in atom[1])) for atom in monomial])


def _near(a: Any, b: Any) -> bool:
    if not isinstance(a, float) or not isinstance(b, float):
        return False
    return a == b or (math.isfinite(a) and math.isfinite(b) and abs(a - b) <= CLOSE * max(abs(a), abs(b), 1e-3))


def _same_monomial(a: Monomial, b: Monomial) -> bool:
    for one, other in zip(a, b, strict=True):
        if one == X or other == X:
            if one != other:
                return False
        elif (
            one[0] != other[0]
            or not all(_near(p, q) for p, q in zip(one[2], other[2], strict=True))
            or not same(dict(one[1]), dict(other[1]))
        ):
            return False
    return True


def _in_order(terms: Terms) -> list[tuple[str, str, Monomial, Any]]:
    """(form, form and constants, monomial, coefficient) of each term. Two terms of one form are only such as max(x, 0)
    and min(x, 0), whose constants are exact."""
    return sorted((_skeleton(m), repr(m), m, c) for m, c in terms.items())


def form(terms: Terms) -> tuple[str, ...]:
    """The expression without its constants: where this differs, so do the functions."""
    return tuple(skeleton for skeleton, *_ in _in_order(terms))


def same(a: Terms, b: Terms) -> bool:
    """Whether the two are one function."""
    one, other = _in_order(a), _in_order(b)
    if [p[0] for p in one] != [q[0] for q in other]:
        return False
    return all(_near(p[3], q[3]) and _same_monomial(p[2], q[2]) for p, q in zip(one, other, strict=True))


# --- the activations ---


def positive(x: Expression) -> Expression:
    return x.clip(0.0, math.inf)


def elu(x: Expression, alpha: float) -> Expression:
    return positive(x) + (x.clip(-math.inf, 0.0).apply("exp") - 1.0) * alpha


def leaky_relu(x: Expression, alpha: float) -> Expression:
    return positive(x) + x.clip(-math.inf, 0.0) * alpha


def selu(x: Expression) -> Expression:
    return elu(x, 1.6732632423543772848) * 1.0507009873554804934


def gelu(x: Expression) -> Expression:
    return x * 0.5 * ((x * math.sqrt(0.5)).apply("erf") + 1.0)


def gelu_tanh(x: Expression) -> Expression:
    return x * 0.5 * (((x + x * x * x * 0.044715) * math.sqrt(2 / math.pi)).apply("tanh") + 1.0)


def hard_sigmoid(x: Expression) -> Expression:
    return (x * (1 / 6) + 0.5).clip(0.0, 1.0)


def softpluses(x: Expression) -> tuple[Expression, ...]:
    """ln(1 + exp(x)) as an operator, in the form that does not overflow, and as it stands."""
    small = (x.apply("abs") * -1.0).apply("exp")
    return (
        x.apply("softplus"),
        positive(x) + (small + 1.0).apply("log"),
        (x.apply("exp") + 1.0).apply("log"),
    )


def _patterns() -> list[tuple[type[Activation], Expression]]:
    x = variable()
    return [
        (ReLU, positive(x)),
        (ReLU6, x.clip(0.0, 6.0)),
        (SELU, selu(x)),
        (GELU, gelu(x)),
        (GELUTanh, gelu_tanh(x)),
        (SiLU, x * x.apply("sigmoid")),
        *((Mish, x * form.apply("tanh")) for form in softpluses(x)),
        *((Softplus, form) for form in softpluses(x)),
        (Exponential, x.apply("exp")),
        (Sigmoid, x.apply("sigmoid")),
        (HardSigmoid, hard_sigmoid(x)),
        (HardSwish, x * hard_sigmoid(x)),
        (Tanh, x.apply("tanh")),
        (Step, x.apply("step")),
    ]


PATTERNS: dict[tuple[str, ...], list[tuple[type[Activation], Expression]]] = {}  # by their form
for _kind, _pattern in _patterns():
    PATTERNS.setdefault(form(_pattern.terms), []).append((_kind, _pattern))
WITH_ALPHA: dict[tuple[str, ...], tuple[type[Any], Callable[[Expression, float], Expression]]] = {
    form(make(variable(), 0.5).terms): (kind, make) for kind, make in ((LeakyReLU, leaky_relu), (ELU, elu))
}


def activation(found: Expression) -> Activation | None:
    """The activation that this is, None where it is none."""
    shape = form(found.terms)
    for kind, pattern in PATTERNS.get(shape, ()):
        if same(found.terms, pattern.terms):
            return kind()
    if shape in WITH_ALPHA:
        parametric, make = WITH_ALPHA[shape]
        alphas = {abs(c) for c in found.terms.values() if isinstance(c, float) and math.isfinite(c)}
        for alpha in sorted(alphas):
            if same(found.terms, make(variable(), alpha).terms):
                return parametric(alpha)
    return None


Scaling: TypeAlias = "tuple[float, float]"  # scale, offset


LARGEST = 1e30  # bound of a clip that becomes an activation between two scalings


def scaled_clip(found: Expression) -> tuple[Scaling, Activation, Scaling] | None:
    """A clip that an activation makes between two scalings: (the one before it, it, the one after it).

    Clip(0, c) is relu6(6 x / c) c / 6; what is bounded within -1 .. 1 is a hard sigmoid of another slope and range.
    Others would lose digits, as their bounds are larger than what lies between: None.
    """
    clips = [(m, c) for m, c in found.terms.items() if m]
    offset = found.terms.get((), 0.0)
    if len(clips) != 1 or not isinstance(clips[0][1], float) or not isinstance(offset, float):
        return None
    [(monomial, a)] = clips
    if len(monomial) != 1 or monomial[0][0] != "clip" or monomial[0][1] != (((X,), 1.0),):
        return None
    low, high = monomial[0][2]
    if max(abs(low), abs(high)) > LARGEST:  # the scalings would be beyond what floats hold well
        return None
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        return None
    if low == 0 and offset == 0:
        return (6.0 / high, 0.0), ReLU6(), (a * high / 6.0, 0.0)
    if max(abs(a * low + offset), abs(a * high + offset)) > 1 + CLOSE:
        return None
    half = (high - low) / 2
    after = 2 * half * a, a * low + offset
    unit = _near(after[0], 1.0) and abs(after[1]) < CLOSE
    return (3.0 / half, -3.0 * (low + half) / half), HardSigmoid(), (1.0, 0.0) if unit else after
