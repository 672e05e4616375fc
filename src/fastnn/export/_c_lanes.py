"""The elementwise mathematics of an exported file, made from the source that Python itself runs on.

csrc/kernels/*.h are written once on abstract vectors; with vectors of one lane they are plain C. ``Library`` reads
them, takes what an export needs with all that this stands on, and writes every primitive as the operator that it is on
one lane: ``vf_fma(p, x, vf_set1(c[i]))`` becomes ``fused(p, x, c[i])``. Nothing is left to be kept equal by hand: an
activation that is added to csrc/ is exported by its own text. Only the loops over rows (templates/rows.h) are written
apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from fastnn.export._c_source import arguments, chosen, closing, definitions, split_comment, without_comments

HERE = Path(__file__).resolve().parent
TEMPLATES = HERE / "templates"
FILES = ("simd/simd.h", "kernels/vmath.h", "kernels/gates.h", "kernels/activations.h", "kernels/norm.h")

# how tightly C binds, of what is written here
PRIMARY, UNARY, PRODUCT, SUM, LOOSE = 9, 8, 7, 6, 0
# fmt: off
SIGNS = {
    "vf_add": "+", "vf_sub": "-", "vf_mul": "*", "vf_div": "/", "vi_add": "+", "vi_sub": "-", "vi_sll": "<<",
    "vi_srl": ">>", "vi_and": "&", "vi_or": "|", "vi_xor": "^", "vm_and": "&&", "vm_or": "||", "vf_gt": ">",
    "vf_ge": ">=", "vf_lt": "<", "vf_le": "<=", "vf_eq": "==",
}
TIGHTNESS = {"+": SUM, "-": SUM, "*": PRODUCT, "/": PRODUCT}  # of the other signs LOOSE: compilers ask for parentheses
CALLS = {  # functions of templates/lanes.h
    "vf_fma": "fused", "vf_sqrt": "root", "vf_max": "larger", "vf_min": "smaller", "vf_bits": "to_bits",
    "vf_from_bits": "from_bits",
}
OTHERS = {
    "vf_zero", "vf_set1", "vi_set1", "vf_fnma", "vf_neg", "vf_select", "FNN_POLY", "__builtin_inf", "__builtin_nan",
}
# fmt: on
PRIMITIVES = SIGNS.keys() | CALLS.keys() | OTHERS
IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
CALL = re.compile(r"\b([A-Za-z_]\w*)\(")
INTEGER = re.compile(r"-?\d+")
REAL = re.compile(r"-?(0x[0-9a-f.]+p[+-]\d+|\d+\.\d*)F?", re.I)


class Definition(NamedTuple):
    """A function, array, type or macro: its text in C on one lane, and the names of the others that it mentions."""

    name: str
    text: str
    needs: tuple[str, ...]


class Library:
    """Every definition of the headers, for float (bits = 32) or double (64), in the order of the files."""

    def __init__(self, bits: int) -> None:
        self.bits = bits
        self.real = "float" if bits == 32 else "double"
        self.texts: dict[str, str] = {}
        for path in [TEMPLATES / "lanes.h", *(source_folder() / name for name in FILES), TEMPLATES / "rows.h"]:
            self.texts.update(definitions(chosen(path.read_text(encoding="ascii"), bits)))
        self.definitions: dict[str, Definition] = {}

    def text_of(self, wanted: Iterable[str]) -> str:
        """The wanted definitions and all that they stand on, each after what it needs."""
        needed: set[str] = set()

        def take(name: str) -> None:
            if name not in needed:
                needed.add(name)
                for other in self._definition(name).needs:
                    take(other)

        for name in wanted:
            take(name)
        order = [name for name in self.texts if name in needed]
        blocks: list[str] = []
        for name in order:
            text = self.definitions[name].text
            together = bool(blocks) and text.startswith("#define") and blocks[-1].startswith("#define")
            blocks[-1:] = [f"{blocks[-1]}\n{text}"] if together else [*blocks[-1:], text]
        return "\n\n".join(blocks)

    def _definition(self, name: str) -> Definition:
        if name not in self.definitions:
            text = self.translated(self.texts[name])
            known = {_plain(other): other for other in self.texts}
            mentioned = dict.fromkeys(known.get(word, "") for word in IDENTIFIER.findall(without_comments(text)))
            self.definitions[name] = Definition(name, text, tuple(n for n in mentioned if n and n != name))
        return self.definitions[name]

    def translated(self, text: str) -> str:
        """The text of a definition on one lane; ValueError where it holds a primitive that has no form here."""
        comment, code = split_comment(text)
        code = re.sub(r"^#pragma[^\n]*\n", "", code, flags=re.M)
        code = re.sub(r"\bFNN_INLINE\b", "static inline", code)
        code = self._in_place(code)
        code = re.sub(r"\b(vf|real)\b", self.real, code)
        code = re.sub(r"\b(vi|fnn_bits)\b", f"uint{self.bits}_t", code)
        code = re.sub(r"\bvm\b", "int", code)
        code = re.sub(r"\bFNN_BITS\b", str(self.bits), code)
        code = re.sub(r"\bvf_\w+", lambda found: _plain(found[0]), code)
        left = re.search(r"\b(v[fimw]_|VF_|vw_)\w+", code)
        if left:
            raise ValueError(f"{left[0]} has no form on one lane: see fastnn/export/_c_lanes.py")
        return comment + code

    def _in_place(self, code: str) -> str:
        """Every primitive of a text replaced, with parentheses where its surroundings ask for them."""
        out, at = [], 0
        while found := _next_primitive(code, at):
            end = closing(code, found.end() - 1) + 1
            text, tightness = self._expression(code[found.start() : end])
            before, after = code[: found.start()].rstrip(), code[end:].lstrip()
            alone = before.endswith(("=", "(", ",", "{", "return", ";", "}")) and after.startswith((")", ",", ";", "}"))
            out += [code[at : found.start()], text if alone or tightness == PRIMARY else f"({text})"]
            at = end
        return "".join(out) + code[at:]

    def _expression(self, text: str) -> tuple[str, int]:
        """An expression on one lane, and how tightly its outermost operator binds."""
        text = text.strip()
        found = CALL.match(text)
        if not found or found[1] not in PRIMITIVES or closing(text, found.end() - 1) != len(text) - 1:
            inside = self._in_place(text)
            simple = re.fullmatch(r"[\w.]+(\[\w+\])*(->\w+)?", inside) or (
                (call := CALL.match(inside)) and closing(inside, call.end() - 1) == len(inside) - 1
            )
            return inside, PRIMARY if simple else UNARY if re.fullmatch(r"[-*~][\w.]+", inside) else LOOSE
        name, given = found[1], arguments(text[found.end() : -1])
        if name in SIGNS:
            sign = SIGNS[name]
            tightness = TIGHTNESS.get(sign, LOOSE)
            least = tightness if tightness > LOOSE else UNARY
            left, right = (self._expression(a) for a in given)  # a - (b - c) keeps its parentheses
            return f"{_tight(left, least)} {sign} {_tight(right, least + (tightness > LOOSE))}", tightness
        if name == "vf_max" and given[0] == "vf_zero()":
            return f"at_least_zero({self._expression(given[1])[0]})", PRIMARY
        if name in CALLS:
            return f"{CALLS[name]}({', '.join(self._expression(a)[0] for a in given)})", PRIMARY
        return self._other(name, given)

    def _other(self, name: str, given: list[str]) -> tuple[str, int]:
        if name == "vf_zero":
            return self._literal("0"), PRIMARY
        if name in ("vf_set1", "vi_set1"):
            return self._constant(given[0]) if name == "vf_set1" else self._expression(given[0])
        if name == "vf_neg":
            return f"-{_tight(self._expression(given[0]), PRIMARY)}", UNARY
        if name == "vf_fnma":
            a, b, c = (self._expression(argument) for argument in given)
            return f"fused(-{_tight(a, PRIMARY)}, {b[0]}, {c[0]})", PRIMARY
        if name == "vf_select":
            m, a, b = (self._expression(argument) for argument in given)
            return f"{_tight(m, UNARY)} ? {_tight(a, SUM)} : {_tight(b, SUM)}", LOOSE
        if name == "FNN_POLY":
            degree = self.texts[given[1]].count(",")
            return f"{_plain('vf_poly')}({self._expression(given[0])[0]}, {given[1]}, {degree})", PRIMARY
        return {"__builtin_inf": "INFINITY", "__builtin_nan": "NAN"}[name], PRIMARY

    def _constant(self, text: str) -> tuple[str, int]:
        """What vf_set1 is given, as a number of the real type: an int left as it is would divide as one."""
        text = text.strip()
        if INTEGER.fullmatch(text):
            return self._literal(text), PRIMARY if text[0] != "-" else UNARY
        exact = re.fullmatch(r"\(real\)(\d+\.\d+)", text)
        if exact and float(exact[1]).as_integer_ratio()[1] <= 1 << 20:  # the same number in every type
            return exact[1] + ("f" if self.bits == 32 else ""), PRIMARY
        if re.fullmatch(r"\(real\)[\w.]+(\(.*\))?", text):
            return f"(real){self._expression(text[len('(real)') :])[0]}", UNARY
        value = self.texts.get(text.lstrip("-"), "").partition(f"{text.lstrip('-')} ")[2].split("/*")[0].strip()
        if REAL.fullmatch(text) or REAL.fullmatch(value) or value.startswith("((real)"):
            return text, PRIMARY if text[0] != "-" else UNARY
        if re.fullmatch(r"[a-z]\w*(\[\w+\])?", text):  # a variable
            return text, PRIMARY
        return f"(real)({self._expression(text)[0]})", UNARY

    def _literal(self, integer: str) -> str:
        return f"{integer}.0{'f' if self.bits == 32 else ''}"


@cache
def library(bits: int) -> Library:
    return Library(bits)


def source_folder() -> Path:
    """Where csrc/ is: beside this file in an installed package, at the root of a checkout otherwise."""
    for folder in (HERE / "csrc", HERE.parents[2] / "csrc"):
        if (folder / FILES[0]).is_file():
            return folder
    raise FileNotFoundError(f"{HERE / 'csrc'}: the headers that export_c is made from are not installed")


def _next_primitive(code: str, at: int) -> re.Match[str] | None:
    return next((found for found in CALL.finditer(code, at) if found[1] in PRIMITIVES), None)


def _tight(expression: tuple[str, int], least: int) -> str:
    text, tightness = expression
    return text if tightness >= least else f"({text})"


def _plain(name: str) -> str:
    """vf_exp is fnn_exp in an exported file: its vectors have one lane."""
    return f"fnn_{name[3:]}" if name.startswith("vf_") else name
