// The left side: what to ask, of which caller, on which kernel.

import { bitsOf, data, signalName } from "./data.js";
import { make, options, withCode } from "./elements.js";
import { flagWords, has, language, sentenceOf, t } from "./language.js";
import { read } from "./law.js";
import { change, partsOf, state } from "./state.js";

let place = null;
const boxes = new Map();

export function makeControls(into) {
  place = into;
  boxes.clear();
  into.replaceChildren(startCard(), circumstancesCard(), ...data.groups.map(groupCard), fieldsCard());
}

function startCard() {
  const presets = data.presets.map((preset) =>
    make("button", {
      class: "chip", "data-preset": preset.id, "aria-pressed": "false",
      title: t(`preset.${preset.id}.title`), onclick: () => choose(preset),
    }, t(`preset.${preset.id}`)));
  const input = make("input", {
    id: "paste", type: "text", autocomplete: "off", autocapitalize: "off", spellcheck: "false",
    placeholder: t("paste.example"), "aria-describedby": "paste-told",
  });
  const form = make("form", {
    class: "paste",
    onsubmit: (event) => {
      event.preventDefault();
      readText(input.value);
    },
  }, input, make("button", { class: "primary" }, t("paste.read")));
  return make("section", { class: "card start", "aria-labelledby": "start-title" },
    make("h2", { id: "start-title" }, t("start.title")),
    make("p", { class: "lead" }, t("start.lead")),
    make("div", { class: "chips" }, presets,
      make("button", { class: "chip plain", id: "clear", onclick: () => choose({ flags: "0x0", signal: "auto", call: "auto" }) },
        t("start.clear"))),
    make("p", { class: "hint", id: "preset-hint" }),
    make("label", { for: "paste" }, t("paste.label")),
    form,
    make("p", { id: "paste-told", class: "told", role: "status" }));
}

function choose(preset) {
  tell("");
  change({ ...partsOf({ fields: {}, ...preset }), caller: preset.caller ?? state.caller });
}

async function readText(text) {
  if (!text.trim()) return;
  tell(t("waiting"));
  const told = await read(text, state.kernel);
  if (told.error) {
    tell(t("paste.error", { error: told.error }), true);
    return;
  }
  tell(told.traced_errno ? t("paste.traced", { errno: told.traced_errno }) : t("paste.done"));
  change(partsOf(told));
}

function tell(words, wrong = false) {
  const told = place.querySelector("#paste-told");
  told.textContent = words;
  told.classList.toggle("wrong", wrong);
}

function circumstancesCard() {
  const choice = (id, pairs, changed, hint = null) =>
    make("div", { class: "choice" },
      make("label", { for: id }, t(`${id}.label`)),
      make("select", { id, onchange: ({ target }) => changed(target.value), "aria-describedby": hint }, options(pairs)),
      hint && make("p", { id: hint, class: "hint" }));
  return make("section", { class: "card circumstances", "aria-labelledby": "circumstances-title" },
    make("h2", { id: "circumstances-title" }, t("circumstances.title")),
    choice("caller", data.callers.map((id) => [id, t(`caller.${id}`)]), (caller) => change({ caller }), "caller-hint"),
    choice("kernel", [...data.kernels].reverse().map((version) => [version, `Linux ${version}`]), (kernel) => change({ kernel })),
    choice("call", ["auto", ...data.calls].map((call) => [call, t(`call.${call}`)]), (call) => change({ call })));
}

function groupCard(group) {
  const flags = group.flags.map((name) => (name === "CSIGNAL" ? signalRow() : flagRow(name)));
  return make("fieldset", { class: "card group", "data-group": group.id },
    make("legend", {}, t(`group.${group.id}`)),
    make("p", { class: "lead" }, t(`group.${group.id}.lead`)),
    flags);
}

function flagRow(name) {
  const facts = data.flags[name];
  const box = make("input", {
    type: "checkbox", id: `flag-${name}`, "aria-describedby": `does-${name}`,
    onchange: ({ target }) => change({ flags: target.checked ? state.flags | bitsOf(name) : state.flags & ~bitsOf(name) }),
  });
  boxes.set(name, box);
  return make("div", { class: "flag" },
    box,
    make("label", { for: `flag-${name}` }, make("span", { class: "name" }, name), make("span", { class: "since" }, sinceWords(facts))),
    make("p", { class: "does", id: `does-${name}` }, withCode(flagWords(name, facts, "set"))),
    more(name, facts));
}

const sinceWords = (facts) => (facts.until ? `${facts.since}–${facts.until}` : facts.since);

// What hovering and focus show: what holds without the flag, since when, and the rules that name it.
function more(name, facts) {
  const note = flagWords(name, facts, "note");
  return make("div", { class: "more", role: "note" },
    make("dl", {},
      make("dt", {}, t("flag.clear")), make("dd", {}, withCode(flagWords(name, facts, "clear"))),
      note && make("dt", {}, t("flag.note")), note && make("dd", {}, withCode(note)),
      make("dt", {}, t("flag.since")), make("dd", {}, t(facts.until ? "flag.since-until" : "flag.since-words",
        { since: facts.since, until: facts.until, calls: facts.calls.join(", ") || "-" }))),
    facts.rules.length > 0 && make("ul", {}, facts.rules.slice(0, 4).map((rule) =>
      make("li", {}, make("b", {}, rule.id), " ", withCode(sentenceOf(rule))))),
    make("p", { class: "source" }, facts.source));
}

function signalRow() {
  return make("div", { class: "choice signal" },
    make("label", { for: "signal" }, t("signal.label")),
    make("select", { id: "signal", onchange: ({ target }) => change({ signal: target.value }) },
      options([["auto", t("signal.auto")], ["0", t("signal.none")],
        ...data.signals.map(([number, name]) => [String(number), `${name} (${number})`])])));
}

function fieldsCard() {
  return make("section", { class: "card fields", id: "fields", hidden: true, "aria-labelledby": "fields-title" },
    make("h2", { id: "fields-title" }, t("fields.title")), make("div", { class: "chips" }));
}

// Brings what the controls say to the state.
export function showControls() {
  for (const [name, box] of boxes) {
    box.checked = Boolean(state.flags & bitsOf(name));
    box.closest(".flag").classList.toggle("set", box.checked);
  }
  setSelect("signal", state.signal, () => signalName(Number(state.signal)));
  setSelect("call", state.call);
  setSelect("caller", state.caller);
  setSelect("kernel", state.kernel, () => `Linux ${state.kernel}`);
  const hint = `caller.${state.caller}.hint`;
  place.querySelector("#caller-hint").textContent = has(hint) || language() === "en" ? t(hint) : "";
  place.querySelector("#preset-hint").textContent = presetWords();
  for (const chip of place.querySelectorAll("[data-preset]")) {
    const preset = data.presets.find(({ id }) => id === chip.dataset.preset);
    chip.setAttribute("aria-pressed", String(isPreset(preset)));
  }
  const fields = place.querySelector("#fields");
  fields.hidden = Object.keys(state.fields).length === 0;
  fields.querySelector(".chips").replaceChildren(...Object.entries(state.fields).map(([name, value]) =>
    make("button", { class: "chip", title: t("fields.drop", { name }), onclick: () => dropField(name) }, `${name} = ${value} ×`)));
}

function dropField(name) {
  const { [name]: _, ...fields } = state.fields;
  change({ fields });
}

// A title shows only under a mouse, so that of the preset in use is written below the buttons.
function presetWords() {
  const preset = data.presets.find(isPreset);
  return preset ? t(`preset.${preset.id}.title`) : "";
}

function isPreset(preset) {
  return BigInt(preset.flags) === state.flags && preset.signal === state.signal && preset.call === state.call
    && (preset.caller ?? state.caller) === state.caller && Object.keys(state.fields).length === 0;
}

// A value that is not among the options, such as a pasted signal, becomes one.
function setSelect(id, value, words = () => value) {
  const select = place.querySelector(`#${id}`);
  if (![...select.options].some((option) => option.value === value)) {
    select.append(make("option", { value }, words()));
  }
  select.value = value;
}
