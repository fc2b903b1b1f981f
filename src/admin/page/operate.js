// What engines are told to do, how far that is, and its end.

import { act, confirmed, tell } from "./api.js";
import { h, keyed, say } from "./dom.js";
import { seconds, state } from "./format.js";
import { began, listen, store } from "./live.js";

/** Operations that this page began: their end is told. */
const own = new Set();

/** What cancelling does. */
const UNDONE = {
  start: "Engines that are not ready yet are stopped.", restart: "Engines that are not ready yet are stopped.", drain: "Requests go there again.",
  roll: "Engines that were not replaced yet stay as they are.", scale: "The model gets as many engines as before.",
};

listen(() => {
  for (const id of own) {
    const operation = store.operations.find((one) => one.id === id);
    if (operation && !operation.ended) continue;
    own.delete(id);
    if (operation?.state === "failed") tell(`${operation.detail}: failed. ${operation.error ?? ""}`);
    else if (operation) tell(`${operation.detail}: ${operation.state}.`, true);
  }
});

/** Keeps the focus beside a button that was used and is not there any more. */
function refocus(button) {
  if (document.activeElement !== document.body && document.activeElement !== button) return;
  const near = button.hidden || !button.isConnected ? [...(button.parentElement?.children ?? [])].find((each) => !each.hidden) : button;
  (near ?? document.getElementById("view")).focus({ preventScroll: true });
}

async function once(button, run) {
  button.disabled = true;
  try {
    await run();
  } catch (error) {
    tell(error.message);
  } finally {
    button.disabled = false;
    refocus(button);
  }
}

/** Has engines do what a button says; does not wait until it is done. */
export async function operate(button, question, word, path) {
  if (question && !(await confirmed(question, word))) return;
  await once(button, async () => {
    const { operation } = await act(`${path}?wait=false`);
    own.add(operation.id);
    began(operation);
  });
}

/** Cancels an operation. */
async function cancel(button, operation) {
  if (!(await confirmed(`Cancel “${operation.detail}”? ${UNDONE[operation.action] ?? ""}`, "Cancel the operation"))) return;
  await once(button, async () => {
    own.add(operation.id);
    began(await act(`operations/${operation.id}`, "DELETE"));
  });
}

/** How far an operation is: what those of its engines do that are not done. */
export function progress(operation) {
  const own = store.engines.get(operation.target);
  const engines = own ? [own] : [...store.engines.values()].filter((engine) => engine.model === operation.target);
  const busy = operation.action === "drain" ? engines.filter((engine) => engine.in_flight > 0) : engines.filter((engine) => ["starting", "stopping"].includes(engine.state));
  return busy.map((engine) => `${own ? "" : `${engine.engine} `}${operation.action === "drain" ? `${engine.in_flight} under way` : state(engine).text}`).join(", ");
}

/** For how long an operation was, or has been, under way; whole seconds while it goes on. */
export function lasting(operation) {
  const time = operation.seconds + (operation.ended ? 0 : (performance.now() - operation.heard) / 1000);
  return operation.ended || time >= 100 ? seconds(time) : `${Math.floor(time)} s`;
}

/** The button that cancels an operation. */
export const cancels = (operation) => h("button", { type: "button", "aria-label": `Cancel ${operation.detail}`, onclick: (event) => cancel(event.currentTarget, operation) }, "Cancel");

/** What is under way with an engine or a model. */
export function underWay(target) {
  const element = h("div", { class: "underway" });
  const update = () => {
    const running = store.operations.filter((operation) => !operation.ended && operation.target === target);
    element.hidden = running.length === 0;
    keyed(element, running, (operation) => operation.id, (operation) =>
      h("div", { class: "actions" }, h("span"), operation.can_be_cancelled ? cancels(operation) : null), (row, operation) => say(row.firstChild, line(operation)));
  };
  return { element, update };
}

function line(operation) {
  const far = progress(operation);
  return `${operation.action.replaceAll("_", " ")} · for ${lasting(operation)}${far ? ` · ${far}` : ""}`;
}
