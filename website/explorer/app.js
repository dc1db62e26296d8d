// The page: its language, its theme, its two views, and what is told of each state.

import { loadCatalogue, translatePage, language, t } from "./language.js";
import { data, loadData } from "./data.js";
import { state, change, onChange, readAddress } from "./state.js";
import { makeControls, showControls } from "./controls.js";
import { showAnswer } from "./answer.js";
import { showPlay } from "./play/player.js";
import { start as startLaw } from "./law.js";
import { tabs } from "./elements.js";

const THEMES = ["auto", "light", "dark"];
const root = document.documentElement;
const system = matchMedia("(prefers-color-scheme: dark)");

function theme() {
  const kept = localStorage.getItem("theme") ?? "auto";
  return THEMES.includes(kept) ? kept : "auto";
}

function applyTheme() {
  const dark = theme() === "dark" || (theme() === "auto" && system.matches);
  root.dataset.theme = dark ? "dark" : "light";
  const button = document.getElementById("theme");
  button.textContent = t(`theme.${theme()}`);
  button.setAttribute("aria-label", t("theme.label", { now: t(`theme.${theme()}`) }));
}

function show() {
  const playing = state.view === "play";
  for (const view of ["explore", "play"]) {
    document.getElementById(view).hidden = (view === "play") !== playing;
    const tab = document.getElementById(`tab-${view}`);
    tab.setAttribute("aria-selected", String((view === "play") === playing));
    tab.tabIndex = (view === "play") === playing ? 0 : -1;
  }
  root.dataset.view = state.view;
  if (playing) {
    showPlay(document.getElementById("play"));
  } else {
    showControls();
    showAnswer(root.dataset.theme);
  }
}

async function setLanguage() {
  await loadCatalogue(state.language);
  root.lang = language() === "zh" ? "zh-CN" : "en";
  document.title = t("title");
  translatePage();
  const button = document.getElementById("language");
  button.textContent = language() === "zh" ? "English" : "中文";
  button.lang = language() === "zh" ? "en" : "zh-CN";
  makeControls(document.getElementById("controls"));
  applyTheme();
}

async function start() {
  if (!location.hash.includes("play=")) startLaw(); // before all else, since it takes longest
  await loadData();
  readAddress();
  await setLanguage();
  document.getElementById("language").onclick = () =>
    change({ language: language() === "zh" ? "en" : "zh" });
  document.getElementById("theme").onclick = () => {
    localStorage.setItem("theme", THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length]);
    applyTheme();
    show();
  };
  system.addEventListener("change", () => {
    applyTheme();
    show();
  });
  tabs(document.getElementById("views"), (tab) => change({ view: tab.dataset.view }));
  onChange(async () => {
    if (state.language !== language()) await setLanguage();
    show();
  });
  show();
  root.dataset.ready = data.pyodide;
}

start();
