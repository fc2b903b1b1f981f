// Numbers and times as people read them.

/** Seconds: 0.42 ms, 12 ms, 3.1 s, 4 min. */
export function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value < 0.001) return `${(value * 1e3).toFixed(2)} ms`;
  if (value < 0.0995) return `${(value * 1e3).toFixed(value < 0.00995 ? 1 : 0)} ms`;
  if (value < 1) return `${(value * 1e3).toFixed(0)} ms`;
  if (value < 100) return `${value.toFixed(value < 10 ? 2 : 1)} s`;
  if (value < 7200) return `${(value / 60).toFixed(0)} min`;
  if (value < 172800) return `${(value / 3600).toFixed(1)} h`;
  return `${(value / 86400).toFixed(1)} d`;
}

/** A rate or a count: 0.04, 3.2, 1,234. */
export function number(value) {
  if (value === null || value === undefined) return "–";
  if (value !== 0 && Math.abs(value) < 0.01) return "< 0.01";
  const digits = Number.isInteger(value) || Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString("en", { maximumFractionDigits: digits });
}

/** Bytes: 1.5 GiB. */
export function bytes(value) {
  if (value === null || value === undefined) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  while (value >= 1024 && at < units.length - 1) [value, at] = [value / 1024, at + 1];
  return `${value.toFixed(at === 0 || value >= 100 ? 0 : 1)} ${units[at]}`;
}

/** The time of day of an RFC 3339 time. */
export function clock(text) {
  if (!text) return "";
  const time = new Date(text);
  return Number.isNaN(time.getTime()) ? "" : time.toLocaleTimeString("en-GB");
}

/** A day and a time of day, as they are here. */
export function moment(text) {
  const time = new Date(text ?? NaN);
  return Number.isNaN(time.getTime()) ? "" : time.toLocaleString("sv-SE");
}

/** What an engine does: a word, the class of its colour, and how far it is. */
export function state(engine) {
  const kind = { ready: "good", starting: "wait", stopping: "wait", unhealthy: "bad", failed: "bad", asleep: "rest", stopped: "rest" };
  const percent = typeof engine.percent === "number" ? engine.percent : null;
  const phase = engine.state === "starting" && engine.phase !== "unknown" ? engine.phase.replaceAll("_", " ") : "";
  const drained = engine.in_flight > 0 ? "draining" : "drained";
  const word = engine.state !== "ready" ? engine.state : engine.drained ? drained : engine.ejected ? "avoided" : "ready";
  const text = phase ? `${word}: ${phase}${percent === null ? "" : ` ${percent} %`}` : word;
  return { text, kind: word === "drained" ? "rest" : kind[word] ?? (engine.state === "ready" ? "wait" : "rest"), percent };
}

/** What a model that is loaded on demand does while its engines have no GPUs; nothing for one whose engines have some. */
export function unloaded(model) {
  const where = model.on_demand;
  if (!where || model.ready || where.turn === "loaded") return "";
  if (where.turn === "stopped") return "stopped";
  if (where.obstacle) return `cannot be loaded: ${where.obstacle}`;
  if (where.turn === "next" || model.waiting > 0) return "waits for GPUs";
  return where.turn === "asleep" ? "asleep" : "not loaded";
}
