// Callers: who may send requests, and what they used.

import { ask } from "./api.js";
import { cells, h, keyed, table } from "./dom.js";
import { number } from "./format.js";
import { store } from "./live.js";
import { adds, entryCells, overlayTable } from "./overlay.js";

const COLUMNS = [["Caller"], ["Keys", "num"], ["Requests", "num"], ["Tokens read", "num"], ["Tokens written", "num"], ["Actions"]];
const KINDS = COLUMNS.map(([, kind]) => kind);

/** How often the figures are asked for, in milliseconds. */
const PAUSE = 3000;

export function callers(root) {
  const { element, body } = table("Callers", COLUMNS);
  const none = h("p", { class: "soft" }, "The configuration has no callers: every client may send requests.");
  const others = overlayTable("callers");
  root.append(h("h1", {}, "Callers"), h("div", { class: "filters" }, adds("callers")), none, element, others.element);
  const update = () => {
    none.hidden = store.callers.length > 0 || !store.status;
    element.hidden = store.callers.length === 0;
    keyed(body, store.callers, (caller) => caller.caller, (caller) => Object.assign(h("tr"), { parts: entryCells("callers", caller.caller) }), (row, caller) => {
      row.parts.show(caller.origin);
      cells(row, [row.parts.name, number(caller.keys), number(caller.requests), number(caller.prompt_tokens), number(caller.completion_tokens), row.parts.actions], KINDS);
    });
    others.update();
  };
  const refresh = () => ask("callers").then((told) => {
    store.callers = told.callers;
    update();
  }, () => {});
  const timer = setInterval(refresh, PAUSE);
  refresh();
  return { update, end: () => clearInterval(timer) };
}
