// Operations: what operators had done with engines; and the audit log: all that they asked for.

import { ask, tell } from "./api.js";
import { cells, h, keyed, say, style, table } from "./dom.js";
import { moment } from "./format.js";
import { store } from "./live.js";
import { cancels, lasting, progress } from "./operate.js";

const OPERATIONS = [["State"], ["What", "name"], ["Time", "num"], ["How far, or why not", "wrap"], ["Began", "when"], ["Who"], ["Actions"]];
const AUDIT = [["When", "when"], ["Who"], ["What", "wrap"], ["Request", "wrap"], ["Answer", "num"]];
const kinds = (columns) => columns.map(([, kind]) => kind);
const COLOURS = { running: "wait", done: "good", failed: "bad", cancelled: "rest" };
const LOGINS = { none: "no login", token: "token", local: "this machine", cookie: "browser" };

/** Entries of the audit log that are asked for at once. */
const STEP = 100;

/** The port of a client says nothing. */
const who = (operator) => `${operator.address?.replace(/:\d+$/, "") ?? "unknown"} (${LOGINS[operator.login] ?? operator.login})`;

export function operations(root) {
  const list = table("Operations", OPERATIONS);
  const none = h("p", { class: "soft" }, "Nobody has had anything done with engines since the gateway started.");
  const log = audit();
  root.append(h("h1", {}, "Operations"), none, list.element, h("h2", {}, "Audit log"),
    h("p", { class: "soft" }, "What operators asked for, also by the command line and the API; the newest first. It is kept in the state directory."), log.element);
  let known = null;
  const update = () => {
    none.hidden = store.operations.length > 0 || !store.status;
    list.element.hidden = store.operations.length === 0;
    keyed(list.body, store.operations, (operation) => operation.id, (operation) => {
      const row = h("tr");
      row.state = h("span", { class: "state" });
      row.cancel = h("div", { class: "actions small" }, cancels(operation));
      return row;
    }, (row, operation) => {
      say(row.state, operation.state);
      style(row.state, `state ${COLOURS[operation.state] ?? "rest"}`);
      row.cancel.hidden = !operation.can_be_cancelled;
      cells(row, [row.state, operation.detail, lasting(operation), operation.error ?? (operation.ended ? "" : progress(operation)), moment(operation.began), who(operation.operator), row.cancel], kinds(OPERATIONS));
    });
    if (store.audited !== known) {
      known = store.audited;
      log.load();
    }
  };
  return { update };
}

/** The audit log, as far back as is asked for. */
function audit() {
  const { element, body } = table("Audit log", AUDIT);
  const none = h("p", { class: "soft", hidden: true }, "Nothing is written down yet.");
  const more = h("button", { type: "button", hidden: true }, "Show older ones");
  let [limit, asked] = [STEP, 0];
  const load = async () => {
    const own = ++asked;
    try {
      const { entries } = await ask(`audit?limit=${limit}`);
      // An older answer may come later than a newer one.
      if (own !== asked) return;
      none.hidden = entries.length > 0;
      element.hidden = entries.length === 0;
      more.hidden = entries.length < limit;
      body.replaceChildren(...entries.map((entry) => {
        const row = h("tr");
        const answer = h("span", { class: entry.status >= 400 ? "bad-text" : "" }, `${entry.status}`);
        cells(row, [moment(entry.at), h("span", { title: entry.operator.agent ?? "" }, who(entry.operator)), `${entry.detail}${entry.error ? ` – ${entry.error}` : ""}`, h("code", {}, entry.request), answer], kinds(AUDIT));
        return row;
      }));
    } catch (error) {
      tell(error.message);
    }
  };
  more.addEventListener("click", () => {
    limit += STEP;
    load();
  });
  return { element: h("div", {}, none, element, h("p", {}), more), load };
}
