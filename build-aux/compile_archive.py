"""Compiles the Python files of an archive, in the Python that will import them from it.

Run by compile_for_pyodide.mjs: CPython's own compiler takes longer in a browser than all else that is done
before the first answer.
"""

import importlib._bootstrap_external as loader
import importlib.util
import zipfile


def compile_archive(source: str, target: str, keep: bool) -> None:
    """Write an archive with a .pyc for each .py; keep: with the .py as well."""
    with zipfile.ZipFile(source) as given, zipfile.ZipFile(target, "w") as made:
        for about in given.infolist():
            data = given.read(about)
            is_python = about.filename.endswith(".py")
            if is_python:
                code = compile(data, about.filename, "exec", dont_inherit=True)
                # Not checked when imported: archives are made anew with their sources.
                of_source = importlib.util.source_hash(data)
                add(made, f"{about.filename}c", loader._code_to_hash_pyc(code, of_source, False))
            if keep or not is_python:
                add(made, about.filename, data)


def add(made: zipfile.ZipFile, name: str, data: bytes) -> None:
    # A fixed time, so that the same sources make the same archive.
    about = zipfile.ZipInfo(name, (2000, 1, 1, 0, 0, 0))
    made.writestr(about, bytes(data), zipfile.ZIP_DEFLATED)
