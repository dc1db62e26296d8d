// What each kernel answers to the same request: a strip of spans, and a line for each.

import { data } from "./data.js";
import { make, withCode } from "./elements.js";
import { sentenceOf, t, thing } from "./language.js";
import { change } from "./state.js";

export function kernelStrip(told) {
  const spans = told.kernels;
  const strip = make("div", { class: "strip", role: "group", "aria-label": t("kernels.title") },
    spans.map((span) => make("button", {
      class: `span ${span.errno ? "refused" : "granted"}`, style: `flex-grow: ${kernelsIn(span)}`,
      "aria-pressed": String(span.asked), title: `${years(span)}: ${answerIn(span)}`, onclick: () => goTo(span),
    }, make("span", { class: "from" }, span.since), make("span", { class: "what" }, span.errno ?? t("granted")))));
  const lines = make("ul", { class: "spans" }, spans.map((span) => make("li", { class: span.asked ? "current" : null },
    make("button", { class: "link", onclick: () => goTo(span) }, years(span)),
    make("span", { class: `mark ${span.errno ? "refused" : "granted"}` }, span.errno ?? t("granted")),
    make("span", { class: "because" }, because(span, told.call)))));
  return make("section", { class: "card kernels", "aria-labelledby": "kernels-title" },
    make("h2", { id: "kernels-title" }, t("kernels.title")),
    spans.length > 1 ? strip : make("p", {}, t("kernels.same")), lines);
}

const order = (version) => version.split(".").map((part) => part.padStart(4, "0")).join(".");
const inSpan = (version, span) =>
  order(version) >= order(span.since) && (span.until === null || order(version) < order(span.until));
const kernelsIn = (span) => data.kernels.filter((version) => inSpan(version, span)).length;

// To the newest kernel that gives this answer, unless the present one does.
function goTo(span) {
  if (!span.asked) change({ kernel: data.kernels.filter((version) => inSpan(version, span)).at(-1) ?? span.since });
}

function years(span) {
  if (span.until === null && span.since === data.kernels[0]) return t("kernels.all");
  if (span.until === null) return t("kernels.since", { since: span.since });
  if (span.since === data.kernels[0]) return t("kernels.before", { until: span.until });
  return t("kernels.from", { since: span.since, until: span.until });
}

const answerIn = (span) => (span.errno ? `${span.errno} (${span.rule.id})` : t("granted"));

function because(span, call) {
  const by = span.call === call ? [] : [t("kernels.by", { call: `${span.call}()` })];
  if (span.errno) return [...by, make("b", {}, span.rule.id), " ", ...withCode(sentenceOf(span.rule))];
  const parts = [];
  if (span.moved) parts.push(t("kernels.moved", { flags: span.moved }));
  if (span.ignored) parts.push(t("kernels.ignored", { flags: span.ignored.replaceAll("|", ", ") }));
  for (const row of span.differs) parts.push(t(row.shared ? "kernels.shared" : "kernels.apart", { what: thing(row) }));
  if (span.exit_signal !== null) parts.push(t("kernels.signal", { signal: span.exit_signal }));
  return [...by, ...withCode(parts.join(t("semicolon")))];
}
