// Asks the operators' API.

/** An answer that is no success: its status, and what the gateway says. */
export class Refused extends Error {
  constructor(status, message, errors) {
    super(message);
    this.status = status;
    this.errors = errors ?? [];
  }
}

/** Asks for `path` below `/api/v1/`; the JSON of the answer. */
export async function ask(path, options = {}, parse = JSON.parse) {
  const answer = await fetch(`/api/v1/${path}`, { cache: "no-store", ...options });
  const text = await answer.text();
  let value = null;
  try {
    value = text === "" ? null : parse(text);
  } catch {
    throw new Refused(answer.status, text.slice(0, 500));
  }
  if (!answer.ok && !value?.outcome) {
    throw new Refused(answer.status, value?.error?.message ?? `The gateway answers ${answer.status}.`, value?.errors);
  }
  return value;
}

/** A number as it is written, where this language has no such number. */
const exactly = (text) => JSON.parse(text, (_, value, context) =>
  typeof value === "number" && JSON.rawJSON && context && String(value) !== context.source ? JSON.rawJSON(context.source) : value);

/** Asks for what is written again: no number of it becomes another. */
export const askExactly = (path) => ask(path, {}, exactly);

/** Has the gateway do something. `body`: a text, or what becomes one. */
export const act = (path, method = "POST", body = undefined) =>
  ask(path, { method, body: body === undefined || typeof body === "string" ? body : JSON.stringify(body), headers: { "content-type": "application/json" } });

/** The path of an engine or a model: names may hold slashes, and anything else. */
export const pathOf = (kind, name) => `${kind}/${name.split("/").map(encodeURIComponent).join("/")}`;

const notice = document.getElementById("notice");
let hide = 0;

/** Shows a message for a while. */
export function tell(text, ok = false) {
  notice.textContent = text;
  notice.className = ok ? "notice ok" : "notice";
  notice.hidden = false;
  clearTimeout(hide);
  hide = setTimeout(() => (notice.hidden = true), ok ? 4000 : 12000);
}

/** Asks whether to do something; `false` if not. */
export function confirmed(question, word) {
  const dialog = document.getElementById("confirm");
  document.getElementById("confirm-text").textContent = question;
  document.getElementById("confirm-yes").textContent = word;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}
