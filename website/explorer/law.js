// Asks the law, which runs in a worker of its own, so that the page never waits for it.

let worker = null;
const waiting = new Map();
let last = 0;

// Starts Python, which takes a while; the play does not need it.
export function start() {
  worker ??= new Worker("worker.js", { type: "module" });
  worker.onmessage = ({ data: { id, answer, error } }) => {
    const [resolve, reject] = waiting.get(id);
    waiting.delete(id);
    if (error) reject(new Error(error));
    else resolve(JSON.parse(answer));
  };
}

function ask(name, ...given) {
  start();
  const id = ++last;
  worker.postMessage({ id, name, given });
  return new Promise((resolve, reject) => waiting.set(id, [resolve, reject]));
}

export const answerTo = (request) => ask("answer", JSON.stringify(request));
export const read = (text, kernel) => ask("read", text, kernel);
