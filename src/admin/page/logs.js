// Logs: of one engine, of the gateway, or all merged.

import { h, keyed } from "./dom.js";
import { clock } from "./format.js";
import { store } from "./live.js";

/** Lines that are shown. */
const MOST = 2000;

/** A log that goes on; `from`: an engine, `gateway`, or nothing for all. */
export function logView(from) {
  const search = h("input", { type: "search", placeholder: "Lines that contain …", "aria-label": "Search the log" });
  const pause = h("button", { type: "button", "aria-pressed": "false" }, "Pause");
  const box = h("div", { class: "log", tabindex: "0", role: "log", "aria-label": "Log" });
  const element = h("div", {}, h("div", { class: "filters" }, search, pause), box);
  let source = null;
  let waiting = [];
  let paused = false;
  let frame = 0;
  // Whoever scrolls up reads: nothing moves then.
  let follows = true;
  for (const kind of ["wheel", "touchmove", "keyup", "pointerup"]) {
    box.addEventListener(kind, () => requestAnimationFrame(() => (follows = box.scrollHeight - box.scrollTop - box.clientHeight < 40)));
  }
  const flush = () => {
    frame = 0;
    if (paused || waiting.length === 0) return;
    box.append(...waiting.map((line) => show(line, from)));
    waiting = [];
    while (box.childElementCount > MOST) box.firstChild.remove();
    if (follows) box.scrollTop = box.scrollHeight;
  };
  const open = () => {
    source?.close();
    box.replaceChildren();
    waiting = [];
    const query = new URLSearchParams({ follow: "true", lines: "500" });
    if (from) query.set("from", from);
    if (search.value) query.set("grep", search.value);
    source = new EventSource(`/api/v1/logs?${query}`);
    source.onopen = () => {
      // It begins again with the last lines.
      box.replaceChildren();
      waiting = [];
    };
    source.onmessage = (message) => {
      waiting.push(JSON.parse(message.data));
      if (waiting.length > MOST) waiting = waiting.slice(-MOST);
      if (!frame) frame = requestAnimationFrame(flush);
    };
  };
  let typed = 0;
  search.addEventListener("input", () => {
    clearTimeout(typed);
    typed = setTimeout(open, 250);
  });
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.textContent = paused ? "Go on" : "Pause";
    pause.setAttribute("aria-pressed", String(paused));
    flush();
  });
  open();
  return { element, end: () => source.close(), reopen: (other) => {
    from = other;
    open();
  } };
}

function show(line, from) {
  const known = { error: "error", warn: "warn" }[line.level] ?? "";
  const time = from === "gateway" || !from ? `${clock(line.time) || "        "} ` : "";
  return h("div", { class: known }, time ? h("span", { class: "from" }, time) : null, from ? null : h("span", { class: "from" }, `${line.from} `), ansi(line.text));
}

/** Text with the colours of a terminal (`ESC [ … m`) as spans; other sequences are left out. */
function ansi(text) {
  if (!text.includes("\u001b")) return [text];
  let classes = "";
  return text.split(/(\u001b\[[0-9;?]*[A-Za-z])/).flatMap((piece) => {
    const found = /^\u001b\[([0-9;]*)m$/.exec(piece);
    if (found) {
      const codes = found[1] === "" ? ["0"] : found[1].split(";");
      classes = codes.includes("0") ? "" : [...classes.split(" ").filter(Boolean), ...codes.map((code) => `ansi-${Number(code)}`)].join(" ");
      return [];
    }
    if (piece.startsWith("\u001b[")) return [];
    return piece === "" ? [] : [classes ? h("span", { class: classes }, piece) : piece];
  });
}

export function logs(root) {
  const select = h("select", { "aria-label": "Whose log" }, h("option", { value: "" }, "All, merged"), h("option", { value: "gateway" }, "Gateway"));
  const engines = h("optgroup", { label: "Engines" });
  select.append(engines);
  const log = logView("");
  select.addEventListener("change", () => log.reopen(select.value));
  root.append(h("h1", {}, "Logs"), h("div", { class: "filters" }, h("label", {}, "Log ", select)), log.element);
  const update = () => keyed(engines, [...store.engines.values()].filter((engine) => engine.ours), (engine) => engine.engine,
    (engine) => h("option", { value: engine.engine }, engine.engine), () => {});
  return { update, end: () => log.end() };
}
