// Callers: who may send requests, and what they used.

import { ask } from "./api.js";
import { cells, h, keyed, table } from "./dom.js";
import { number } from "./format.js";
import { store } from "./live.js";

const COLUMNS = [["Caller"], ["Keys", "num"], ["Requests", "num"], ["Tokens read", "num"], ["Tokens written", "num"]];
const KINDS = COLUMNS.map(([, kind]) => kind);

/** How often the figures are asked for, in milliseconds. */
const PAUSE = 3000;

export function callers(root) {
  const { element, body } = table("Callers", COLUMNS);
  const none = h("p", { class: "soft" }, "The configuration has no callers: every client may send requests.");
  root.append(h("h1", {}, "Callers"), none, element);
  const update = () => {
    none.hidden = store.callers.length > 0 || !store.status;
    element.hidden = store.callers.length === 0;
    keyed(body, store.callers, (caller) => caller.caller, () => h("tr"), (row, caller) =>
      cells(row, [caller.caller, number(caller.keys), number(caller.requests), number(caller.prompt_tokens), number(caller.completion_tokens)], KINDS));
  };
  const refresh = () => ask("callers").then((told) => {
    store.callers = told.callers;
    update();
  }, () => {});
  const timer = setInterval(refresh, PAUSE);
  refresh();
  return { update, end: () => clearInterval(timer) };
}
