// What is known of the gateway: a snapshot, then what changes, as the gateway tells it.

import { ask } from "./api.js";

/** Requests and log lines that are kept. */
const MOST = 500;

/** Operations that are kept. */
const MOST_OPERATIONS = 200;

/** Points of charts: five minutes. */
const POINTS = 60;

export const store = {
  status: null, models: new Map(), engines: new Map(), aliases: [], callers: [], gpus: null,
  rates: null, history: [], requests: [], lines: [], reload: null, operations: [], audited: 0, overlay: [],
  /** `connecting`, `live` or `lost`. */
  link: "connecting",
};

const listeners = new Set();
let scheduled = false;

/** Calls `listener` after changes, at most once for each frame; returns what ends that. */
export function listen(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function changed() {
  if (scheduled) return;
  scheduled = true;
  // Also where no frame is drawn: a page in the background goes on.
  const run = () => {
    scheduled = false;
    for (const listener of listeners) listener();
  };
  if (document.hidden) setTimeout(run, 250);
  else requestAnimationFrame(run);
}

function snapshot(told) {
  const own = document.querySelector("meta[name=version]").content;
  if (told.status.version !== own) {
    // Another version of the gateway has another page.
    location.reload();
    return;
  }
  store.status = told.status;
  store.aliases = told.aliases;
  store.callers = told.callers;
  store.models = new Map(told.models.map((model) => [model.model, model]));
  store.engines = new Map(told.engines.map((engine) => [engine.engine, engine]));
  store.operations = told.operations.map(heardNow);
  store.gpus = told.gpus;
  store.rates = told.rates;
  store.history = told.rates.history;
  refresh();
}

/** Its seconds are those of now. */
const heardNow = (operation) => ({ ...operation, heard: performance.now() });

function operation(told) {
  const at = store.operations.findIndex((known) => known.id === told.id);
  if (at < 0) store.operations = [heardNow(told), ...store.operations].slice(0, MOST_OPERATIONS);
  // An answer may come later than the event that tells the end.
  else if (!store.operations[at].ended) store.operations = store.operations.with(at, heardNow(told));
}

/** Notes an operation that an answer tells of. */
export function began(told) {
  operation(told);
  changed();
}

function pulse(told) {
  for (const name of told.gone_models) store.models.delete(name);
  for (const id of told.gone_engines) store.engines.delete(id);
  for (const model of told.models) store.models.set(model.model, model);
  for (const engine of told.engines) store.engines.set(engine.engine, engine);
  if (told.gpus) store.gpus = told.gpus;
  store.rates = told.rates;
  const last = told.rates.history.at(-1);
  if (last && last.number !== store.history.at(-1)?.number) {
    store.history = [...store.history, last].slice(-POINTS);
  }
}

function heard(event) {
  switch (event.event) {
    case "snapshot": snapshot(event); break;
    case "pulse": pulse(event); break;
    case "engine": {
      const known = store.engines.get(event.engine);
      // What belonged to the state before is not of this one.
      if (known) store.engines.set(event.engine, { ...known, phase: null, percent: null, detail: null, ...event });
      break;
    }
    case "requests": store.requests = [...event.requests.toReversed(), ...store.requests].slice(0, MOST); break;
    case "log": store.lines = [...store.lines, ...event.lines].slice(-MOST); break;
    case "operation": operation(event); break;
    case "audit": store.audited += 1; break;
    case "reload": store.reload = event; refresh(); break;
    default: break;
  }
  changed();
}

/** Asks for what a reload changes, and for what no event tells. */
export async function refresh() {
  try {
    const [status, aliases, callers, overlay] = await Promise.all(["status", "aliases", "callers", "overlay"].map((path) => ask(path)));
    Object.assign(store, { status, aliases: aliases.aliases, callers: callers.callers, overlay: overlay.entries });
    changed();
  } catch {
    // The stream of events tells that the gateway is gone.
  }
}

/** What every view needs. Requests are asked for only where they are shown: there may be thousands a second. */
const KINDS = "snapshot,engine,reload,operation,pulse,log,audit";

let source = null;
let retry = 0;
let wanted = KINDS;
let refusal = () => {};

/** Whether the view that is shown lists requests. */
export function showRequests(shown) {
  const kinds = shown ? `${KINDS},requests` : KINDS;
  if (kinds === wanted) return;
  wanted = kinds;
  if (source) connect(refusal);
  if (shown) load().catch(() => {});
}

/** Listens, and connects again when the connection is lost. `refused` is called when a login is needed. */
export function connect(refused) {
  refusal = refused;
  source?.close();
  source = new EventSource(`/api/v1/events?kinds=${wanted}`);
  source.onopen = () => {
    retry = 0;
    store.link = "live";
    changed();
  };
  source.onmessage = (message) => heard(JSON.parse(message.data));
  source.onerror = async () => {
    store.link = "lost";
    changed();
    // The browser itself connects again, but not after an answer that is no stream.
    if (source.readyState !== EventSource.CLOSED) return;
    try {
      await ask("status");
    } catch (error) {
      if (error.status === 401) {
        refused();
        return;
      }
    }
    retry = Math.min(retry + 1, 5);
    setTimeout(() => connect(refused), 400 * retry);
  };
}

/** The newest requests, for a page that was just opened. */
export async function load() {
  const { requests } = await ask("requests?limit=200");
  const known = new Set(requests.map((request) => request.id));
  store.requests = [...store.requests.filter((request) => !known.has(request.id)), ...requests].slice(0, MOST);
  changed();
}
