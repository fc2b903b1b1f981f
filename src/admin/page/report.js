// What a change of the configuration does, and what is wrong with one.

import { h } from "./dom.js";

const plural = (count) => `${count} ${count === 1 ? "engine" : "engines"}`;

function engineLine({ model, action, replicas, away, reasons }) {
  const gone = away ? `; it cannot be served ${away.seconds === null ? "while its engine is replaced" : `for about ${Math.ceil(away.seconds)} s`}` : "";
  return `engines of ${model}: ${action}${action === "removed" ? "" : ` (${plural(replicas)})`}${gone}${reasons.length ? ` – ${reasons.join("; ")}` : ""}`;
}

/** A list of what changes; `nothing` is said where nothing does. */
export function changes(change, nothing = "It would change nothing.") {
  const lines = [];
  for (const [what, list] of [["model", change.models], ["alias", change.aliases], ["caller", change.callers]]) {
    for (const one of list) lines.push(`${what} ${one.name}: ${one.kind}${one.keys?.length ? ` (${one.keys.join(", ")})` : ""}`);
  }
  lines.push(...change.engines.map(engineLine));
  for (const one of change.listeners) lines.push(`address ${one.address}: ${one.kind} (${one.key})`);
  for (const one of change.settings) lines.push(`${one.key}: ${one.from} → ${one.to}`);
  for (const one of change.restart_required) lines.push(`${one.key}: ${one.from} → ${one.to} (only when the gateway is restarted)`);
  return lines.length ? h("ul", {}, lines.map((line) => h("li", {}, line))) : h("p", {}, nothing);
}

/** One error in a line. */
export const problem = (error) => `${error.line ? `line ${error.line}: ` : ""}${error.key ? `${error.key}: ` : ""}${error.message}`;

/** A list of errors: of a refusal, or of a report. */
export function problems(found) {
  const list = found.errors?.length ? found.errors : [{ message: found.message }];
  return h("ul", {}, list.map((error) => h("li", { class: "bad-text" }, problem(error))));
}

/** What became of a change or a reload. */
export function report(told) {
  return h("div", {}, changes(told.change, told.outcome === "unchanged" ? "Nothing changed: the gateway runs by this already." : "Nothing changed."),
    told.errors?.length ? problems(told) : null,
    (told.disabled ?? []).map((one) => h("p", { class: "wait-text" }, `The ${one.kind} ${one.name}, which was changed while a gateway ran, is not used any more: ${one.errors.map(problem).join("; ")}`)));
}
