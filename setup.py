"""The build: Cython modules over csrc/. Everything else stands in pyproject.toml.

csrc/ is linked into ``fastnn._core`` alone; the other modules reach it by cimport. Each file of csrc/tables/ turns its
own instruction set on by a pragma, so one list of sources and one set of flags serves every processor.

FASTNN_SANITIZE=1 builds with AddressSanitizer and UndefinedBehaviorSanitizer (``make sanitize``).
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from glob import glob

import numpy as np
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

if sys.platform == "win32":
    sys.exit("fastnn: csrc/ needs GCC or clang and POSIX threads, so there is no Windows yet; it builds within WSL")
# not all of a machine's processors where only some are ours
JOBS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
SANITIZE = os.environ.get("FASTNN_SANITIZE") == "1"
# in a folder of its own: what one kind of build has left, the other would take for up to date
BUILD = "build/sanitized" if SANITIZE else "build"
HERE = os.path.dirname(os.path.abspath(__file__))

# No fast-math and no contraction: every fused multiply-add is written out (docs/numerics.md). -fno-math-errno lets the
# compiler use the square-root instruction. The prefix map keeps the build folder out of the wheel.
C_FLAGS = [
    "-std=c11",
    "-fno-fast-math",  # whatever CFLAGS say: it comes after them
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fvisibility=hidden",
    f"-ffile-prefix-map={HERE}=.",
    "-g0",
]
# csrc/ is where the time goes; the Cython glue around it gains nothing from more than -O1, and compiles twice as fast,
# but for what is called again and again with a single row
LANES_FLAGS, GLUE_FLAGS = ([], []) if SANITIZE else (["-O3"], ["-O1"])
CALL_FLAGS = {} if SANITIZE else {"fastnn.engine.session": ["-O2"]}
# else CFLAGS of -Ofast and the like make the linker add what turns on flush-to-zero for the whole process
LINK_FLAGS = ["-O2", "-fno-fast-math", "-fno-unsafe-math-optimizations"]
if SANITIZE:
    C_FLAGS.remove("-g0")
    C_FLAGS += [
        "-O1",
        "-g",
        "-fno-omit-frame-pointer",
        "-fsanitize=address,undefined",
        "-fno-sanitize-recover=undefined",
    ]
    LINK_FLAGS += ["-fsanitize=address,undefined"]

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,  # every size is checked where it comes in; the sanitizers watch the rest
    "wraparound": False,
    "initializedcheck": False,
    "cdivision": True,
    "embedsignature": True,
    "freethreading_compatible": True,
}


def extension(name: str, sources: list[str], ending: str = ".pyx") -> Extension:
    path = f"src/{name.replace('.', '/')}{ending}"
    return Extension(
        name,
        [path, *sources],
        include_dirs=["csrc", "csrc/tables", np.get_include()],
        depends=glob("csrc/**/*.[h]", recursive=True) + glob("csrc/*.inc"),
        define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")],
        extra_compile_args=C_FLAGS + (LANES_FLAGS if sources else CALL_FLAGS.get(name, GLUE_FLAGS)),
        extra_link_args=LINK_FLAGS,
    )


class ParallelBuild(build_ext):
    """Compiles the sources of an extension side by side; an install is then bound by the processor, not by one file."""

    def build_extensions(self) -> None:
        compile_all = self.compiler.compile
        self.parallel = self.parallel or JOBS  # build_ext -j

        def compile_in_parallel(sources, *args, **kwargs):
            with ThreadPoolExecutor(self.parallel) as pool:
                objects = pool.map(lambda source: compile_all([source], *args, **kwargs), sources)
                return [path for group in objects for path in group]

        self.compiler.compile = compile_in_parallel
        super().build_extensions()


# what export_c makes C from (src/fastnn/export/_c_lanes.py); in a checkout it reads them where they are
EXPORTED_HEADERS = [
    "simd/simd.h",
    "kernels/vmath.h",
    "kernels/gates.h",
    "kernels/activations.h",
    "kernels/norm.h",
]


class BuildWithHeaders(build_py):
    """Puts those headers of csrc/ into the package."""

    def run(self) -> None:
        super().run()
        for name, target in self._headers().items():
            self.mkpath(os.path.dirname(target))
            self.copy_file(name, target)

    def _headers(self) -> dict[str, str]:
        if self.editable_mode:
            return {}
        folder = os.path.join(self.build_lib, "fastnn", "export", "csrc")
        return {f"csrc/{name}": os.path.join(folder, name) for name in EXPORTED_HEADERS}

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        return [*super().get_outputs(include_bytecode), *self._headers().values()]


EXTENSIONS = [extension("fastnn._core", sorted(glob("csrc/*.c") + glob("csrc/tables/*.c")))] + [
    extension(path[len("src/") : -len(".pyx")].replace("/", "."), []) for path in sorted(glob("src/fastnn/*/*.pyx"))
]

# what Cython would put into every module, memoryviews above all, once for all of them; generated by cythonize
SHARED = "fastnn._cyutility"
EXTENSIONS.append(extension(SHARED, [], ".c"))

if __name__ != "__mp_main__":  # a process that cythonize started, where those are not forks (Python 3.14)
    setup(
        ext_modules=cythonize(
            EXTENSIONS,
            shared_utility_qualified_name=SHARED,
            nthreads=JOBS if sys.platform == "linux" else 0,
            compiler_directives=DIRECTIVES,
            build_dir=f"{BUILD}/cython",
        ),
        options={"build": {"build_base": BUILD}},
        cmdclass={"build_ext": ParallelBuild, "build_py": BuildWithHeaders},
    )
