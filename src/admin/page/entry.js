// Adds, changes and removes a model, an alias or a caller.

import { act, askExactly, tell } from "./api.js";
import { aliasFields, isMap } from "./alias_fields.js";
import { field, formDialog } from "./dialog.js";
import { h } from "./dom.js";
import { refresh, store } from "./live.js";
import { report } from "./report.js";

/** What there is, by its section of the file. */
export const SECTIONS = {
  models: { kind: "model", one: "a model", example: '{ "source": "Qwen/Qwen3-8B", "gpus": 1 }', start: "", names: () => [...store.models.keys()] },
  aliases: { kind: "alias", one: "an alias", example: '{ "model": "qwen3-8b", "defaults": { "temperature": 0.2 } }', start: "{}", names: () => store.aliases.map((each) => each.alias) },
  callers: { kind: "caller", one: "a caller", example: '{ "keys": ["…"] }', start: '{ "keys": [] }', names: () => store.callers.map((each) => each.caller) },
};

/** What stands in place of a secret: the whole value, or user and password of an address. */
const isMasked = (text) => text === "***" || text.includes("://***@");

/** The same in a text that is no JSON. */
const MASKED = /(^|[\s"'[:,-])\*\*\*($|[\s"',\]}])|:\/\/\*\*\*@/m;

/** Keys whose values are masked. */
function maskedKeys(value, path = "") {
  if (typeof value === "string") return isMasked(value) ? [path] : [];
  if (Array.isArray(value)) return value.flatMap((one, at) => maskedKeys(one, `${path}[${at}]`));
  return isMap(value) ? Object.entries(value).flatMap(([key, one]) => maskedKeys(one, path ? `${path}.${key}` : key)) : [];
}

/** The entry of a text; `null`: it is no JSON object. */
function parsed(text) {
  try {
    const value = JSON.parse(text);
    return isMap(value) ? value : null;
  } catch {
    return null;
  }
}

const path = (section, name) => `${section}/${encodeURIComponent(name)}`;
const json = (value) => JSON.stringify(value, null, 2);

/** An entry as it is written; secrets are masked. */
async function written(section, name) {
  const value = (await askExactly("configuration"))[section]?.[name];
  return value ?? (await askExactly("overlay")).entries.find((entry) => entry.kind === SECTIONS[section].kind && entry.name === name)?.value ?? {};
}

/** Where a change is kept. */
function keeping() {
  const choice = (value, label, hint) => h("label", {}, h("input", { type: "radio", name: "persist", value, ...(value === "" ? { checked: true } : {}) }), " ", label, h("span", { class: "hint" }, hint));
  const element = h("fieldset", {}, h("legend", {}, "Where it is kept"), choice("", "In the state directory", "The file stays as it is. The change wins over it, also after a restart, until it is forgotten."),
    choice("file", "In the configuration file", "Comments and order stay."));
  return { element, query: () => (element.querySelector(":checked").value === "file" ? "?persist=file" : "") };
}

/** The path of an error, below the entry. */
function below(section, name, key) {
  const own = /^[\p{L}\p{N}\-_/:@+]+$/u.test(name) ? name : JSON.stringify(name);
  const rest = key.startsWith(`${section}.${own}`) ? key.slice(section.length + own.length + 1) : key;
  return rest.startsWith(".") ? rest.slice(1) : rest;
}

/** Where the value of a key stands in a text, JSON or YAML: begin and end; `null`: nowhere. */
function placeOf(text, key) {
  let found = null;
  for (const [step] of key.matchAll(/"(?:[^"\\]|\\.)*"|[^.[\]"]+/g)) {
    const from = found ? found[1] : 0;
    const quoted = step.startsWith('"') ? step : JSON.stringify(step);
    const at = [text.indexOf(quoted, from), text.indexOf(`${step}:`, from)].filter((at) => at >= 0)[0];
    if (at === undefined) return found;
    found = [at, at + (text.startsWith(quoted, at) ? quoted.length : step.length)];
  }
  return found;
}

/** A form for a new entry, or for that of `name`. */
export async function editEntry(section, name = null) {
  const about = SECTIONS[section];
  let value = null;
  try {
    if (name !== null) value = await written(section, name);
  } catch (error) {
    tell(error.message);
    return;
  }
  const called = h("input", { id: "entry-name", required: true, value: name ?? "", readonly: name !== null, autocomplete: "off", spellcheck: "false", autofocus: name === null });
  const text = h("textarea", { id: "entry-text", rows: "8", class: "mono", spellcheck: "false", required: true, placeholder: about.example, autofocus: name !== null, value: value ? json(value) : about.start });
  const masked = maskedKeys(value);
  const keep = keeping();
  const change = (edit) => {
    const entry = parsed(text.value);
    if (entry) {
      edit(entry);
      text.value = json(entry);
      fields?.fill(entry);
    }
    return entry !== null;
  };
  const fields = section === "aliases" ? aliasFields(name, change) : null;
  const key = section === "callers" ? callerKey(change) : null;
  text.addEventListener("input", () => fields?.fill(parsed(text.value)));
  if (fields && name === null) change((entry) => (entry.model = store.models.keys().next().value ?? ""));
  fields?.fill(parsed(text.value));
  const hint = `JSON or YAML: what would stand under its name in \`${section}:\` of the configuration file.`;

  const send = async () => {
    if (name === null && about.names().includes(called.value)) {
      throw Object.assign(new Error(), { errors: [{ key: "", input: called, message: `There is ${about.one} of this name already: change that one.` }] });
    }
    const entry = parsed(text.value);
    const unknown = entry ? maskedKeys(entry) : MASKED.test(text.value) ? [""] : [];
    if (unknown.length) throw Object.assign(new Error(), { errors: unknown.map((key) => ({ key, message: "*** stands for a secret that is not shown. Write the secret itself, or ${NAME} for a variable of the environment." })) });
    const told = await act(`${path(section, called.value)}${keep.query()}`, "PUT", text.value);
    await refresh();
    return [h("p", { role: "status" }, name === null ? `The ${about.kind} ${called.value} is there.` : `The ${about.kind} ${called.value} was changed.`), report(told), key?.given() ?? null].filter(Boolean);
  };
  const inputOf = (error) => error.input ?? fields?.inputOf(below(section, called.value, error.key)) ?? null;
  const lineOf = (error) => {
    const key = below(section, called.value, error.key);
    const place = placeOf(text.value, key);
    text.setAttribute("aria-invalid", "true");
    if (!place) return key ? `${key}: ` : null;
    const line = text.value.slice(0, place[0]).split("\n").length;
    return [h("button", { type: "button", class: "link-like", onclick: () => {
      text.focus();
      text.setSelectionRange(...place);
    } }, `line ${line}, ${key}`), ": "];
  };
  const entry = field("Entry", text, { hint });
  text.setAttribute("aria-describedby", `${text.getAttribute("aria-describedby")} form-problems`);
  const secrets = masked.length ? h("p", { class: "wait-text" }, `Secrets are not shown: *** stands for them. Write them anew before you save: ${masked.join(", ")}.`) : null;
  formDialog({
    title: name === null ? `Add ${about.one}` : `Change the ${about.kind} ${name}`, word: name === null ? "Add" : "Save", send, inputOf, lineOf, beside: entry,
    parts: [field("Name", called), fields?.element, secrets, key?.element, entry, keep.element].filter(Boolean),
  });
}

/** A key that is made here, shown as long as the form is open. */
function callerKey(change) {
  let made = null;
  const shown = h("output", { class: "mono", "aria-label": "The new key" });
  const copy = h("button", { type: "button", onclick: async () => {
    try {
      await navigator.clipboard.writeText(made);
      tell("The key was copied.", true);
    } catch {
      getSelection().selectAllChildren(shown);
      tell("The browser does not let this page copy: the key is marked, copy it yourself.");
    }
  } }, "Copy");
  const once = h("p", { class: "hint" }, "It is shown only now: the gateway keeps nothing but its hash. Give it to the client before you close this.");
  const box = h("div", { hidden: true }, h("div", { class: "actions" }, shown, copy), once);
  const make = h("button", { type: "button", onclick: () => {
    const fresh = btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(32)))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
    // What is masked cannot be kept.
    const isKept = (key) => key !== made && !isMasked(String(key));
    if (!change((entry) => (entry.keys = [...(Array.isArray(entry.keys) ? entry.keys : []).filter(isKept), fresh]))) {
      tell("The entry is no JSON object: correct it first.");
      return;
    }
    made = shown.textContent = fresh;
    box.hidden = false;
  } }, "Make a random key");
  return { element: h("div", { class: "made" }, make, box), given: () => (made ? box : null) };
}

/** Asks, and has a change taken back or an entry removed. */
function ended(section, name, { title, question, word, parts, send, done }) {
  formDialog({ title, word, parts: [h("p", {}, question), ...parts], lineOf: (error) => (error.key ? `${error.key}: ` : null), send: async () => {
    const told = await act(...send());
    await refresh();
    return [h("p", { role: "status" }, done), report(told)];
  } });
}

/** Removes an entry. */
export function removeEntry(section, name) {
  const { kind } = SECTIONS[section];
  // What only the overlay has is not kept anywhere then.
  const known = store.overlay.find((entry) => entry.kind === kind && entry.name === name);
  const keep = known && !known.in_file ? null : keeping();
  const what = { models: "Its engines finish their requests and stop.", aliases: "Requests for it are refused.", callers: "Requests with its keys are refused." }[section];
  ended(section, name, { title: `Remove the ${kind} ${name}?`, question: what, word: "Remove", parts: keep ? [keep.element] : [],
    send: () => [`${path(section, name)}${keep?.query() ?? ""}`, "DELETE"], done: `The ${kind} ${name} was removed.` });
}

/** Forgets what was changed while gateways ran: the file counts again. */
export function forgetEntry(section, name, inFile) {
  const { kind } = SECTIONS[section];
  ended(section, name, { title: `Forget the change of the ${kind} ${name}?`, question: inFile ? "What the configuration file says of it counts again." : "The configuration file has nothing of this name: it is gone then.",
    word: "Forget this change", parts: [], send: () => [`overlay/${path(section, name)}`, "DELETE"], done: `The change of the ${kind} ${name} is forgotten.` });
}
