"""What is shipped: the bill of materials, what may be in a wheel, the two workflows, names that are loaded late."""

from __future__ import annotations

import base64
import hashlib
import importlib
import json
import re
import sys
import tomllib
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from test_environment import python

import fastnn
from fastnn import callbacks

ROOT = Path(__file__).resolve().parents[1]
INFO = "fastnn_cpu-9.9.dist-info"
METADATA = """Metadata-Version: 2.4
Name: fastnn-cpu
Version: 9.9
Summary: nets
License-Expression: BSD-3-Clause
Requires-Dist: numpy>=1.25
Requires-Dist: rich>=13; extra == "cli"
"""


def tool(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    if not (ROOT / "tools" / f"{name}.py").is_file():
        pytest.skip("tools/ is not here: an installed wheel is being tested")
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    return importlib.import_module(name)


def wheel(folder: Path, files: dict[str, str], recorded: dict[str, str] | None = None) -> Path:
    """A wheel of these files. recorded: what RECORD is made from, where it shall be wrong."""
    files = {**files, f"{INFO}/METADATA": METADATA}

    def line(name: str, text: str) -> str:
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
        return f"{name},sha256={digest},{len(text)}"

    lines = [line(name, text) for name, text in {**files, **(recorded or {})}.items()]
    path = folder / "fastnn_cpu-9.9-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in {**files, f"{INFO}/RECORD": "\n".join([*lines, f"{INFO}/RECORD,,"])}.items():
            archive.writestr(zipfile.ZipInfo(name, (2024, 5, 6, 7, 8, 10)), text)
    return path


# --- the bill of materials ---


def test_the_bill_lists_files_needs_and_builders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    path = wheel(tmp_path, {"fastnn/a.py": "a = 1\n"})
    written = tool("sbom", monkeypatch).write(path)
    assert written.name == path.name + ".cdx.json"
    bill = json.loads(written.read_text())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert bill["metadata"]["timestamp"] == "2024-05-06T07:08:10Z"
    package = bill["metadata"]["component"]
    assert (package["name"], package["version"]) == ("fastnn-cpu", "9.9")
    assert package["hashes"][0]["content"] == hashlib.sha256(path.read_bytes()).hexdigest()
    by_name = {c["name"]: c for c in bill["components"]}
    assert by_name["fastnn/a.py"]["hashes"][0]["content"] == hashlib.sha256(b"a = 1\n").hexdigest()
    assert [by_name[n]["scope"] for n in ("rich", "cython")] == ["optional", "excluded"]
    refs = [c["bom-ref"] for c in bill["components"]]
    assert len(set(refs)) == len(refs)
    assert bill["dependencies"] == [{"ref": "pkg:pypi/fastnn-cpu@9.9", "dependsOn": ["required:numpy>=1.25"]}]


def test_the_bill_of_the_same_wheel_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    sbom, bills = tool("sbom", monkeypatch), []
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        bills.append(sbom.write(wheel(tmp_path / name, {"fastnn/a.py": "ab"[name == "c"]})).read_text())
    assert bills[0] == bills[1] != bills[2]
    assert '"2023-11-14T22:13:20Z"' in bills[0]


@pytest.mark.parametrize(
    ("recorded", "message"),
    [
        ({"fastnn/a.py": "a = 2\n"}, "fastnn/a.py: its SHA-256 is not"),
        ({"fastnn/b.py": ""}, r"different files: \['fastnn/b"),
    ],
)
def test_a_wheel_that_is_not_what_its_record_says_has_no_bill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recorded: dict[str, str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        tool("sbom", monkeypatch).bill(wheel(tmp_path, {"fastnn/a.py": "a = 1\n"}, recorded))


# --- what may be in a wheel ---


def test_only_what_is_needed_may_be_in_a_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = ["fastnn/_core.cpython-313-x86_64-linux-gnu.so", "fastnn/engine/plan.cp313-win_amd64.pyd",
            "fastnn/_core.pyi", "fastnn/_core.abi3.so", "fastnn/py.typed", "fastnn/export/csrc/kernels/vmath.h",
            "fastnn/export/templates/source.c", f"{INFO}/licenses/LICENSE"]  # fmt: skip
    bad = ["fastnn/_core.pyx", "fastnn/_core.c", "fastnn/_core.pxd", "tests/test_model.py", "fastnn/a.so.txt",
           "fastnn/csrc/gemm.c", "fastnn/notes.md", "numpy.libs/libx.so"]  # fmt: skip
    path = wheel(tmp_path, dict.fromkeys([*good, *bad], "text"))
    with zipfile.ZipFile(path, "a") as archive:
        archive.mkdir("fastnn/engine")
    builder = tool("build_wheels", monkeypatch)
    assert builder.strangers(path) == bad
    assert builder.checked(path) == [f"{name} does not belong" for name in bad]
    monkeypatch.setattr(builder, "MOST_BYTES", 100)
    assert re.match(r"[\d,]+ bytes, and 100 are too many", builder.checked(path)[0])


def test_the_installed_package_is_what_may_be_in_a_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    belongs, package = tool("build_wheels", monkeypatch).BELONGS, Path(fastnn.__file__).parent
    shipped = [p for p in package.rglob("*") if p.is_file() and p.suffix in (".py", ".pyi", ".so", ".pyd", ".typed")]
    assert [str(p) for p in shipped if not belongs.fullmatch(f"fastnn/{p.relative_to(package).as_posix()}")] == []
    assert len(shipped) > 100


def test_every_interpreter_is_taken_once_and_others_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    builder = tool("build_wheels", monkeypatch)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")  # an sdist has no commits to ask
    found = builder.interpreters([sys.executable, sys.executable])
    assert [name.rstrip("t") for name in found] == ["{}.{}".format(*sys.version_info[:2])]
    assert list(found.values()) == [sys.executable]
    old = tmp_path / "python3.9"
    old.write_text("#!/bin/sh\necho cpython 3 9 0\n")
    old.chmod(0o755)
    with pytest.raises(SystemExit, match=r"cpython 3\.9; expected CPython 3\.11 or later"):
        builder.interpreters([str(old)])


# --- the workflows ---


def workflow(name: str) -> str:
    path = ROOT / ".github" / "workflows" / name
    if not path.is_file():
        pytest.skip("the workflows are not here: an installed wheel or an sdist is being tested")
    return path.read_text()


def test_wheels_are_built_for_what_the_classifiers_name_and_ci_tests() -> None:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
    named = re.findall(r"Python :: 3\.(\d+)", "\n".join(project["project"]["classifiers"]))
    built = re.findall(r"cp3(\d+)-", project["tool"]["cibuildwheel"]["build"])
    matrix = re.search(r"^        python: \[(.*)\]", workflow("ci.yml"), re.M)
    assert matrix is not None
    assert named == built == re.findall(r'"3\.(\d+)"', matrix[1])


def test_publishing_needs_no_stored_token_and_only_a_tag_publishes() -> None:
    text = workflow("release.yml")
    jobs = dict(re.findall(r"^  (\w+):\n((?:(?:    .*)?\n)+)", text.split("\njobs:\n")[1] + "\n", re.M))
    assert list(jobs) == ["sdist", "wheels", "publish", "release"]
    assert "secrets." not in text
    assert [name for name, body in jobs.items() if "id-token: write" in body] == ["publish"]
    assert all("if: github.ref_type == 'tag'\n" in jobs[name] for name in ("publish", "release"))
    assert "contents: write" not in jobs["publish"]


@pytest.mark.parametrize("name", ["ci.yml", "isa.yml", "release.yml"])
def test_actions_are_named_by_their_commits(name: str) -> None:
    used = re.findall(r"uses: (\S+)@(\S+)(.*)", workflow(name))
    assert used
    by_tag = [action for action, at, says in used if not re.fullmatch(r"[0-9a-f]{40}", at) or "# v" not in says]
    assert not by_tag


# --- names that are loaded late ---


def test_late_names_are_attributes_and_listed() -> None:
    for package in (fastnn, callbacks):
        assert {*package.__all__} <= {*dir(package)}
        assert [name for name in package.__all__ if not hasattr(package, name)] == []
    with pytest.raises(AttributeError, match=r"module 'fastnn\.callbacks' has no attribute 'EarlyStoping'"):
        callbacks.EarlyStoping  # noqa: B018


def test_import_leaves_what_no_model_needs() -> None:
    late = [
        "session",
        "ensemble",
        "callbacks._monitors",
        "_summary",
        "engine.probes",
        "interop",
        "export",
        "data",
        "nnfs",
        "functional",
    ]
    code = (
        f"import sys, fastnn; print([m for m in {late} if 'fastnn.' + m in sys.modules], 'fastnn.model' in sys.modules)"
    )
    assert python(code).stdout.strip() == "[] True"
    numpy_has = "import numpy, sys; print({'threading', 'copy'} & set(sys.modules))"
    assert (
        python(numpy_has + "; import fastnn; " + numpy_has).stdout.split("\n")[:-1]
        == [python(numpy_has).stdout.strip()] * 2
    )


def test_the_package_does_without_safetensors_until_a_file_is_touched() -> None:
    code = (
        "import sys; sys.modules['safetensors'] = None; import fastnn;"
        "print(fastnn.Model([fastnn.Dense(2, 1)]).predict([[1, 2]]).shape)"
    )
    assert python(code).stdout.strip() == "(1, 1)"


@pytest.mark.parametrize("before", ["enable", "disable"])
@pytest.mark.parametrize("broken", [False, True])
def test_the_collector_is_as_it_was_before_the_import(before: str, broken: bool) -> None:
    """It is off for that long; also where the import fails, as that of a module of ours does here."""
    code = f"import gc, sys\ngc.{before}()\nsys.modules['fastnn.history'] = {'None' if broken else 'sys'}\n"
    code += "" if broken else "del sys.modules['fastnn.history']\n"
    code += (
        "try:\n    import fastnn\n    print('imported', end=' ')\nexcept ImportError:\n    print('failed', end=' ')\n"
    )
    assert python(code + "print(gc.isenabled())").stdout.split() == [
        "failed" if broken else "imported",
        str(before == "enable"),
    ]
