// The state of the page, and the address that holds it.

import { bitsOf, data, flagNames } from "./data.js";
import { LANGUAGES } from "./language.js";

const listeners = [];
const SIGNAL_AUTO = "auto";
const OWN = ["flags", "signal", "call", "caller", "kernel", "play", "step", "lang"];

function fresh() {
  return {
    view: "explore", flags: 0n, signal: SIGNAL_AUTO, call: "auto", caller: "root",
    kernel: data.newest, fields: {}, scene: "P1", step: 0, language: ownLanguage(),
  };
}

export let state = {};

const ownLanguage = () =>
  localStorage.getItem("language") ?? (navigator.language.startsWith("zh") ? "zh" : "en");

export const onChange = (listener) => listeners.push(listener);

// Changes the state and its address: as a new entry of the history, unless it is a step of a play.
export function change(parts, { replace = false } = {}) {
  Object.assign(state, parts);
  if (parts.language) localStorage.setItem("language", parts.language);
  history[replace ? "replaceState" : "pushState"](null, "", address());
  for (const listener of listeners) listener();
}

export function flagsInWords(flags) {
  const words = [];
  for (const name of flagNames()) {
    if (flags & bitsOf(name)) {
      words.push(name);
      flags &= ~bitsOf(name);
    }
  }
  return flags ? [...words, `0x${flags.toString(16)}`] : words;
}

// Also as people write them in a link of their own: CLONE_VM|CLONE_FS.
function flagsFromWords(text) {
  let flags = 0n;
  for (const word of text.split(/[,|\s]+/).filter(Boolean)) {
    const name = word.toUpperCase().replace(/^CLONE_/, "");
    flags |= flagNames().includes(name) ? bitsOf(name) : BigInt(word);
  }
  return flags;
}

export function address() {
  const parts = [];
  const put = (name, value) => parts.push(`${name}=${encodeURIComponent(value).replaceAll("%2C", ",")}`);
  if (state.view === "play") {
    put("play", state.scene);
    if (state.step) put("step", state.step);
  } else {
    put("flags", flagsInWords(state.flags).join(","));
    if (state.signal !== SIGNAL_AUTO) put("signal", state.signal);
    if (state.call !== "auto") put("call", state.call);
    if (state.caller !== "root") put("caller", state.caller);
    put("kernel", state.kernel);
    for (const [name, value] of Object.entries(state.fields)) put(name, value);
  }
  put("lang", state.language);
  return `#${parts.join("&")}`;
}

// Takes the state from the address; what is missing or unknown there is as at first.
export function readAddress() {
  const asked = new URLSearchParams(location.hash.slice(1));
  const found = fresh();
  try {
    found.flags = flagsFromWords(asked.get("flags") ?? "");
  } catch {
    found.flags = 0n;
  }
  for (const [name, known] of [["call", ["auto", ...data.calls]], ["caller", data.callers], ["kernel", null]]) {
    const value = asked.get(name);
    if (value !== null && (known === null ? /^\d+\.\d+(\.\d+)?$/.test(value) : known.includes(value))) {
      found[name] = value;
    }
  }
  if (/^(0x[0-9a-f]+|\d+)$/.test(asked.get("signal") ?? "")) found.signal = asked.get("signal");
  if (LANGUAGES.includes(asked.get("lang"))) found.language = asked.get("lang");
  if (asked.has("play")) {
    found.view = "play";
    found.scene = asked.get("play");
    found.step = Math.max(0, Number.parseInt(asked.get("step") ?? "0", 10) || 0);
  }
  for (const [name, value] of asked) if (!OWN.includes(name)) found.fields[name] = value;
  Object.assign(state, found);
}

// What the bridge gets, see bridge/state.py.
export function asked() {
  return {
    flags: `0x${state.flags.toString(16)}`, signal: state.signal, call: state.call,
    caller: state.caller, kernel: state.kernel, fields: state.fields,
  };
}

// The parts of a state of the bridge's, as change() takes them.
export function partsOf(told) {
  const parts = { flags: BigInt(told.flags), signal: told.signal, call: told.call, fields: told.fields };
  return told.caller ? { ...parts, caller: told.caller } : parts;
}

addEventListener("popstate", () => {
  readAddress();
  for (const listener of listeners) listener();
});
