// Asks the law, which runs in a worker of its own, so that the page never waits for it.

const worker = new Worker("worker.js", { type: "module" });
const waiting = new Map();
let last = 0;

worker.onmessage = ({ data: { id, answer, error } }) => {
  const [resolve, reject] = waiting.get(id);
  waiting.delete(id);
  if (error) reject(new Error(error));
  else resolve(JSON.parse(answer));
};

function ask(name, ...given) {
  const id = ++last;
  worker.postMessage({ id, name, given });
  return new Promise((resolve, reject) => waiting.set(id, [resolve, reject]));
}

export const answerTo = (request) => ask("answer", JSON.stringify(request));
export const read = (text, kernel) => ask("read", text, kernel);
