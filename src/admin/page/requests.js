// The newest requests, and one of them in detail.

import { ask } from "./api.js";
import { cells, facts, h, keyed, table } from "./dom.js";
import { bytes, clock, number, seconds } from "./format.js";
import { store } from "./live.js";

const COLUMNS = [
  ["Ended"], ["Status"], ["Path"], ["Alias or model"], ["Engine"], ["Caller"], ["Time", "num"], ["First token", "num"], ["Tokens", "num"], ["What went wrong"],
];
const ATTEMPTS = [["Attempt", "num"], ["Engine"], ["Began after", "num"], ["Answered after", "num"], ["Ended after", "num"], ["How it ended"]];
const KINDS = COLUMNS.map(([, kind]) => kind);

/** Rows that are shown. */
const MOST = 200;

/** A table of the requests for which `wanted` holds. */
export function requestTable(wanted) {
  const { element, body } = table("Requests", COLUMNS);
  const detail = h("div", { "aria-live": "polite" });
  let chosen = null;
  const show = () => {
    const request = store.requests.find((one) => one.id === chosen);
    const card = request && about(request);
    detail.replaceChildren(...(card ? [card] : []));
    // Only an alias can have them kept.
    if (request?.alias) showBodies(card, request.id);
  };
  const row = (request) => h("tr", { class: "can", tabindex: "0", onclick: () => choose(request.id), onkeydown: (event) => event.key === "Enter" && choose(request.id) });
  const choose = (id) => {
    chosen = chosen === id ? null : id;
    show();
  };
  const fill = (line, request) => {
    if (line.filled) return;
    line.filled = true;
    const tokens = request.completion_tokens === null ? "" : `${request.tokens_estimated ? "~" : ""}${request.prompt_tokens} + ${request.completion_tokens}`;
    cells(line, [
      clock(request.ended), status(request), request.path, request.alias ?? request.model ?? request.unknown_model ?? "", request.engine ?? "",
      request.caller ?? "", seconds(request.seconds), request.first_token_seconds === null ? "" : seconds(request.first_token_seconds), tokens, request.error ?? "",
    ], KINDS);
  };
  const update = () => keyed(body, store.requests.filter(wanted).slice(0, MOST), (request) => request.id, row, fill);
  return { element: h("div", {}, detail, element), update };
}

const status = (request) => h("span", { class: request.status >= 500 || request.error ? "bad-text" : request.status >= 400 ? "wait-text" : "" }, String(request.status));

/** A request as a time line: what the gateway did with it, one after the other. */
function pieces(request) {
  const found = [];
  const add = (name, to, kind) => {
    const from = found.at(-1)?.to ?? 0;
    const end = Math.min(to, request.seconds);
    if (end > from) found.push({ name, time: end - from, to: end, kind });
  };
  // Between attempts, a request that has begun to wait waits.
  const gap = (to) => {
    const wait = request.queue_began_seconds;
    add("in the gateway", wait === null ? to : Math.min(wait, to), "t-own");
    if (wait !== null && to > wait) add("waiting for an engine", to, "t-queue");
  };
  const first = request.first_token_came_seconds;
  for (const attempt of request.attempts) {
    gap(attempt.began_seconds);
    const place = `attempt ${attempt.number} on ${attempt.engine}`;
    if (attempt !== request.attempts.at(-1) || first === null) add(`${place}: ${outcome(attempt)}`, attempt.ended_seconds, attempt.outcome === "answered" ? "t-first" : "t-failed");
    else {
      add(`${place}: until the first token`, first, "t-first");
      add("stream", attempt.ended_seconds, "t-stream");
    }
  }
  gap(request.seconds);
  return found;
}

const outcome = (attempt) => `${attempt.outcome.replaceAll("_", " ")}${attempt.status === null ? "" : ` ${attempt.status}`}`;

/** The attempts of a request, with their times. */
function attempts(request) {
  const { element, body } = table("Attempts", ATTEMPTS);
  for (const attempt of request.attempts) {
    const line = h("tr");
    cells(line, [String(attempt.number), attempt.engine, seconds(attempt.began_seconds), attempt.answered_seconds === null ? "" : seconds(attempt.answered_seconds),
      seconds(attempt.ended_seconds), outcome(attempt)], ATTEMPTS.map(([, kind]) => kind));
    body.append(line);
  }
  return element;
}

/** Why a body is not there. */
const OMITTED = {
  binary: "It is no text, and is not kept.",
  not_json: "It is not kept: members are to be masked, and it is no JSON.",
  incomplete: "It is not kept: members are to be masked, and it is longer than what is kept.",
  no_room: "It is not kept: too many bodies were under way.",
};

/** A body of a request, as text. */
function body(name, kept) {
  if (!kept) return [];
  const title = `${name}, ${bytes(kept.bytes)}${kept.cut ? ", its beginning" : ""}`;
  const shown = kept.omitted ? h("p", { class: "soft" }, OMITTED[kept.omitted] ?? kept.omitted) : h("pre", { class: "body", tabindex: "0", role: "region", "aria-label": title }, kept.text ?? "");
  return [h("h4", {}, title), shown];
}

/** Adds to `card` the bodies of a request that are kept. */
async function showBodies(card, id) {
  try {
    const request = await ask(`requests/${encodeURIComponent(id)}`);
    card.append(...body("Request body", request.request_body), ...body("Answer body", request.response_body));
  } catch {
    // It is not among the newest ones any more.
  }
}

/** A request in detail. */
function about(request) {
  const parts = pieces(request);
  const line = h("div", { class: "timeline", role: "img", "aria-label": parts.map(({ name, time }) => `${name} ${seconds(time)}`).join(", ") },
    parts.map(({ name, time, kind }) => {
      const piece = h("span", { class: kind, title: `${name} ${seconds(time)}` });
      // Shares of less than one in all would leave a gap.
      piece.style.flexGrow = String((100 * time) / request.seconds);
      return piece;
    }));
  return h("section", { class: "card", "aria-label": "Request" }, h("h3", { class: "mono" }, request.id), line,
    h("p", { class: "soft" }, parts.map(({ name, time, kind }) => h("span", {}, h("span", { class: `key ${kind}` }), `${name} ${seconds(time)}   `))),
    request.attempts.length > 0 ? attempts(request) : null,
    facts([
      ["Ended", request.ended], ["Trace", request.trace_id], ["Client", request.client], ["Caller", request.caller], ["Request", `${request.method} ${request.path}`], ["Alias", request.alias],
      ["Model", request.model ?? request.unknown_model], ["Engine", request.engine], ["Status", request.status], ["Stream ended", request.stream_end],
      ["Repeated attempts", number(request.retries)], ["Waited", request.queue_seconds > 0 ? seconds(request.queue_seconds) : ""], ["Body", `${bytes(request.bytes_in)} in, ${bytes(request.bytes_out)} out`],
      ["Cached tokens", request.cached_tokens], ["What went wrong", request.error],
    ]));
}

export function requests(root) {
  const text = h("input", { type: "search", placeholder: "Alias, model, engine, caller, id, error …", "aria-label": "Filter requests" });
  const failed = h("input", { type: "checkbox", id: "failed" });
  const wanted = (request) => {
    const words = text.value.toLowerCase();
    const all = [request.id, request.alias, request.model, request.unknown_model, request.engine, request.caller, request.error, request.path, String(request.status)];
    return (!failed.checked || request.status >= 400 || request.error) && (words === "" || all.some((one) => one?.toLowerCase().includes(words)));
  };
  const shown = requestTable(wanted);
  text.addEventListener("input", shown.update);
  failed.addEventListener("change", shown.update);
  root.append(h("h1", {}, "Requests"), h("div", { class: "filters" }, text, h("label", { for: "failed" }, failed, " only those that went wrong")), shown.element);
  return { update: shown.update };
}
