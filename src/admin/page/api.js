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
export async function ask(path, options = {}) {
  const answer = await fetch(`/api/v1/${path}`, { cache: "no-store", ...options });
  const text = await answer.text();
  let value = null;
  try {
    value = text === "" ? null : JSON.parse(text);
  } catch {
    throw new Refused(answer.status, text.slice(0, 500));
  }
  if (!answer.ok && !value?.outcome) {
    throw new Refused(answer.status, value?.error?.message ?? `The gateway answers ${answer.status}.`, value?.errors);
  }
  return value;
}

/** Has the gateway do something. */
export const act = (path, method = "POST", body = undefined) =>
  ask(path, { method, body: body === undefined ? undefined : JSON.stringify(body), headers: { "content-type": "application/json" } });

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

/** Does what a button says, once, and shows what came of it. */
export async function perform(button, question, word, path, method, body) {
  if (question && !(await confirmed(question, word))) return;
  button.disabled = true;
  try {
    await act(path, method, body);
    tell(`${word}: done.`, true);
  } catch (error) {
    tell(error.message);
  } finally {
    button.disabled = false;
  }
}
