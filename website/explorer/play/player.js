// The second view: a list of statements, the stage, and the controls of time.

import { icon, make, withCode } from "../elements.js";
import { language, t } from "../language.js";
import { change, state } from "../state.js";
import { groupOf, loadScenes, statesOf } from "./scenes.js";
import { Stage } from "./stage.js";

const READING = { least: 1800, perLetter: { en: 38, zh: 120 } }; // milliseconds

let scenes = null;
let made = null; // what stands in the page: for which scene and language
let stage = null;
let timer = null;

const say = (pair) => pair[language() === "zh" ? 1 : 0];

export async function showPlay(place) {
  scenes ??= await loadScenes();
  if (state.view !== "play") return;
  const scene = scenes.find(({ id }) => id === state.scene) ?? scenes[0];
  const states = statesOf(scene);
  const wanted = `${scene.id} ${language()}`;
  if (made !== wanted) {
    pause();
    place.replaceChildren(...parts(scene, states));
    stage = new Stage(place.querySelector(".frame"));
    made = wanted;
  }
  showStep(place, states, Math.min(state.step, states.length - 1));
}

function parts(scene, states) {
  return [sceneList(scene), make("div", { class: "theatre" }, head(scene),
    make("div", { class: "card board" }, make("div", { class: "frame" }), controls(states),
      make("p", { class: "caption", role: "status", "aria-live": "polite" })),
    make("section", { class: "card steps", "aria-labelledby": "steps-title" }, make("h2", { id: "steps-title" }, t("play.steps")),
      make("ol", {}, states.map((one, number) => make("li", {}, make("button", { class: "step", onclick: () => go(number) }, withCode(say(one.say))))))),
    foot(scene))];
}

function head(scene) {
  return make("header", { class: "statement" },
    make("h1", {}, make("span", { class: "id" }, scene.id), say(scene.short)),
    make("p", {}, withCode(say(scene.statement))),
    make("p", { class: "today" }, make("span", { class: `badge ${scene.verdict}` }, t(`verdict.${scene.verdict}`)),
      make("b", {}, t("play.today")), t("colon"), withCode(say(scene.today))));
}

function foot(scene) {
  const next = scenes[scenes.indexOf(scene) + 1];
  return next && make("p", { class: "next" }, make("button", { class: "chip", onclick: () => choose(next.id) },
    t("play.next", { scene: `${next.id}, ${say(next.short)}` })));
}

// Buttons beside the stage; on a phone a select, which needs less room.
function sceneList(chosen) {
  const groups = ["P", "W", "K"].map((group) => [group, scenes.filter((scene) => groupOf(scene) === group)]);
  return make("nav", { class: "scenes", "aria-label": t("play.list") },
    make("p", { class: "intro" }, t("play.intro")),
    make("select", { id: "scene", "aria-label": t("play.list"), onchange: ({ target }) => choose(target.value) },
      groups.map(([group, some]) => make("optgroup", { label: t(`play.group.${group}`) }, some.map((scene) =>
        make("option", { value: scene.id, selected: scene === chosen }, `${scene.id}  ${say(scene.short)}`))))),
    groups.map(([group, some]) => make("div", { class: "scene-group" }, make("h2", {}, t(`play.group.${group}`)),
      make("ul", {}, some.map((scene) => make("li", {}, make("button", {
        "data-scene": scene.id, "aria-current": scene === chosen ? "true" : null, onclick: () => choose(scene.id),
      }, make("span", { class: "id" }, scene.id), say(scene.short))))))));
}

function controls(states) {
  const button = (id, act) => {
    const name = id.slice("play-".length);
    return make("button", { id, class: "quiet control", "aria-label": t(`play.${name}`), title: t(`play.${name}`), onclick: act }, icon(name));
  };
  return make("div", { class: "time", role: "group", "aria-label": t("play.scrub"), title: t("play.keys") },
    button("play-first", () => go(0)), button("play-back", () => go(state.step - 1)),
    button("play-play", () => (timer ? pause() : play())), button("play-forward", () => go(state.step + 1)),
    make("input", { type: "range", id: "scrub", min: "0", max: String(states.length - 1), step: "1", "aria-label": t("play.scrub"), oninput: ({ target }) => go(Number(target.value)) }),
    make("span", { class: "count" }));
}

function showStep(place, states, now) {
  stage.show(states, now);
  const words = say(states[now].say);
  const caption = place.querySelector(".caption");
  caption.replaceChildren(...withCode(words));
  const scrub = place.querySelector("#scrub");
  scrub.value = String(now);
  scrub.setAttribute("aria-valuetext", t("play.step", { now: now + 1, all: states.length }));
  place.querySelector(".count").textContent = `${now + 1} / ${states.length}`;
  place.querySelector("#play-first").disabled = place.querySelector("#play-back").disabled = now === 0;
  place.querySelector("#play-forward").disabled = now === states.length - 1;
  place.querySelectorAll(".steps li").forEach((item, number) => {
    item.classList.toggle("past", number < now);
    if (number === now) item.setAttribute("aria-current", "step");
    else item.removeAttribute("aria-current");
  });
  place.dataset.shown = `${state.scene} ${now}`;
}

const last = () => statesOf(scenes.find(({ id }) => id === state.scene) ?? scenes[0]).length - 1;

function choose(scene) {
  pause();
  change({ scene, step: 0 });
}

function go(step, { playing = false } = {}) {
  if (!playing) pause();
  change({ step: Math.min(Math.max(step, 0), last()) }, { replace: true });
}

function play() {
  if (state.step >= last()) go(0);
  setPlaying(true);
  next();
}

function next() {
  const { say: words } = statesOf(scenes.find(({ id }) => id === state.scene))[state.step];
  const time = READING.least + say(words).length * READING.perLetter[language()];
  timer = setTimeout(() => {
    go(state.step + 1, { playing: true });
    if (state.step >= last()) pause();
    else next();
  }, time);
}

function pause() {
  clearTimeout(timer);
  timer = null;
  setPlaying(false);
}

function setPlaying(playing) {
  const button = document.getElementById("play-play");
  if (!button) return;
  const name = playing ? "pause" : "play";
  button.replaceChildren(icon(name));
  button.setAttribute("aria-label", t(`play.${name}`));
  button.title = t(`play.${name}`);
}

// Keys of the whole view, but for controls that have a use for them.
addEventListener("keydown", (event) => {
  if (state.view !== "play" || event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.target.closest("select, input, [role=tab]")) return;
  const acts = { ArrowRight: () => go(state.step + 1), ArrowLeft: () => go(state.step - 1), Home: () => go(0), End: () => go(last()) };
  if (event.key === " " && !event.target.closest("button, a")) acts[" "] = () => (timer ? pause() : play());
  if (!(event.key in acts)) return;
  event.preventDefault();
  acts[event.key]();
});

let resized = null;
addEventListener("resize", () => {
  clearTimeout(resized);
  resized = setTimeout(() => state.view === "play" && showPlay(document.getElementById("play")), 100);
});
addEventListener("popstate", pause);
