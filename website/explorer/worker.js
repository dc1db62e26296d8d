// Python in a worker: ramet.law, unchanged, and the bridge to it.

import { loadPyodide } from "./pyodide/pyodide.mjs";

async function start() {
  const [pyodide, law] = await Promise.all([
    loadPyodide({ indexURL: new URL("./pyodide/", import.meta.url).href }),
    fetch("law.zip").then((response) => response.arrayBuffer()),
  ]);
  pyodide.FS.writeFile("/law.zip", new Uint8Array(law));
  pyodide.runPython("import sys; sys.path.insert(0, '/law.zip')");
  return pyodide.pyimport("bridge");
}

const bridge = start();

onmessage = async ({ data: { id, name, given } }) => {
  try {
    postMessage({ id, answer: (await bridge)[name](...given) });
  } catch (error) {
    postMessage({ id, error: String(error) });
  }
};
