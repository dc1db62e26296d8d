// Draws one step as SVG: what both tasks do over time, and what each of them has.

import { t } from "../language.js";

const NS = "http://www.w3.org/2000/svg";
const GAP = 16, ROW = 21, HEAD = 28, LANE = 22, NARROW = 640;
const LETTER = 7.3, CODE_LETTER = 7.0; // widths in pixels, at the sizes of play.css; CJK letters are twice as wide

const draw = (tag, attributes, ...children) => {
  const element = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
};
const text = (x, y, words, style, anchor = "start") =>
  draw("text", { x, y, class: style, "text-anchor": anchor }, words);

// A word of the scene's: one with an @ is in the catalogue.
export const word = (written) => (written.startsWith("@") ? t(`word.${written.slice(1)}`) : written);

const widthOf = (words, letter) =>
  [...words].reduce((sum, one) => sum + (one.codePointAt(0) > 0x2e7f ? 2 : 1), 0) * letter;

// A stage keeps its cards, so that one that goes to another column is seen to go there.
export class Stage {
  constructor(frame) {
    this.frame = frame;
    this.svg = draw("svg", { class: "stage", role: "img" });
    this.cards = new Map();
    frame.replaceChildren(this.svg);
  }

  // Fills the stage with a step; the height is that of the highest step, so that nothing jumps.
  show(states, now) {
    const width = Math.max(300, this.frame.clientWidth);
    const layout = layoutFor(width);
    const tall = Math.max(...states.map((state) => arrange(state, layout).bottom));
    const arranged = arrange(states[now], layout);
    this.svg.setAttribute("viewBox", `0 0 ${width} ${tall}`);
    this.svg.setAttribute("width", width);
    this.svg.setAttribute("height", tall);
    this.svg.setAttribute("aria-label", `${t("play.stage")}. ${inWords(states[now])}`);
    this.svg.querySelectorAll(":scope > :not(.card)").forEach((old) => old.remove());
    this.svg.prepend(...lanes(states, now, layout), ...heads(states[now], layout, tall));
    this.#place(arranged.cards, states, now);
  }

  #place(cards, states, now) {
    for (const [id, group] of this.cards) {
      if (!cards.has(id)) {
        group.remove();
        this.cards.delete(id);
      }
    }
    for (const [id, { x, y, width, thing }] of cards) {
      let group = this.cards.get(id);
      if (!group) {
        group = draw("g", { "data-thing": id });
        this.cards.set(id, group);
        this.svg.append(group);
      }
      group.setAttribute("class", `card at-${thing.at}${thing.tag ? ` ${thing.tag}` : ""}`);
      group.style.transform = `translate(${x}px, ${y}px)`;
      group.replaceChildren(...cardParts(thing, width, now > 0 ? states[now - 1].things[id] : null));
    }
  }
}

// Three columns; on a phone two, with what both have above them, over the whole width.
function layoutFor(width) {
  if (width < NARROW) {
    const half = (width - GAP) / 2;
    return { width, narrow: true, x: { caller: 0, both: 0, child: half + GAP }, wide: { caller: half, both: width, child: half } };
  }
  const third = (width - 2 * GAP) / 3;
  return { width, narrow: false, x: { caller: 0, both: third + GAP, child: 2 * (third + GAP) }, wide: { caller: third, both: third, child: third } };
}

const LANES = 2 * LANE + 34;
const taskHeight = (layout) => (layout.narrow ? 84 : 66);

const heightOf = (thing) => HEAD + thing.rows.length * ROW + 8;

function arrange(state, layout) {
  const top = LANES + taskHeight(layout) + GAP + (layout.narrow ? 0 : 4);
  const y = { caller: top, both: layout.narrow ? top : LANES + 30, child: top };
  const cards = new Map();
  const put = (at) => {
    for (const [id, thing] of Object.entries(state.things)) {
      if (thing.at !== at) continue;
      cards.set(id, { x: layout.x[at], y: y[at], width: layout.wide[at], thing });
      y[at] += heightOf(thing) + 10;
    }
  };
  put("both");
  if (layout.narrow) y.caller = y.child = y.both;
  put("caller");
  put("child");
  return { cards, bottom: Math.max(...Object.values(y)) + 4 };
}

// ---- time: a lane for each task, a piece for each step

function lanes(states, now, layout) {
  const left = layout.narrow ? 56 : 84;
  const step = (layout.width - left - 8) / states.length;
  const parts = [draw("rect", { class: "now", x: left + now * step, y: 0, width: step, height: LANES - 12, rx: 6 })];
  ["caller", "child"].forEach((task, lane) => {
    const y = 8 + lane * (LANE + 6);
    parts.push(text(0, y + 16, t(`task.${task}`), "lane-name"));
    states.forEach((state, number) => {
      const kind = state.tasks[task][0];
      if (kind === "none" || kind === "gone") return;
      parts.push(draw("rect", {
        class: `piece ${kind}${number > now ? " later" : ""}`, x: left + number * step + 1.5, y, width: Math.max(2, step - 3), height: LANE, rx: 4,
      }));
    });
  });
  const born = states.findIndex((state) => state.tasks.child[0] !== "none");
  if (born > 0) {
    const x = left + born * step;
    parts.push(draw("path", { class: "birth", d: `M${x - 6} ${8 + LANE} q0 12 8 ${LANE / 2 + 6}` }));
  }
  states.forEach((state, number) => {
    const before = states[number - 1]?.tasks.caller[0];
    if (before === "waits" && state.tasks.caller[0] !== "waits") parts.push(...wake(left + number * step, number > now));
  });
  return parts;
}

// From the child to the caller, which waited for it.
function wake(x, later) {
  const foot = 8 + LANE + 10, tip = 8 + LANE / 2;
  return [draw("path", { class: `wake${later ? " later" : ""}`, d: `M${x - 5} ${foot + 4} Q${x - 5} ${tip} ${x + 6} ${tip} M${x + 1} ${tip - 5} L${x + 7} ${tip} L${x + 1} ${tip + 5}` })];
}

// ---- the two tasks, above what they have

function heads(state, layout, tall) {
  const parts = [];
  for (const task of ["caller", "child"]) {
    const [kind, doing] = state.tasks[task];
    const x = layout.x[task], width = layout.wide[task];
    parts.push(draw("g", { class: `task ${kind}` },
      draw("rect", { x: x + 1, y: LANES, width: width - 2, height: taskHeight(layout), rx: 10 }),
      text(x + 14, LANES + 24, t(`task.${task}`), "task-name"),
      layout.narrow ? text(x + 14, LANES + 41, t(`state.${kind}`), "task-state")
        : text(x + width - 14, LANES + 24, t(`state.${kind}`), "task-state", "end"),
      ...fitted(word(doing), width - 28).map((line, number) =>
        text(x + 14, LANES + taskHeight(layout) - 24 + 15 * number, line, "doing"))));
  }
  if (!layout.narrow) {
    const middle = layout.x.both + layout.wide.both / 2;
    parts.push(text(middle, LANES + 18, t("column.both"), "column", "middle"));
    parts.push(draw("rect", { class: "between", x: layout.x.both - GAP / 2 + 2, y: LANES, width: layout.wide.both + GAP - 4, height: Math.max(0, tall - LANES - 2), rx: 10 }));
    parts.reverse();
  }
  return parts;
}

// At most two lines, broken behind a comma, a bar or a blank.
function fitted(words, width) {
  if (widthOf(words, CODE_LETTER) <= width) return words ? [words] : [];
  const most = Math.floor(width / CODE_LETTER);
  const cut = Math.max(...[", ", "|", " ", "("].map((mark) => words.lastIndexOf(mark, most - 1) + 1));
  const at = cut > 3 ? cut : most;
  return [words.slice(0, at), words.slice(at).trimStart()];
}

// ---- a thing

function cardParts(thing, width, before) {
  const parts = [
    draw("rect", { class: "paper", x: 1, y: 0, width: width - 2, height: heightOf(thing), rx: 8 }),
    text(12, 19, word(thing.title), "card-name"),
  ];
  if (thing.tag) parts.push(text(width - 12, 19, t(`tag.${thing.tag}`), "tag", "end"));
  thing.rows.forEach(([label, value], number) => {
    const y = HEAD + number * ROW;
    const old = before?.rows?.find(([known]) => known === label)?.[1];
    const isNew = before && old !== value;
    parts.push(draw("rect", { class: isNew ? "row new" : "row", x: 6, y, width: width - 12, height: ROW - 2, rx: 4 }));
    parts.push(text(12, y + 14, word(label), "label"));
    parts.push(text(width - 12, y + 14, word(value), "value", "end"));
  });
  return parts;
}

// The same for those who do not see it.
function inWords(state) {
  const tasks = ["caller", "child"].map((task) =>
    `${t(`task.${task}`)}: ${t(`state.${state.tasks[task][0]}`)} ${word(state.tasks[task][1])}`);
  const things = Object.values(state.things).map((thing) =>
    `${word(thing.title)} (${thing.at === "both" ? t("column.both") : t(`task.${thing.at}`)}): ${thing.rows.map((row) => row.map(word).join(" ")).join(", ")}`);
  return [...tasks, ...things].join("; ");
}
