"""The floors of docs/architecture.md over every import, and the house rules of csrc/ that a text search can see."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "fastnn"
CSRC = ROOT / "csrc"

# the first prefix that fits says the floor; a module may import from its own floor or lower ones
FLOORS = [
    ("fastnn._core", -1),
    ("fastnn.kernels", 0),
    ("fastnn.engine", 1),
    ("fastnn.functional", 1),
    ("fastnn._functional_losses", 1),
    ("fastnn._operands", 1),
    ("fastnn._dlpack", 1),
    ("fastnn._threads", 1),
    ("fastnn.base", 2),
    ("fastnn._checks", 2),
    ("fastnn._network", 2),
    ("fastnn.layers", 2),
    ("fastnn.activations", 2),
    ("fastnn.losses", 2),
    ("fastnn.optimizers", 2),
    ("fastnn._optimizer", 2),
    ("fastnn._lbfgs", 2),
    ("fastnn.constraints", 2),
    ("fastnn._average", 4),
    ("fastnn._updates", 4),
    ("fastnn.schedules", 2),
    ("fastnn.initializers", 2),
    ("fastnn.metrics", 2),
    ("fastnn.data", 2),
    ("fastnn.custom", 2),
    ("fastnn._safetensors", 3),
    ("fastnn._atomic", 3),
    ("fastnn.checkpoint", 3),
    ("fastnn.history", 4),
    ("fastnn._summary", 4),
    ("fastnn._progress", 4),
    ("fastnn._weights", 2),
    ("fastnn._measures", 4),
    ("fastnn._probes", 4),
    ("fastnn._adapting", 4),
    ("fastnn._runs", 4),
    ("fastnn._forks", 1),
    ("fastnn._collector", 1),
    ("fastnn._training", 4),
    ("fastnn._online", 4),
    ("fastnn._gradcheck", 4),
    ("fastnn._stream", 4),
    ("fastnn._resume", 4),
    ("fastnn.callbacks", 4),
    ("fastnn.model", 4),
    ("fastnn._described", 4),
    ("fastnn._model_file", 4),
    ("fastnn._state_dict", 4),
    ("fastnn._files", 4),
    ("fastnn._labels", 4),
    ("fastnn.many", 4),
    ("fastnn.ensemble", 4),
    ("fastnn.session", 4),
    ("fastnn.plots", 4),
    ("fastnn.export", 4),
    ("fastnn.interop", 4),
    ("fastnn._conversions", 4),
    ("fastnn._cli", 5),
    ("fastnn._bench", 5),
    ("fastnn.cli", 5),
    ("fastnn.nnfs", 5),
    ("fastnn._doctor", 5),
    ("fastnn._threadpools", 5),
    ("fastnn.__main__", 5),
]


def module_name(path: Path) -> str:
    parts = ["fastnn", *path.relative_to(PACKAGE).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def floor(name: str) -> int:
    if name == "fastnn":
        return 6  # the front door
    for prefix, number in FLOORS:
        if name == prefix or name.startswith(prefix + ".") or (prefix[-1] != "." and name.startswith(prefix + "_")):
            return number
    raise AssertionError(f"{name} has no floor: enter it in FLOORS, where docs/architecture.md puts it")


SOURCES = sorted(p for kind in ("py", "pyx", "pxd") for p in PACKAGE.rglob(f"*.{kind}"))
MODULES = {module_name(p) for p in SOURCES}


def resolve(module: str, names: list[str]) -> set[str]:
    """What ``from module import names`` really imports: submodules where the names are such."""
    found = {f"{module}.{n}" for n in names if f"{module}.{n}" in MODULES}
    return found | ({module} if len(found) < len(names) else set())


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def python_imports(tree: ast.AST, package: str, top_only: bool = False) -> set[str]:
    """Modules imported, those for the type checker left out; top_only: those that run at import."""
    found: set[str] = set()
    for node in ast.iter_child_nodes(tree):
        if is_type_checking(node):
            continue
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            found |= resolve(".".join([*base, *filter(None, [node.module])]), [a.name for a in node.names])
        elif not (top_only and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))):
            found |= python_imports(node, package, top_only)
    return found


def cython_imports(text: str) -> set[str]:
    found: set[str] = set()
    for module, names in re.findall(r"^\s*from\s+([\w.]+)\s+c?import\s+(\([^)]*\)|[^\n]*)", text, re.M):
        found |= resolve(module, [n.split(" as ")[0].strip() for n in names.strip("()").split(",") if n.strip()])
    found |= set(re.findall(r"^\s*c?import\s+([\w.]+)", text, re.M))
    return found


def imports_of(path: Path, top_only: bool = False) -> set[str]:
    text = path.read_text(encoding="utf-8")
    name = module_name(path)
    package = name if path.stem == "__init__" else name.rpartition(".")[0]
    found = python_imports(ast.parse(text), package, top_only) if path.suffix == ".py" else cython_imports(text)
    return {m for m in found if m.split(".")[0] == "fastnn"} - {name}


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_file_imports_from_its_own_floor_or_lower(path: Path) -> None:
    here = floor(module_name(path))
    # the front door may be asked for its version by what stands just behind it
    higher = {m for m in imports_of(path) if floor(m) > here and not (m == "fastnn" and here == 5)}
    assert not higher, f"{module_name(path)} (floor {here}) imports {higher}"


def test_no_imports_go_in_a_circle() -> None:
    graph: dict[str, set[str]] = {}
    for path in SOURCES:
        if path.suffix != ".pxd":
            graph.setdefault(module_name(path), set()).update(imports_of(path, top_only=True) - {"fastnn"})
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, f"circle: {' -> '.join([*trail[trail.index(name) :], name])}"
        if name in done:
            return
        for other in sorted(graph.get(name, ())):
            visit(other, (*trail, name))
        done.add(name)

    for name in sorted(graph):
        visit(name, ())
    assert len(done) > 20


def test_the_search_sees_an_import_that_is_there() -> None:
    assert "fastnn.kernels.dense" in imports_of(PACKAGE / "engine" / "buffers.pyx")
    assert "fastnn._core" in imports_of(PACKAGE / "activations.py")
    assert (
        floor("fastnn._core")
        < floor("fastnn.kernels.dense")
        < floor("fastnn.engine.plan")
        <= floor("fastnn.engine.buffers")
        < floor("fastnn.model")
    )


def test_csrc_is_linked_into_one_extension() -> None:
    built = [p for p in _core_binary().parent.rglob("*") if p.suffix in (".so", ".pyd")]
    if not built:
        pytest.skip("not built in place")
    sentence = (
        b"any x86-64\0" if b"any x86-64\0" in _core_binary().read_bytes() else b"any processor of this architecture\0"
    )
    assert [p.name.split(".")[0] for p in built if sentence in p.read_bytes()] == ["_core"]


def _core_binary() -> Path:
    from fastnn import _core

    return Path(str(_core.__file__))


C_FILES = sorted(p for p in CSRC.rglob("*") if p.suffix in (".c", ".h", ".inc"))


def code_of(path: Path) -> str:
    """The text without comments and strings."""
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\])*"', " ", path.read_text(encoding="ascii"), flags=re.S)


@pytest.mark.parametrize("path", C_FILES, ids=lambda p: str(p.relative_to(CSRC)))
def test_csrc_keeps_the_house_rules(path: Path) -> None:
    assert path.read_bytes().isascii()
    code, name = code_of(path), path.relative_to(CSRC).as_posix()
    assert len(path.read_text().splitlines()) < 500
    if name != "workspace.c":
        assert not re.search(r"\b(malloc|calloc|realloc|free|aligned_alloc|posix_memalign)\s*\(", code)
    assert not re.search(r"\b(printf|fprintf|puts|abort|exit|assert|PyErr_\w+|Py_\w+)\s*\(", code)
    assert not re.search(r"#\s*if\s+0\b", code)
    intrinsics = re.findall(r"\b_mm\d*_\w+|\b__m(?:128|256|512)\w*|\bv[a-z]+q_[fsu]\d+\b", code)
    if not name.startswith("simd/") and name != "fpstate.h":
        assert not intrinsics
    if not name.startswith("simd/") and name not in ("fpstate.h", "tables/target.h"):
        assert not re.search(r"#\s*include\s*<\w*(intrin|arm_neon)\w*\.h>", code)
    if name.startswith("simd/"):  # an empty instruction that ties a value to a register; the strings are blanks here
        assert not re.search(r'__asm__\((?!"" )', path.read_text(encoding="ascii"))
    elif name not in ("fpstate.h", "dispatch.c", "threads.c"):
        assert "__asm__" not in code
    if not name.startswith(("simd/", "tables/")):
        assert not re.search(r"__AVX|__FMA__|__SSE|__ARM_NEON", code)


def test_the_search_sees_what_is_forbidden() -> None:
    assert "_mm256_fmadd_ps" in code_of(CSRC / "simd" / "avx2.h")
    assert re.search(r"\bfree\b", code_of(CSRC / "workspace.c"))
    assert len(C_FILES) > 25


# --- the floating-point mode: docs/numerics.md, rule 6 ---

HEAD = re.compile(r"^( *)(cdef|def) (?!class |struct |enum|extern )([^=(]*?)(\w+)\(")
KERNELS = set(re.findall(r"\(\*+(\w+)\)\(", (PACKAGE / "_core.pxd").read_text(encoding="utf-8")))  # of the table
DRIVERS = {
    *("gemm", "opt_constants", "opt_step_shared", "schedule_rate", "average_shared", "gather_shared", "batch_norm_fwd"),
    *("batch_norm_bwd", "fnn_uniform", "fnn_normal", "fnn_sin", "fnn_cos", "fnn_schedule_rate", "fnn_opt_constants"),
}
BRACKETED_IN_C = ("net_row", "net_run")  # of session.c: who calls them need not set the mode


def drivers(session_c: str) -> set[str]:
    """The drivers that run kernels in whatever mode they find."""

    def sets_it(name: str) -> bool:
        body = re.search(rf"^int fnn_{name}\(.*?^}}$", session_c, re.M | re.S)
        bracket = r"fnn_fp_state (\w+) = fnn_fp_enter\(\);.*fnn_fp_leave\(\1\);"
        return body is not None and re.search(bracket, body[0], re.S) is not None

    return DRIVERS | {name for name in BRACKETED_IN_C if not sets_it(name)}


def functions_of(code: str) -> list[tuple[str, bool, str]]:
    """(name, whether Python can call it, body) of each function of a .pyx file."""
    lines, found = code.splitlines(), []
    for i, head in ((i, HEAD.match(line)) for i, line in enumerate(lines)):
        if head:
            ends = (j for j in range(i + 1, len(lines)) if re.match(rf" {{0,{len(head[1])}}}[^ ]", lines[j]))
            found.append((head[4], head[2] == "def", "\n".join(lines[i + 1 : next(ends, len(lines))])))
    return found


def without_brackets(code: dict[str, str], session_c: str) -> list[str]:
    """What Python can call, of these files, and reaches a kernel in whatever mode the process has set."""
    bare = drivers(session_c)
    functions = [(file, *f) for file, text in code.items() for f in functions_of(text) if "fnn_fp_enter()" not in f[2]]
    at_home = {(file, name) for file, text in code.items() for name, _, _ in functions_of(text)}
    inside: dict[str, set[str]] = {}  # functions in C that leave the bracket to their callers, with their files

    def reaches(file: str, body: str) -> bool:
        for dot, name in re.findall(r"(self\.|\.|)\b(\w+)(?:\[[^\]]*\])?\(", body):
            if name in (KERNELS if dot == "." else bare):
                return True
            if file in inside.get(name, ()) or (name in inside and (file, name) not in at_home):
                return True
        return False

    before = -1
    while before != sum(map(len, inside.values())):
        before = sum(map(len, inside.values()))
        for file, name, public, body in functions:
            if not public and reaches(file, body):
                inside.setdefault(name, set()).add(file)
    return [f"{file}: {name}" for file, name, public, body in functions if public and reaches(file, body)]


def test_what_python_calls_runs_kernels_in_their_own_mode() -> None:
    code = {p.relative_to(PACKAGE).as_posix(): p.read_text(encoding="utf-8") for p in PACKAGE.rglob("*.pyx")}
    c = (CSRC / "session.c").read_text(encoding="ascii")
    assert {"act_fwd", "sum", "argmax_rows", "gather"} <= KERNELS
    assert without_brackets(code, c) == []
    for file, name in [("kernels/metrics.pyx", "argmax_rows"), ("engine/loop.pyx", "regularization_loss"),
                       ("engine/lbfgs.pyx", "__init__"), ("kernels/losses.pyx", "quick_mean")]:  # fmt: skip
        assert f"{file}: {name}" in without_brackets(code | {file: code[file].replace("fnn_fp_enter()", "0")}, c)
    for place in ("fnn_fp_enter();", "fnn_fp_leave(found);"):
        for once in (c.replace(place, "0;", 1), "0;".join(c.rsplit(place, 1))):  # of a row; of many
            assert "engine/session.pyx: run" in without_brackets(code, once)


@pytest.mark.parametrize("path", [p for p in SOURCES if p.suffix == ".py"], ids=lambda p: str(p.relative_to(PACKAGE)))
def test_python_files_are_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 450
