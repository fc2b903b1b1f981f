// Playground: a conversation with one alias, or with two side by side.

import { h, say } from "./dom.js";
import { number, seconds } from "./format.js";
import { store } from "./live.js";

/** Parameters of requests: name, kind of input, step. */
const PARAMETERS = [["temperature", "0.1"], ["top_p", "0.05"], ["max_tokens", "1"]];

export function playground(root) {
  const names = h("datalist", { id: "names" });
  const system = h("textarea", { id: "system", rows: "2" });
  const prompt = h("textarea", { id: "prompt", rows: "4" });
  const image = h("input", { type: "file", id: "image", accept: "image/*" });
  const key = h("input", { type: "password", id: "key", autocomplete: "off" });
  const parameters = PARAMETERS.map(([name, step]) => [name, h("input", { type: "number", step, min: "0", id: `p-${name}`, size: "6" })]);
  const extra = h("input", { id: "extra", class: "mono", placeholder: '{"chat_template_kwargs": {"enable_thinking": false}}' });
  const second = h("input", { type: "checkbox", id: "second" });
  const sides = [side("Alias or model"), side("Beside it")];
  const send = h("button", { type: "submit", class: "strong" }, "Send");
  const stop = h("button", { type: "button", disabled: true }, "Stop");
  const field = (id, label, input, more = "") => h("label", { class: `field ${more}`, for: id }, label, input);
  let abort = null;

  const form = h("form", { class: "card", onsubmit: (event) => {
    event.preventDefault();
    start();
  } }, h("div", { class: "sides" }, field("system", "System text", system), field("prompt", "Message", prompt)), h("p", {}),
  h("div", { class: "filters" }, ...parameters.map(([name, input]) => field(`p-${name}`, name, input)), field("extra", "More of the request (JSON)", extra, "grow"),
    field("image", "Image", image), field("key", "Key of a caller, if one is needed", key)),
  h("div", { class: "actions" }, send, stop, h("label", { for: "second" }, second, " two side by side")));
  const [one, two] = sides;
  two.element.hidden = true;
  second.addEventListener("change", () => (two.element.hidden = !second.checked));
  stop.addEventListener("click", () => abort?.abort());
  root.append(h("h1", {}, "Playground"), names, form, h("p", {}), h("div", { class: "sides" }, one.element, two.element));

  const start = async () => {
    abort = new AbortController();
    send.disabled = true;
    stop.disabled = false;
    try {
      const picture = image.files[0] ? await dataUrl(image.files[0]) : null;
      const used = sides.filter((each) => !each.element.hidden);
      await Promise.all(used.map((each) => each.run(() => body(each.model(), picture), key.value, abort.signal)));
    } finally {
      send.disabled = false;
      stop.disabled = true;
    }
  };
  const body = (model, picture) => {
    const content = picture ? [{ type: "text", text: prompt.value }, { type: "image_url", image_url: { url: picture } }] : prompt.value;
    const messages = [...(system.value ? [{ role: "system", content: system.value }] : []), { role: "user", content }];
    const given = parameters.filter(([, input]) => input.value !== "").map(([name, input]) => [name, Number(input.value)]);
    return { model, messages, stream: true, ...Object.fromEntries(given), ...(extra.value ? JSON.parse(extra.value) : {}) };
  };
  let known = "";
  const update = () => {
    const all = [...store.aliases.filter((alias) => !alias.alias.endsWith("*")).map((alias) => alias.alias), ...store.models.keys()];
    if (all.join("\n") === known) return;
    known = all.join("\n");
    names.replaceChildren(...all.map((name) => h("option", { value: name })));
    for (const each of sides) each.suggest(all);
  };
  return { update, end: () => abort?.abort() };
}

function dataUrl(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}

/** One answer: its model, its text, its times, the request as it was sent. */
function side(label) {
  const model = h("input", { list: "names", required: true, "aria-label": label });
  const figures = h("p", { class: "soft", role: "status" });
  const thinking = h("div", { class: "answer soft" });
  const fold = h("details", { hidden: true }, h("summary", {}, "Reasoning"), thinking);
  const answer = h("div", { class: "answer", "aria-live": "off" });
  const tools = h("pre", { class: "mono", hidden: true });
  const raw = h("pre", { class: "mono scroll" });
  const curl = h("pre", { class: "mono scroll" });
  const request = h("details", {}, h("summary", {}, "The request, and the same with curl"), raw, curl);
  const element = h("section", { class: "card" }, h("label", { class: "field" }, label, model), figures, fold, answer, tools, request);

  const run = async (make, key, signal) => {
    say(answer, "");
    say(thinking, "");
    fold.hidden = tools.hidden = true;
    const began = performance.now();
    let first = null;
    let pieces = 0;
    const calls = [];
    const times = (done) => {
      const now = (performance.now() - began) / 1000;
      const speed = first !== null && pieces > 1 && now > first ? ` · ${number((pieces - 1) / (now - first))} tokens/s` : "";
      say(figures, `${first === null ? "waiting" : `first token after ${seconds(first)}`}${speed} · ${seconds(now)}${done}`);
    };
    try {
      const body = make();
      say(raw, JSON.stringify(body, null, 2));
      const address = store.status?.listen ? `http://${store.status.listen}` : "http://127.0.0.1:8000";
      say(curl, `curl -N ${address}/v1/chat/completions -H 'content-type: application/json'${key ? ' -H "authorization: Bearer $KEY"' : ""} -d '${JSON.stringify(body).replaceAll("'", String.raw`'\''`)}'`);
      times("");
      const reply = await fetch("/api/v1/playground/chat", { method: "POST", body: JSON.stringify(body), signal,
        headers: { "content-type": "application/json", ...(key ? { "x-caller-key": key } : {}) } });
      if (!reply.ok) {
        const text = await reply.text();
        let message = text;
        try {
          message = JSON.parse(text).error.message;
        } catch {
          // It is told as it came.
        }
        throw new Error(`${reply.status}: ${message}`);
      }
      for await (const event of events(reply.body)) {
        if (event.error) throw new Error(event.error.message ?? JSON.stringify(event.error));
        const delta = event.choices?.[0]?.delta ?? {};
        const reasoning = delta.reasoning ?? delta.reasoning_content;
        if (!delta.content && !reasoning && !delta.tool_calls) continue;
        pieces += 1;
        first ??= (performance.now() - began) / 1000;
        if (reasoning) {
          fold.hidden = false;
          thinking.append(reasoning);
        }
        if (delta.content) answer.append(delta.content);
        for (const call of delta.tool_calls ?? []) {
          const known = (calls[call.index ?? 0] ??= { name: "", arguments: "" });
          known.name += call.function?.name ?? "";
          known.arguments += call.function?.arguments ?? "";
          tools.hidden = false;
          say(tools, calls.map((each) => `${each.name}(${each.arguments})`).join("\n"));
        }
        times("");
      }
      times(" · done");
    } catch (error) {
      if (error.name === "AbortError") times(" · stopped");
      else {
        times("");
        answer.append(h("span", { class: "bad-text" }, error.message));
      }
    }
  };
  return { element, run, model: () => model.value, suggest: (all) => {
    if (!model.value) model.value = all[0] ?? "";
  } };
}

/** The JSON of server-sent events, until `[DONE]`. */
async function* events(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    rest += value;
    const messages = rest.split(/\r?\n\r?\n/);
    rest = messages.pop();
    for (const message of messages) {
      const data = message.split(/\r?\n/).filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trimStart()).join("\n");
      if (data && data !== "[DONE]") yield JSON.parse(data);
    }
  }
}
