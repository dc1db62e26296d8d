// The catalogues of the two languages, and the words of the law in the reader's.

let strings = {};
let english = {};
let rules = {};
let flags = {};
let current = null;

export const LANGUAGES = ["en", "zh"];
export const language = () => current;

const load = async (file) => (await fetch(`languages/${file}`)).json();

export async function loadCatalogue(name) {
  if (!Object.keys(english).length) english = await load("strings.en.json");
  if (name === "zh") {
    [strings, rules, flags] = await Promise.all(
      ["strings.zh.json", "rules.zh.json", "flags.zh.json"].map(load));
  } else {
    [strings, rules, flags] = [english, {}, {}];
  }
  current = name;
}

// The string of that key, with {name} replaced by values.
export function t(key, values = {}) {
  const found = strings[key] ?? english[key] ?? key;
  return found.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

export const has = (key) => key in strings;

export function translatePage() {
  for (const element of document.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
  for (const element of document.querySelectorAll("[data-t-label]")) {
    element.setAttribute("aria-label", t(element.dataset.tLabel));
  }
}

// A rule's sentence; a rule with several causes has several rows, told apart by the English one.
export function sentenceOf(rule) {
  return rules[rule.id]?.find((row) => row.en === rule.sentence)?.sentence ?? rule.sentence;
}

export function remedyOf(rule) {
  return rules[rule.id]?.find((row) => row.en === rule.sentence)?.remedy ?? rule.remedy;
}

// What the rows say of a flag: "set", "clear" or "note".
export const flagWords = (name, facts, about) => flags[name]?.[about] ?? facts[about];

// A step of a change, in the words of law/mending.py.
export function stepWords(step) {
  if (current === "en") return step.words;
  if (step.words === step.rule.remedy) return remedyOf(step.rule);
  const [verb] = step.words.split(" ");
  if (has(`step.${step.words}`)) return t(`step.${step.words}`);
  if (has(`step.${verb}`)) return t(`step.${verb}`, { what: step.words.slice(verb.length + 1) });
  return step.words;
}

// A thing that tasks share, and what a child has instead.
export const thing = (row) => (has(`what.${row.key}`) ? t(`what.${row.key}`) : row.what);
export const apart = (row) => (has(`apart.${row.apart}`) ? t(`apart.${row.apart}`) : row.apart);

// What stands in a picture of the law's, which is drawn in English.
export function drawnWords(text) {
  const words = text.trim();
  if (current === "en" || !words) return text;
  if (has(`drawn.${words}`)) return t(`drawn.${words}`);
  const signal = /^ends with (\S+)$/.exec(words);
  if (signal) return t("drawn.ends with {signal}", { signal: signal[1] });
  const pair = /^([^:]+): (.+)$/.exec(words);
  if (pair) return `${drawnWords(pair[1])}：${drawnWords(pair[2])}`;
  return text;
}
