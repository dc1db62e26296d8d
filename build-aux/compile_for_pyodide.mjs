// node compile_for_pyodide.mjs RUNTIME SOURCE.zip TARGET.zip keep|drop
//
// Compiles the Python files of an archive by the Python of Pyodide in RUNTIME, see compile_archive.py.

import { readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { resolve } from "node:path";

const [runtime, source, target, sources] = process.argv.slice(2);
const { loadPyodide } = await import(pathToFileURL(resolve(runtime, "pyodide.mjs")));
const pyodide = await loadPyodide({ indexURL: resolve(runtime) });
pyodide.runPython(readFileSync(new URL("compile_archive.py", import.meta.url), "utf8"));
pyodide.FS.writeFile("/source.zip", readFileSync(source));
pyodide.globals.get("compile_archive")("/source.zip", "/target.zip", sources === "keep");
writeFileSync(target, pyodide.FS.readFile("/target.zip"));
