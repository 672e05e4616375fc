"""The software bill of materials of a wheel: CycloneDX 1.6, as JSON, beside it (``<wheel>.cdx.json``).

python tools/sbom.py dist/*.whl

What is in the wheel, file by file with SHA-256; what it needs when it runs, from its own metadata, extras marked as
optional; what it was built with, from pyproject.toml. cyclonedx-py describes the packages of an environment instead,
knows nothing of a wheel's files, and brings thirty packages of its own; this needs the standard library alone.

The same wheel gives the same bytes: the time is SOURCE_DATE_EPOCH, or that of the newest entry of the wheel, and the
serial number comes from the wheel's hash.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import os
import re
import sys
import tomllib
import uuid
import zipfile
from datetime import UTC, datetime
from email.message import Message
from email.parser import BytesParser
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def purl(name: str, version: str = "") -> str:
    """The package URL of a distribution on PyPI."""
    return f"pkg:pypi/{re.sub(r'[-_.]+', '-', name).lower()}" + (f"@{version}" if version else "")


def checked_files(wheel: zipfile.ZipFile) -> list[dict[str, Any]]:
    """A component for each file. ValueError where the wheel's RECORD and its files differ."""
    names = sorted(i.filename for i in wheel.infolist() if not i.is_dir())
    record = next(name for name in names if name.endswith(".dist-info/RECORD"))
    rows = {row[0]: row[1] for row in csv.reader(wheel.read(record).decode().splitlines())}
    if sorted(rows) != names:
        raise ValueError(f"RECORD and the wheel list different files: {sorted(set(rows) ^ set(names))}")
    found = []
    for name in names:
        digest = hashlib.sha256(wheel.read(name))
        said = "sha256=" + base64.urlsafe_b64encode(digest.digest()).decode().rstrip("=")
        if name != record and rows[name] != said:
            raise ValueError(f"{name}: its SHA-256 is not what RECORD says")
        hashes = [{"alg": "SHA-256", "content": digest.hexdigest()}]
        found.append({"type": "file", "bom-ref": f"file:{name}", "name": name, "hashes": hashes})
    return found


def requirement(text: str, scope: str) -> dict[str, Any]:
    """A component for a line such as ``rich>=13; extra == "cli"``; the version is that of whoever installs."""
    found = NAME.match(text)
    if found is None:
        raise ValueError(f"no requirement: {text!r}")
    wanted, _, marker = text[found.end() :].partition(";")
    said = {"fastnn:requires": wanted.strip(), "fastnn:marker": marker.strip()}
    properties = [{"name": key, "value": value} for key, value in said.items() if value]
    ref = f"{scope}:{text}"
    return {
        "type": "library", "bom-ref": ref, "name": found.group(), "purl": purl(found.group()), "scope": scope,
        **({"properties": properties} if properties else {}),
    }  # fmt: skip


def moment(wheel: zipfile.ZipFile) -> str:
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    newest = max(i.date_time for i in wheel.infolist())
    then = datetime.fromtimestamp(int(epoch), UTC) if epoch else datetime(*newest, tzinfo=UTC)
    return then.strftime("%Y-%m-%dT%H:%M:%SZ")


def bill(path: Path) -> dict[str, Any]:
    """The document of this wheel."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with zipfile.ZipFile(path) as wheel:
        files, when = checked_files(wheel), moment(wheel)
        metadata = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        about: Message = BytesParser().parsebytes(wheel.read(metadata))
    needs = [
        requirement(line, "optional" if "extra ==" in line else "required")
        for line in about.get_all("Requires-Dist", [])
    ]
    built_with = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    tools = [requirement(line, "excluded") for line in built_with]  # CycloneDX's word for what does not run with it
    ref = purl(about["Name"], about["Version"])
    package: dict[str, Any] = {
        "type": "library", "bom-ref": ref, "name": about["Name"], "version": about["Version"],
        "description": about["Summary"], "hashes": [{"alg": "SHA-256", "content": digest}],
        "licenses": [{"license": {"id": about["License-Expression"]}}], "purl": f"{ref}?file_name={path.name}",
    }  # fmt: skip
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'{path.name}#{digest}')}",
        "metadata": {"timestamp": when, "component": package},
        "components": [*needs, *tools, *files],
        "dependencies": [{"ref": ref, "dependsOn": [c["bom-ref"] for c in needs if c["scope"] == "required"]}],
    }  # fmt: skip


def write(path: Path) -> Path:
    """Write the bill beside the wheel."""
    target = path.with_name(path.name + ".cdx.json")
    target.write_text(json.dumps(bill(path), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return target


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: python tools/sbom.py WHEEL ...")
    for name in sys.argv[1:]:
        print(write(Path(name)))
