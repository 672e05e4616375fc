"""Builds vmath_check.c for every instruction set that runs here, and judges kernels/vmath.h, gates.h and math64.c.

    python tests/c/run_vmath_check.py             a thin sample, under a minute
    python tests/c/run_vmath_check.py --step 1    every float there is: an hour of one processor
    python tests/c/run_vmath_check.py --every exp log    every float for these
    python tests/c/run_vmath_check.py --time      nanoseconds an element, and nothing else

1. Accuracy: at most 2 ulp for each function, 3 for five activations, measured on the fastest table that runs, and on
   the one without FMA.
2. Bits: every table with FMA gives the same hash over a fixed sample; math64.c gives the same hash on all tables. arm64
   takes part natively, or on another machine if a cross compiler and user-mode emulation are installed.
3. Negative control: with one coefficient off by 2^-12 (float) or 2^-40 (double) the accuracy check must fail, and with
   one off by an ulp the hash must change. A check that cannot fail proves nothing.

Exit 0 if all is well, 1 if not.
"""

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
CSRC = HERE.parent.parent / "csrc"
VMATH = CSRC / "kernels" / "vmath.h"
FLAGS = ["-std=c11", "-O2", "-D_GNU_SOURCE", "-ffp-contract=off", "-fno-math-errno", "-Wall", "-Wextra"]
X86 = {  # table: (processor feature, compiler flags); the fastest first
    "avx512": ("avx512vl", "-mavx512f -mavx512dq -mavx512bw -mavx512vl -mfma"),
    "avx2": ("avx2", "-mavx2 -mfma"),
    "scalar": ("fma", "-mfma"),
    "sse2": ("sse2", ""),
}
LIMIT = dict.fromkeys(("mish", "gelu", "gelu_tanh", "selu", "hard_swish"), "3")  # the others: 2
GATES = ["softplus", "silu", "mish", "gelu", "gelu_tanh"]
PLAIN = ["relu", "relu6", "leaky_relu", "hard_sigmoid", "hard_swish"]  # activations without exp
FUNCTIONS = ["exp", "log", "tanh", "sigmoid", "erf", "expm1", "log1p", *GATES, *PLAIN, "elu", "selu"]
MATH64 = ["m64_exp", "m64_log", "m64_sin", "m64_cos"]
BREAKS = {
    "exp_c": ["exp", "expm1", "sigmoid", *GATES, "elu", "selu"],
    "log_c": ["log", "log1p"],
    "tanh_c": ["tanh"],
    "erf_inner_c": ["erf"],
    "erf_outer_c": ["erf"],
}
LACKS_ISA = 77


class Program:
    """One build of vmath_check.c."""

    def __init__(self, folder, isa, bits, header=VMATH):
        self.isa, self.bits = isa, bits
        self.path = Path(folder) / f"check_{isa}_{bits}_{Path(header).name}"
        compiler, flags, self.prefix = os.environ.get("CC", "cc").split(), [], []
        if isa in X86 and platform.machine() in ("x86_64", "AMD64"):
            feature, extra = X86[isa]
            flags = [*extra.split(), f'-DCPU_NEEDS="{feature}"']
        elif isa == "neon" and platform.machine() not in ("aarch64", "arm64"):
            compiler, flags, self.prefix = ["aarch64-linux-gnu-gcc"], ["-static"], [emulator()]
        defines = [f"-DFNN_BITS={bits}", f'-DFNN_SIMD_HEADER="{isa}.h"', f'-DVMATH_HEADER="{header}"', f"-I{CSRC}"]
        sources = [str(HERE / "vmath_check.c"), str(CSRC / "math64.c"), "-lm", "-o", str(self.path)]
        subprocess.run([*compiler, *FLAGS, *flags, *defines, *sources], check=True)

    def __call__(self, *arguments):
        command = [*self.prefix, str(self.path), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def runs(self):
        return self("hash", "exp", 0).returncode != LACKS_ISA


def emulator():
    return shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")


def build_tables(folder, bits):
    """The tables that run here, fastest first; those that do not are named."""
    machine = platform.machine()
    names = list(X86) if machine in ("x86_64", "AMD64") else ["neon", "scalar"]
    if "neon" not in names and shutil.which("aarch64-linux-gnu-gcc") and emulator():
        names.append("neon")
    built = [Program(folder, isa, bits) for isa in names]
    for program in built:
        if not program.runs():
            print(f"skipped: {program.isa} (this processor lacks it)")
    return [p for p in built if p.runs()]


def check_accuracy(program, functions, step, every=()):
    failures = 0
    for function in functions:
        result = program("error", function, 1 if function in every else step, LIMIT.get(function, "2"))
        print(f"{program.isa:7s}", result.stdout.strip(), "" if result.returncode == 0 else "<-- FAILED", flush=True)
        failures += result.returncode != 0
    return failures


def check_hashes(programs, functions, count):
    failures = 0
    for function in functions:
        hashes = {p.isa: p("hash", function, count).stdout for p in programs}
        if len(set(hashes.values())) != 1 or not hashes[programs[0].isa]:
            print(f"{function}: bits differ between tables <-- FAILED\n{hashes}")
            failures += 1
    print(f"bits of {', '.join(functions)} over {count:,} compared: {', '.join(p.isa for p in programs)}", flush=True)
    return failures


def broken_header(folder, bits, array, relative):
    """A copy of vmath.h whose lowest coefficient in that array is off by so much (relatively)."""
    kind = "float" if bits == 32 else "double"
    head, tail = re.search(rf"(static const {kind} {array}\[\] = \{{[^}}]*[\s{{])(\S+\}};)", VMATH.read_text()).groups()
    value = float.fromhex(tail.rstrip("};").rstrip("F")) * (1 + relative)
    path = Path(folder) / f"vmath_{array}_{relative.hex()}.h"
    path.write_text(VMATH.read_text().replace(head + tail, f"{head}{value.hex()}{'F' if bits == 32 else ''}}};"))
    return path


def check_that_it_can_fail(folder, good, step):
    """good: the unbroken program. Returns how many faults went unnoticed."""
    bits, unnoticed = good.bits, 0
    much, little = (2.0**-12, 2.0**-23) if bits == 32 else (2.0**-40, 2.0**-52)
    for array, functions in BREAKS.items():
        wrong = Program(folder, good.isa, bits, broken_header(folder, bits, array, much))
        off = Program(folder, good.isa, bits, broken_header(folder, bits, array, little))
        for f in functions:
            if wrong("error", f, step, LIMIT.get(f, "2")).returncode != 1:
                print(f"a fault in {array} ({bits} bits) went unnoticed in the error of {f} <-- FAILED")
                unnoticed += 1
            if off("hash", f, 1 << 18).stdout == good("hash", f, 1 << 18).stdout:
                print(f"one ulp in {array} ({bits} bits) went unnoticed in the bits of {f} <-- FAILED")
                unnoticed += 1
    print(f"negative control, {bits} bits: {unnoticed} faults unnoticed")
    return unnoticed


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--step", type=int, default=2003, help="every step-th float; 2^30 / step doubles")
    parser.add_argument("--every", nargs="+", choices=FUNCTIONS, default=[], help="every float for these functions")
    parser.add_argument("--hashes", type=int, default=1 << 18, help="how many inputs the tables are compared over")
    parser.add_argument("--time", action="store_true", help="print nanoseconds an element and stop")
    options = parser.parse_args(arguments)
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        for bits in (32, 64):
            programs = build_tables(folder, bits)
            if options.time:
                for p in programs:
                    for f in FUNCTIONS:
                        print(f"{p.isa:7s}", p("time", f).stdout.strip())
                continue
            every = options.every if bits == 32 else []  # of doubles there is no end
            functions = FUNCTIONS + (MATH64 if bits == 64 else [])
            failures += check_accuracy(programs[0], functions, options.step, every)
            unfused = [f for f in FUNCTIONS if not f.startswith("gelu")]  # whose tails need what a product loses
            failures += sum(check_accuracy(p, unfused, max(options.step, 2003)) for p in programs if p.isa == "sse2")
            failures += check_hashes([p for p in programs if p.isa != "sse2"], FUNCTIONS, options.hashes)
            if bits == 64:
                failures += check_hashes(programs, MATH64, options.hashes)
            failures += check_that_it_can_fail(folder, programs[0], max(options.step, 20011))
    if not options.time:
        print(f"{failures} failures" if failures else "ok")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
