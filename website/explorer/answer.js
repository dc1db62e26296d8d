// The right side: what the law says of the state.

import { data, signalName } from "./data.js";
import { make, copyButton, tabs, withCode } from "./elements.js";
import { kernelStrip } from "./kernels.js";
import { apart, flagWords, remedyOf, sentenceOf, stepWords, t, thing } from "./language.js";
import { answerTo } from "./law.js";
import { picture } from "./picture.js";
import { asked, change, flagsInWords, partsOf, state } from "./state.js";

let newest = 0;
let tab = "clone3";

// Asks the law and shows its answer; an answer that a later question has overtaken is dropped.
export async function showAnswer(theme) {
  const mine = ++newest;
  const place = location.hash;
  const verdict = document.getElementById("verdict");
  if (verdict.dataset.answered === undefined) verdict.replaceChildren(make("p", { class: "starting" }, make("span", { class: "spinner" }), t("starting")));
  let told = null;
  const began = performance.now();
  try {
    told = await answerTo({ ...asked(), theme });
  } catch (error) {
    told = { error: t("broken", { error: error.message }) };
  }
  if (mine !== newest) return;
  verdict.dataset.answered = place;
  verdict.dataset.milliseconds = String(Math.round(performance.now() - began));
  showVerdict(verdict, told);
  const details = document.getElementById("details");
  details.replaceChildren(...(told.error ? [] : [
    told.errno ? refusal(told) : child(told),
    pictureCard(told),
    told.errno ? null : sharing(told),
    meaning(),
    written(told),
    kernelStrip(told),
    callers(told),
  ].filter(Boolean)));
}

function showVerdict(verdict, told) {
  const kind = told.error ? "unread" : told.errno ? "refused" : "granted";
  verdict.className = `verdict ${kind}`;
  const words = told.error ? t("verdict.unread") : told.errno
    ? t("verdict.refused", { errno: told.errno, rule: told.broken[0].id }) : t("verdict.granted");
  const request = told.error ? told.error : told.asked.replaceAll("CLONE_", "").replaceAll("|", " | ");
  verdict.replaceChildren(
    make("div", { class: "line" }, make("h1", {}, words),
      copyButton(() => location.href, t("share.label"), t("share.done"))),
    make("p", { class: "request" }, request),
    told.error ? "" : make("p", { class: "where" }, `Linux ${told.kernel} · ${t(`caller.${state.caller}`)}`
      + (told.newer_than_known ? ` · ${t("newer", { newest: data.newest })}` : ""),
      make("a", { class: "see", href: "#details", onclick: goToDetails }, told.errno ? t("verdict.see") : t("picture.title"))));
  verdict.querySelector(".copy").textContent = t("share");
}

// On a phone the details are far below the controls. The address is the state's, so it stays.
function goToDetails(event) {
  event.preventDefault();
  const details = document.getElementById("details");
  details.scrollIntoView({ block: "start" });
  details.querySelector("button, [tabindex]")?.focus({ preventScroll: true });
}

const card = (name, title, ...content) =>
  make("section", { class: `card ${name}`, "aria-labelledby": `${name}-title` },
    make("h2", { id: `${name}-title` }, title), content);

// ---- a refused request: why, and what to change

function refusal(told) {
  const [keeping, others] = [told.changes.filter(keepsFlags), told.changes.filter((one) => !keepsFlags(one))];
  return make("div", { class: "refusal" },
    card("rules", t(told.broken.length > 1 ? "rules.many" : "rules.one"), told.broken.map(ruleCard)),
    card("changes", t("changes.title"),
      keeping.length > 0 && make("h3", {}, t("changes.keeping")), changeList(keeping),
      others.length > 0 && keeping.length > 0 && make("h3", {}, t("changes.others")), changeList(others),
      told.changes.length === 0 && make("p", {}, t("changes.none"))));
}

const changeList = (changes) => changes.length > 0 && make("ol", { class: "change-list" }, changes.map(changeItem));

const keepsFlags = (one) => {
  const flags = BigInt(one.state?.flags ?? state.flags);
  return (state.flags & ~flags) === 0n;
};

function ruleCard(rule) {
  return make("article", { class: "rule" },
    make("h3", {}, make("span", { class: "id" }, rule.id), rule.errno && make("span", { class: "errno" }, rule.errno)),
    make("p", { class: "sentence" }, withCode(sentenceOf(rule))),
    make("p", { class: "remedy" }, withCode(remedyOf(rule))),
    make("p", { class: "source" }, t(rule.until ? "rule.source-until" : "rule.source",
      { where: rule.function === "none" ? rule.source : `${rule.function} (${rule.source})`, since: rule.since, until: rule.until })));
}

// A button that makes the change; of several steps each is told with the rule that it answers.
function changeItem(one) {
  const words = one.steps.map(stepWords).join(t("and"));
  const button = one.state
    ? make("button", { class: "apply", onclick: () => change(partsOf(one.state)) }, words)
    : make("span", { class: "advice" }, words);
  const why = one.steps.length > 1 && make("ol", { class: "why" }, one.steps.map((step) =>
    make("li", {}, make("b", {}, stepWords(step)), t("colon"), withCode(sentenceOf(step.rule)),
      make("span", { class: "id" }, step.rule.id))));
  return make("li", {}, button, why);
}

// ---- a granted request: the child

function child(told) {
  const about = told.child;
  const lines = [];
  if (about) {
    lines.push(t("child.ids", { pid: t(`child.getpid.${about.getpid}`), parent: t(`child.getppid.${about.getppid}`) }));
    lines.push(about.exit_signal > 0 ? t("child.signal", { signal: signalName(about.exit_signal) })
      : t(about.exit_signal < 0 ? "child.thread" : "child.no-signal"));
    if (about.suspends) lines.push(t("child.suspends"));
    if (about.writes.length) lines.push(t("child.writes", { words: about.writes.join(", ") }));
    if (about.clears_ctid) lines.push(t("child.clears"));
    if (about.starts_stopped) lines.push(t("child.stopped"));
    if (about.traced) lines.push(t("child.traced"));
  } else {
    lines.push(t("child.itself"));
  }
  return card("child", t(about ? "child.title" : "child.caller"),
    make("ul", { class: "facts" }, lines.map((line) => make("li", {}, withCode(line)))),
    told.notes.length > 0 && make("h3", {}, t("notes.title")), told.notes.map(ruleCard));
}

function pictureCard(told) {
  if (!told.errno) return card("picture", t("picture.title"), picture(told.svg));
  const first = told.changes[0];
  if (!first) return null;
  return card("picture", t("picture.after", { change: first.steps.map(stepWords).join(t("and")) }), picture(first.svg));
}

function sharing(told) {
  const list = (shared) => told.shares.filter((row) => row.shared === shared).map((row) =>
    make("li", { "data-share": row.key }, thing(row), shared ? null : make("span", { class: "apart" }, apart(row))));
  const isClone = Boolean(told.child);
  return card("sharing", t("sharing.title"), make("div", { class: "columns" },
    make("div", { class: "shared" }, make("h3", {}, t(isClone ? "sharing.shared" : "sharing.kept")), make("ul", {}, list(true))),
    make("div", { class: "not-shared" }, make("h3", {}, t(isClone ? "sharing.apart" : "sharing.left")), make("ul", {}, list(false)))));
}

function meaning() {
  const names = flagsInWords(state.flags).filter((name) => name in data.flags);
  if (!names.length) return null;
  return card("meaning", t("meaning.title"), make("dl", {}, names.flatMap((name) => {
    const facts = data.flags[name];
    const note = flagWords(name, facts, "note");
    return [make("dt", {}, make("code", {}, name)), make("dd", {}, withCode(flagWords(name, facts, "set")),
      make("small", {}, t("meaning.clear", { what: flagWords(name, facts, "clear") }), note ? t("meaning.note", { note }) : ""))];
  })));
}

// ---- the request, written out

function written(told) {
  const kinds = told.spellings.map(({ kind }) => kind);
  if (!kinds.includes(tab)) tab = kinds[0];
  const list = make("div", { role: "tablist", class: "tabs", "aria-label": t("written.title") });
  const panel = make("div", { role: "tabpanel", id: "written-panel", tabindex: "0" });
  const show = () => {
    list.replaceChildren(...kinds.map((kind, number) => make("button", {
      role: "tab", id: `written-${number}`, "data-kind": kind, "aria-selected": String(kind === tab),
      "aria-controls": "written-panel", tabindex: kind === tab ? "0" : "-1",
    }, t(`written.${kind}`))));
    const { code } = told.spellings.find(({ kind }) => kind === tab);
    panel.setAttribute("aria-label", t(`written.${tab}`));
    panel.replaceChildren(make("pre", {}, make("code", {}, code)),
      copyButton(() => code, t("copy.label", { what: t(`written.${tab}`) })));
  };
  tabs(list, (chosen) => {
    tab = chosen.dataset.kind;
    show();
  });
  show();
  return card("written", t("written.title"), list, panel);
}

function callers(told) {
  const row = (one) => make("tr", { class: one.id === state.caller ? "current" : null },
    make("th", { scope: "row" }, make("button", { class: "link", onclick: () => change({ caller: one.id }) }, t(`caller.${one.id}`))),
    make("td", {}, make("span", { class: `mark ${one.errno ? "refused" : "granted"}` }, one.errno ?? t("granted"))),
    make("td", { class: "because" }, one.rule ? [make("b", {}, one.rule.id), " ", withCode(sentenceOf(one.rule))] : ""));
  const answers = new Set(told.callers.map((one) => `${one.errno} ${one.rule?.id}`));
  if (answers.size === 1) return card("callers", t("callers.title"), make("p", {}, t("callers.same")));
  return card("callers", t("callers.title"), make("table", {}, make("tbody", {}, told.callers.map(row))));
}
