"""Lays together the flag explorer in build/explorer: the page, the law, and a Python for browsers.

The page is website/explorer. Pyodide, which is CPython for browsers, comes from its npm package, once, and
stays in build/pyodide. What the page shows of flags, kernels and presets before Python runs is data.json,
from the rows.
"""

import base64
import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

from flag_pages import GROUPS

from ramet.flags import FACTS, LAST_SIGNAL, CloneFlag, signal_name
from ramet.law import CALLS, KERNELS, NEWEST, OLDEST, RULES, parse_version
from ramet.law.version import version_text

TREE = Path(__file__).parents[1]
SOURCE = TREE / "website" / "explorer"
CACHE = TREE / "build" / "pyodide"
MADE = TREE / "build" / "explorer"

PYODIDE = "314.0.7"
INTEGRITY = (  # of the package: SHA-512, as npm writes it
    "0YvXxEhfEdpLfb/XkM2BFAeMROq0iMUX2bzzH9pOttyMcWkwq+HbE5uyuGD82LN7y2q+SNvi/6V5JEsOlD2R1A=="
)
RUNTIME = (
    "pyodide.mjs",
    "pyodide.asm.mjs",
    "pyodide.asm.wasm",
    "python_stdlib.zip",
    "pyodide-lock.json",
)

# All that the law needs; ramet/__init__.py imports nothing else where it is not on Linux.
LAW = ("__init__.py", "flags.py", "_caller_reader.py", "law/*.py", "law/rows/*.py")
FEW_BITS = 3  # a rule of more alternatives is about a kind of flags, not about one

sys.path.insert(0, str(SOURCE))
from bridge.callers import CALLERS  # noqa: E402 - of the page, which is no package
from bridge.presets import PRESETS  # noqa: E402 - as above


def runtime() -> Path:
    """The npm package of Pyodide, downloaded once."""
    package = CACHE / f"pyodide-{PYODIDE}.tgz"
    if not package.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        npm = ["npm", "pack", "--silent", f"pyodide@{PYODIDE}", "--pack-destination", str(CACHE)]
        subprocess.run(npm, check=True, stdout=subprocess.DEVNULL)
    found = base64.b64encode(hashlib.sha512(package.read_bytes()).digest()).decode()
    if found != INTEGRITY:
        package.unlink()
        raise SystemExit(f"{package.name} is not what was expected: {found}, expected {INTEGRITY}")
    return package


def lay_runtime(into: Path) -> None:
    into.mkdir()
    members = [f"package/{name}" for name in RUNTIME]
    command = ["tar", "--extract", "--file", str(runtime()), "--strip-components=1", *members]
    subprocess.run(command, check=True, cwd=into)


def compile_archive(source: Path, target: Path, sources: str) -> None:
    """Compile what is in it, which takes seconds in a browser; sources: "keep" or "drop"."""
    script = TREE / "build-aux" / "compile_for_pyodide.mjs"
    command = ["node", str(script), str(MADE / "pyodide"), str(source), str(target), sources]
    subprocess.run(command, check=True)


def lay_library() -> None:
    """Python's own library, compiled once."""
    compiled = CACHE / f"python_stdlib-{PYODIDE}.zip"
    given = MADE / "pyodide" / "python_stdlib.zip"
    if not compiled.exists():
        compile_archive(given, compiled.with_suffix(".new"), "drop")
        compiled.with_suffix(".new").rename(compiled)
    shutil.copyfile(compiled, given)


def lay_law(archive: Path) -> None:
    """The sources of the law and of the bridge to it, with what they are compiled to, for zipimport."""
    package = TREE / "src" / "ramet"
    files = {
        f"ramet/{file.relative_to(package)}": file for part in LAW for file in package.glob(part)
    }
    files |= {f"bridge/{file.name}": file for file in (SOURCE / "bridge").glob("*.py")}
    with zipfile.ZipFile(archive, "w") as law:
        for name, file in sorted(files.items()):
            # A fixed time, so that the same sources make the same file.
            about = zipfile.ZipInfo(name, (2000, 1, 1, 0, 0, 0))
            law.writestr(about, file.read_bytes(), zipfile.ZIP_DEFLATED)
    compile_archive(archive, archive, "keep")


def data() -> dict[str, Any]:
    return {
        "pyodide": PYODIDE,
        "newest": NEWEST,
        "kernels": kernels(),
        "calls": list(CALLS),
        "callers": list(CALLERS),
        "presets": PRESETS,
        "signals": [[number, signal_name(number)] for number in range(1, LAST_SIGNAL + 1)],
        "groups": [
            {"id": file, "title": title, "lead": lead, "flags": names.split()}
            for file, title, lead, names in GROUPS
        ],
        "flags": {str(flag.name): facts_of(flag) for flag in (CloneFlag.CSIGNAL, *CloneFlag)},
    }


def kernels() -> list[str]:
    """Every kernel from which on something is different, and those that were tried."""
    turns = {*KERNELS}
    for row in (*RULES, *FACTS):
        turns |= {row.since, row.until or OLDEST}
    oldest = parse_version(OLDEST)
    return [version_text(v) for v in sorted({parse_version(turn) for turn in turns}) if v >= oldest]


def facts_of(flag: CloneFlag) -> dict[str, Any]:
    facts = flag.facts
    return {
        "value": hex(flag.value),
        "since": facts.since,
        "until": facts.until,
        "calls": sorted(facts.calls),
        "set": facts.shared_when_set,
        "clear": facts.when_clear,
        "note": facts.note,
        "source": facts.source,
        "rules": rules_about(flag),
    }


def rules_about(flag: CloneFlag) -> list[dict[str, str]]:
    """The rules of clone() and clone3 that name the flag and hold today."""
    told = []
    for rule in RULES:
        bits = rule.all_of | rule.none_of
        if rule.any_of.bit_count() <= FEW_BITS:
            bits |= rule.any_of
        if (
            rule.until is None
            and rule.errno
            and bits & flag.value
            and {"clone", "clone3"} & rule.calls
        ):
            told.append({"id": rule.id, "sentence": rule.sentence})
    return told


def main() -> None:
    for tool in ("npm", "node"):
        if shutil.which(tool) is None:
            raise SystemExit(f"the explorer needs {tool} (Debian: apt-get install npm)")
    shutil.rmtree(MADE, ignore_errors=True)
    shutil.copytree(SOURCE, MADE, ignore=shutil.ignore_patterns("bridge", "__pycache__"))
    lay_runtime(MADE / "pyodide")
    lay_library()
    lay_law(MADE / "law.zip")
    (MADE / "data.json").write_text(json.dumps(data()))
    size = sum(file.stat().st_size for file in MADE.rglob("*") if file.is_file())
    print(f"{MADE.relative_to(TREE)}: {size / 1e6:.1f} MB, Pyodide {PYODIDE}")


if __name__ == "__main__":
    main()
