// The scenes: each statement of the classic page with its steps, and the whole state at each of them.

const FILES = ["parameters", "wrapper", "fork_and_vfork"];

let scenes = null;

export async function loadScenes() {
  scenes ??= (await Promise.all(FILES.map(async (name) =>
    (await fetch(`play/scenes/${name}.json`)).json()))).flat();
  return scenes;
}

export const groupOf = (scene) => (scene.id[0] === "K" ? "K" : Number(scene.id.slice(1)) >= 12 ? "W" : "P");

// A step says only what is new: tasks and things stay as they were, and null takes a thing away.
export function statesOf(scene) {
  const states = [];
  let tasks = { caller: ["runs", ""], child: ["none", ""] };
  let things = {};
  for (const step of scene.steps) {
    tasks = { ...tasks, ...step.tasks };
    things = { ...things };
    for (const [id, parts] of Object.entries(step.things ?? {})) {
      if (parts === null) delete things[id];
      else things[id] = { ...things[id], ...parts };
    }
    states.push({ tasks, things, say: step.say });
  }
  return states;
}
