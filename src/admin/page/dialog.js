// A dialog with a form: what is wrong is shown beside the field that it is about, and what became of it in the place of the form.

import { h, say } from "./dom.js";

let fields = 0;

/** A field with its label, a hint, and a place for what is wrong with it. */
export function field(label, input, { hint = null, kind = "" } = {}) {
  fields += 1;
  const id = (input.id ||= `field-${fields}`);
  const error = h("span", { id: `${id}-error`, class: "error bad-text", hidden: true });
  const about = hint ? h("span", { id: `${id}-hint`, class: "hint" }, hint) : null;
  input.setAttribute("aria-describedby", [about?.id, error.id].filter(Boolean).join(" "));
  input.error = error;
  return h("div", { class: `field ${kind}` }, h("label", { for: id }, label), input, about, error);
}

function mark(input, text) {
  input.setAttribute("aria-invalid", "true");
  input.error.hidden = false;
  say(input.error, text);
}

function unmark(form) {
  for (const input of form.querySelectorAll("[aria-invalid]")) {
    input.removeAttribute("aria-invalid");
    input.error.hidden = true;
  }
}

/**
 * Opens a dialog. `send` does what it is for and returns what is shown then; it may throw an error with `errors`, each with a `key`:
 * `inputOf` says which input that is, and `lineOf` what leads to it where there is none; those are listed below the part `beside`.
 */
export function formDialog({ title, parts, beside = null, word, send, inputOf = () => null, lineOf = () => null }) {
  const heading = h("h2", { id: "form-title", tabindex: "-1" }, title);
  const list = h("ul", { id: "form-problems", class: "problems", role: "alert", tabindex: "-1", hidden: true });
  const submit = h("button", { class: "strong" }, word);
  const back = h("button", { type: "button", onclick: () => dialog.close() }, "Back");
  const fail = (error) => {
    const others = [];
    let first = null;
    for (const one of error.errors?.length ? error.errors : [{ key: "", message: error.message }]) {
      const input = inputOf(one);
      if (input) {
        mark(input, one.message);
        first ??= input;
      } else others.push(h("li", {}, lineOf(one), one.message));
    }
    list.replaceChildren(...others);
    list.hidden = others.length === 0;
    (first ?? list).focus();
  };
  const form = h("form", { onsubmit: async (event) => {
    event.preventDefault();
    unmark(form);
    list.replaceChildren();
    list.hidden = true;
    submit.disabled = true;
    try {
      form.replaceChildren(heading, ...(await send()), h("menu", {}, back));
      say(back, "Close");
      back.focus();
    } catch (error) {
      submit.disabled = false;
      fail(error);
    }
  } }, heading, ...parts, list, h("menu", {}, back, submit));
  beside?.after(list);
  const away = () => dialog.close();
  const dialog = h("dialog", { class: "form", "aria-labelledby": "form-title", onclose: () => {
    removeEventListener("hashchange", away);
    dialog.remove();
    // What it was opened by may be gone.
    if (document.activeElement === document.body) document.getElementById("view").focus({ preventScroll: true });
  } }, form);
  addEventListener("hashchange", away);
  document.body.append(dialog);
  dialog.showModal();
}
