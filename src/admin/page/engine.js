// One engine: what it does, what it can be told to do, its log, its requests.

import { ask, pathOf } from "./api.js";
import { chart } from "./chart.js";
import { cells, facts, h, keyed, say, style, table, tile } from "./dom.js";
import { number, seconds, state } from "./format.js";
import { store } from "./live.js";
import { logView } from "./logs.js";
import { operate, underWay } from "./operate.js";
import { requestTable } from "./requests.js";

// How often what happened: `2 × start timeout, 1 × ordered`.
const causes = (counts) => Object.entries(counts).map(([cause, count]) => `${number(count)} × ${cause.replaceAll("_", " ")}`).join(", ");
/** The charts of one engine. Its points are asked for when an interval is over; they are told of no engine that is not shown. */
function history(id) {
  const charts = [
    chart("Requests", ["per second", "errors"], number), chart("Tokens written", ["per second"], number),
    chart("Time to first token", ["p50", "p95"], seconds), chart("Time between tokens", ["p50", "p95"], seconds),
  ];
  const names = [
    ["requests_per_second", "errors_per_second"], ["completion_tokens_per_second"],
    ["first_token_p50_seconds", "first_token_p95_seconds"], ["inter_token_p50_seconds", "inter_token_p95_seconds"],
  ];
  const show = (points) => charts.forEach((each, at) => each.show(names[at].map((name) => points.map((point) => point[name]))));
  let last = null;
  const update = async () => {
    const newest = store.history.at(-1)?.number ?? -1;
    if (!store.engines.has(id) || newest === last) return;
    last = newest;
    try {
      show((await ask(`rates?engine=${encodeURIComponent(id)}`)).history);
    } catch {
      // It is asked for again when the next interval is over.
    }
  };
  show([]);
  return { element: h("div", { class: "charts" }, ...charts.map((each) => each.element)), update };
}

const TIMES = [["To the first token", "first_token_seconds"], ["Between tokens", "inter_token_seconds"], ["Whole answers", "duration_seconds"]];
const NUMBERS = [undefined, "num", "num", "num"];

/** The 50th, 95th and 99th percentile, as one cell each. */
const quantiles = (times) => (times ? [times.p50, times.p95, times.p99].map(seconds) : ["–", "–", "–"]);

export function engine(root, id) {
  const badge = h("span", { class: "state" });
  const detail = h("p", { class: "soft" });
  const progress = h("progress", { max: "100", "aria-label": "Progress" });
  const about = h("div", { class: "card" });
  const action = (word, question, path = word.toLowerCase()) =>
    h("button", { type: "button", "data-action": path, onclick: (event) => operate(event.currentTarget, question, word, `${pathOf("engines", id)}/${path}`) }, word);
  const buttons = [
    action("Start", null), action("Stop", `Stop ${id}? Requests under way finish first.`),
    action("Restart", `Restart ${id}? Its model is loaded again.`), action("Sleep", `Put ${id} to sleep? Its GPU memory is freed.`), action("Wake", null),
    action("Drain", `Drain ${id}? It gets no new requests until it is undrained; those under way finish.`), action("Undrain", null),
  ];
  const running = underWay(id);
  const requestsNow = tile("Requests / s");
  const tokensNow = tile("Tokens written / s");
  const times = table("Times of the last minute", [["Last minute"], ["p50", "num"], ["p95", "num"], ["p99", "num"]]);
  const charts = history(id);
  const logPlace = h("div");
  let log = null;
  const list = requestTable((request) => request.engine === id);
  root.append(h("p", {}, h("a", { href: "#/" }, "← Overview")), h("div", { class: "head start" }, h("h1", {}, id), badge), progress, detail,
    h("div", { class: "actions" }, ...buttons), running.element, h("h2", {}, "Work"), h("div", { class: "tiles" }, requestsNow.element, tokensNow.element, times.element), charts.element,
    h("h2", {}, "About"), about, h("h2", {}, "Log"), logPlace, h("h2", {}, "Requests"), list.element);
  let shown = "";
  const update = () => {
    const one = store.engines.get(id);
    if (!one) {
      say(detail, store.status ? `There is no engine ${id}.` : "");
      style(badge, "state rest");
      progress.hidden = true;
      return;
    }
    if (!logPlace.hasChildNodes()) {
      log = one.ours ? logView(id) : null;
      logPlace.append(log?.element ?? h("p", { class: "soft" }, "This gateway does not run the engine: its log is where it runs."));
    }
    const now = state(one);
    say(badge, now.text);
    style(badge, `state ${now.kind}`);
    progress.hidden = now.percent === null;
    if (now.percent !== null) progress.value = now.percent;
    say(detail, one.detail ?? "");
    const can = { start: ["stopped", "failed"], stop: ["ready", "starting", "unhealthy", "asleep"], restart: ["ready", "failed", "unhealthy", "stopped"], sleep: ["ready"], wake: ["asleep"] };
    const used = document.activeElement;
    for (const button of buttons) {
      const act = button.dataset.action;
      button.hidden = act === "undrain" ? !one.drained : act === "drain" ? one.drained || one.state !== "ready" : !one.ours || !can[act].includes(one.state);
    }
    if (used.hidden && buttons.includes(used)) buttons.find((button) => !button.hidden)?.focus({ preventScroll: true });
    running.update();
    const { rates } = one;
    say(requestsNow.value, number(rates?.requests_per_second ?? 0));
    say(requestsNow.more, rates?.errors_per_second > 0 ? `${number(rates.errors_per_second)} errors / s` : "no errors");
    style(requestsNow.more, rates?.errors_per_second > 0 ? "more bad-text" : "more");
    say(tokensNow.value, number(rates?.completion_tokens_per_second ?? 0));
    say(tokensNow.more, `read ${number(rates?.prompt_tokens_per_second ?? 0)} / s`);
    keyed(times.body, TIMES, ([name]) => name, () => h("tr"), (row, [name, key]) => cells(row, [name, ...quantiles(rates?.[key])], NUMBERS));
    charts.update();
    const text = JSON.stringify({ ...one, rates: null });
    if (text !== shown) {
      shown = text;
      about.replaceChildren(facts([
        ["Model", one.model], ["Address", one.url], ["Process", one.pid], ["GPUs", one.gpus?.join(", ")], ["Serves", one.serves.join(", ")],
        ["Requests under way", number(one.in_flight)],
        ["It reports", one.report && `${number(one.report.running)} running, ${number(one.report.waiting)} waiting`],
        ["KV cache in use", one.report && `${(one.report.kv_cache_usage * 100).toFixed(0)} %`],
        ["Prefix cache", one.report?.prefix_cache_queries ? `${((100 * one.report.prefix_cache_hits) / one.report.prefix_cache_queries).toFixed(0)} % of tokens found` : null],
        ["Tokens a second", one.report && `${number(one.report.generation_tokens_per_second)} written, ${number(one.report.prompt_tokens_per_second)} read`], ["Restarts", one.restarts ? causes(one.history.restarts) : "0"], ["Failures", causes(one.history.failures)], ["Stalls", number(one.stalls)],
        ["Last start took", one.start_seconds === null ? null : seconds(one.start_seconds)],
        ["Last sleep took", one.history.sleep_seconds === null ? null : seconds(one.history.sleep_seconds)],
        ["Last wake took", one.history.wake_seconds === null ? null : seconds(one.history.wake_seconds)], ["Log file", one.log_file],
        ["Sleeps at level", one.state === "asleep" ? one.level : null], ["Drained", one.drained ? "no new requests go to it" : null], ["Avoided", one.ejected ? "a request just failed on it" : null],
      ]));
    }
    list.update();
  };
  return { update, end: () => log?.end() };
}

