// Small makers of elements.

import { t } from "./language.js";

// An element with attributes, listeners (on...) and children: elements, or text.
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element[name] = value;
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const options = (pairs, chosen) =>
  pairs.map(([value, words]) => make("option", { value, selected: value === chosen }, words));

// A text in which words of the kernel's, such as CLONE_VM or clone3, are set as code.
export function withCode(text) {
  const parts = text.split(/(CLONE_\w+|clone3?\(\)|unshare\(\)|setns\(\)|\bclone3\b|\bSIG[A-Z]+\b|\bCAP_\w+|\/proc\/[\w/*]+)/);
  return parts.map((part, number) => (number % 2 ? make("code", {}, part) : part));
}

const ICONS = {
  first: "M6 5v14M19 5 9 12l10 7z", back: "M17 5 7 12l10 7z", forward: "M7 5l10 7-10 7z", play: "M8 5l11 7-11 7z", pause: "M8 5v14M16 5v14",
};

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", `icon ${name}`);
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

// The manners of a list of tabs: arrows move, Home and End go to the ends.
export function tabs(list, chosen) {
  const all = () => [...list.querySelectorAll("[role=tab]")];
  list.onclick = ({ target }) => {
    const tab = target.closest("[role=tab]");
    if (tab) chosen(tab);
  };
  list.onkeydown = (event) => {
    const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
    const present = all().indexOf(document.activeElement);
    let next = null;
    if (event.key in steps) next = (present + steps[event.key] + all().length) % all().length;
    if (event.key === "Home") next = 0;
    if (event.key === "End") next = all().length - 1;
    if (present < 0 || next === null) return;
    event.preventDefault();
    const id = all()[next].id;
    chosen(all()[next]);
    document.getElementById(id)?.focus();
  };
}

let forgotten = null;

export function toast(words) {
  const place = document.getElementById("toast");
  place.textContent = words;
  place.classList.add("shown");
  clearTimeout(forgotten);
  forgotten = setTimeout(() => place.classList.remove("shown"), 2500);
}

// Browsers give the clipboard to pages of secure origins alone.
async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

export function copyButton(text, label, said = t("copied")) {
  return make("button", {
    class: "copy quiet",
    "aria-label": label,
    onclick: async () => toast((await copied(text())) ? said : t("not-copied")),
  }, t("copy"));
}
