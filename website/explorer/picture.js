// The law's own drawing, set into the page with its styles to itself, in the reader's language.

import { make } from "./elements.js";
import { drawnWords, t } from "./language.js";

export function picture(svg) {
  const frame = make("div", { class: "drawing", role: "group", tabindex: "0", "aria-label": t("picture.title") });
  const root = frame.attachShadow({ mode: "open" });
  const drawn = new DOMParser().parseFromString(svg, "image/svg+xml").documentElement;
  for (const element of drawn.querySelectorAll("text, tspan, title")) {
    for (const node of element.childNodes) {
      if (node.nodeType === Node.TEXT_NODE) node.textContent = drawnWords(node.textContent);
    }
  }
  const style = make("style", {}, ":host { display: block } svg { display: block; width: 100%; height: auto; min-width: 36rem; margin: 0 auto } .ground { fill: none !important }");
  root.append(style, document.importNode(drawn, true));
  return frame;
}
