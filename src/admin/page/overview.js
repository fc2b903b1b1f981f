// Overview: how much is asked, how well it is answered, and what every model and engine does.

import { pathOf } from "./api.js";
import { chart } from "./chart.js";
import { h, keyed, say, style, tile } from "./dom.js";
import { bytes, number, seconds, state, unloaded } from "./format.js";
import { store } from "./live.js";
import { operate, underWay } from "./operate.js";

/** The address of an engine's own view. */
export const engineLink = (id) => `#/engine/${id.split("/").map(encodeURIComponent).join("/")}`;

const both = (times) => (times ? `p95 ${seconds(times.p95)} · p99 ${seconds(times.p99)}` : "no streams in the last minute");

export function overview(root) {
  const tiles = {
    engines: tile("Engines ready"), flight: tile("Requests under way"), requests: tile("Requests / s"),
    tokens: tile("Tokens written / s"), first: tile("Time to first token, p50"), between: tile("Time between tokens, p50"),
  };
  const charts = [
    chart("Requests", ["per second", "errors"], number), chart("Tokens written", ["per second"], number),
    chart("Time to first token", ["p50", "p95"], seconds),
  ];
  const cards = h("div", { class: "models" });
  const gpus = h("div", { class: "cards" });
  const gpuTitle = h("h2", {}, "GPUs");
  root.append(h("h1", {}, "Overview"), h("div", { class: "tiles" }, ...Object.values(tiles).map((each) => each.element)),
    h("div", { class: "charts" }, ...charts.map((each) => each.element)), h("h2", {}, "Models"), cards, gpuTitle, gpus);

  const update = () => {
    if (!store.rates) return;
    const engines = [...store.engines.values()];
    const { all } = store.rates;
    const ready = engines.filter((engine) => engine.state === "ready").length;
    say(tiles.engines.value, `${ready} of ${engines.length}`);
    say(tiles.engines.more, `${store.models.size} models · ${store.aliases.length} aliases`);
    say(tiles.flight.value, number(engines.reduce((sum, engine) => sum + engine.in_flight, 0)));
    const waiting = engines.reduce((sum, engine) => sum + (engine.report?.waiting ?? 0), 0);
    say(tiles.flight.more, `${number(waiting)} wait in engines`);
    say(tiles.requests.value, number(all.requests_per_second));
    say(tiles.requests.more, all.errors_per_second > 0 ? `${number(all.errors_per_second)} errors / s` : "no errors");
    style(tiles.requests.more, all.errors_per_second > 0 ? "more bad-text" : "more");
    say(tiles.tokens.value, number(all.completion_tokens_per_second));
    say(tiles.tokens.more, `read ${number(all.prompt_tokens_per_second)} / s`);
    say(tiles.first.value, seconds(all.first_token_seconds?.p50));
    say(tiles.first.more, both(all.first_token_seconds));
    say(tiles.between.value, seconds(all.inter_token_seconds?.p50));
    say(tiles.between.more, both(all.inter_token_seconds));
    const points = (name) => store.history.map((point) => point[name]);
    charts[0].show([points("requests_per_second"), points("errors_per_second")]);
    charts[1].show([points("completion_tokens_per_second")]);
    charts[2].show([points("first_token_p50_seconds"), points("first_token_p95_seconds")]);
    keyed(cards, [...store.models.values()], (model) => model.model, modelCard, showModel);
    const known = store.gpus?.gpus ?? [];
    gpuTitle.hidden = known.length === 0;
    keyed(gpus, known, (gpu) => String(gpu.index), gpuCard, showGpu);
  };
  return { update };
}

function modelCard(model) {
  const name = model.model;
  const button = (word, path, question) =>
    h("button", { type: "button", onclick: (event) => operate(event.currentTarget, question, word, `${pathOf("models", name)}/${path}`) }, word);
  const parts = { ready: h("span", { class: "soft" }), rates: h("span", { class: "soft" }), running: underWay(name), drain: button("Drain", "drain", `Drain all engines of ${name}? They get no new requests until they are undrained; those under way finish.`),
    undrain: button("Undrain", "undrain", null), engines: h("div", { class: "cards" }) };
  const actions = h("div", { class: "actions" }, button("Start", "start", null),
    button("Stop", "stop", `Stop all engines of ${name}? Requests under way finish first.`),
    button("Roll", "roll", `Replace the engines of ${name} one by one?`), parts.drain, parts.undrain);
  const element = h("section", { class: "card", "aria-label": `Model ${name}`, style: null }, h("div", { class: "head" },
    h("div", {}, h("h3", {}, name), parts.ready, " ", parts.rates), model.ours ? actions : h("div", { class: "actions" }, h("span", { class: "soft" }, "run by others"), parts.drain, parts.undrain)), parts.running.element, parts.engines);
  element.parts = parts;
  return element;
}

function showModel(element, model) {
  const { parts } = element;
  const rates = store.rates.models[model.model];
  const ready = unloaded(model) || `${model.ready_replicas} of ${model.replicas} ready`;
  say(parts.ready, `${ready} · ${model.in_flight} under way${model.waiting ? ` · ${model.waiting} waiting` : ""}`);
  say(parts.rates, rates ? `· ${number(rates.requests_per_second)} requests/s · ${number(rates.completion_tokens_per_second)} tokens/s` : "");
  const engines = model.engines.map((id) => store.engines.get(id)).filter(Boolean);
  parts.drain.hidden = engines.every((engine) => engine.drained);
  parts.undrain.hidden = !engines.some((engine) => engine.drained);
  parts.running.update();
  keyed(parts.engines, engines, (engine) => engine.engine, engineCard, showEngine);
}

function engineCard(engine) {
  const parts = { state: h("span", { class: "state" }), progress: h("progress", { max: "100", "aria-label": "Progress" }), detail: h("div", { class: "soft" }), line: h("div", { class: "soft" }) };
  const element = h("article", { class: "card" }, h("div", { class: "head" },
    h("h3", {}, h("a", { href: engineLink(engine.engine) }, engine.engine)), parts.state), parts.progress, parts.line, parts.detail);
  element.parts = parts;
  return element;
}

function showEngine(element, engine) {
  const { parts } = element;
  const now = state(engine);
  say(parts.state, now.text);
  style(parts.state, `state ${now.kind}`);
  parts.progress.hidden = now.percent === null;
  if (now.percent !== null) parts.progress.value = now.percent;
  const gpus = engine.gpus?.length ? `GPU ${engine.gpus.join(", ")} · ` : "";
  say(parts.line, `${gpus}port ${engine.port} · ${engine.in_flight} under way${engine.restarts ? ` · restarted ${engine.restarts} times` : ""}`);
  const told = engine.report;
  const work = told ? `${number(told.generation_tokens_per_second)} tokens/s · ${number(told.waiting)} waiting · KV ${(told.kv_cache_usage * 100).toFixed(0)} %` : "";
  say(parts.detail, engine.state === "ready" ? work : engine.detail ?? "");
}

/** A GPU with its memory and who uses it. */
export function gpuCard(gpu) {
  const parts = { fill: h("span"), memory: h("div", { class: "soft" }), line: h("div", { class: "soft" }), users: h("div") };
  const element = h("section", { class: "card", "aria-label": `GPU ${gpu.index}` }, h("h3", {}, `GPU ${gpu.index} ${gpu.name ?? ""}`),
    parts.memory, h("span", { class: "gauge", "aria-hidden": "true" }, parts.fill), parts.line, parts.users);
  element.parts = parts;
  return element;
}

export function showGpu(element, gpu) {
  const { parts } = element;
  const share = gpu.memory ? gpu.memory.used / gpu.memory.total : 0;
  parts.fill.style.width = `${(share * 100).toFixed(1)}%`;
  say(parts.memory, gpu.lost ? "lost: it fell off the bus or needs a reset" : gpu.memory ? `${bytes(gpu.memory.used)} of ${bytes(gpu.memory.total)} used` : "memory unknown");
  const known = [gpu.utilisation === null ? null : `${gpu.utilisation} % busy`, gpu.temperature === null ? null : `${gpu.temperature} °C`, gpu.power === null ? null : `${gpu.power.toFixed(0)} W`];
  say(parts.line, known.filter(Boolean).join(" · "));
  say(parts.users, (gpu.engines ?? []).join(", "));
}
