// The simple fields of an alias: they fill in the text of its entry, and are filled in from it.

import { field } from "./dialog.js";
import { h } from "./dom.js";
import { store } from "./live.js";

/** Members of requests that have a field: name, attributes of the input, and how its text becomes a value. */
const MEMBERS = [
  ["temperature", { type: "number", step: "any", min: "0" }, Number],
  ["max_tokens", { type: "number", step: "1", min: "1" }, Number],
  ["chat_template_kwargs", { class: "mono", placeholder: '{"enable_thinking": false}', spellcheck: "false" }, JSON.parse],
];

/** Where an alias can lead: models, their LoRA adapters, other aliases. */
function places(own) {
  const models = [...store.models.values()];
  const aliases = store.aliases.map((alias) => alias.alias).filter((alias) => alias !== own && !alias.endsWith("*"));
  return [...models.map((model) => model.model), ...models.flatMap((model) => model.adapters.map((adapter) => adapter.name)), ...aliases];
}

/** `fill(entry)` shows an entry, `null`: it cannot be read; `changed(edit)` is called with what edits the entry. */
export function aliasFields(own, changed) {
  const model = h("select", { id: "alias-model" }, h("option", { value: "" }, "– as in the text –"), places(own).map((name) => h("option", { value: name }, name)));
  const hidden = h("input", { id: "alias-hidden", type: "checkbox" });
  model.addEventListener("change", () => changed((entry) => {
    if (model.value) entry.model = model.value;
    else delete entry.model;
  }));
  hidden.addEventListener("change", () => changed((entry) => {
    if (hidden.checked) entry.hidden = true;
    else delete entry.hidden;
  }));
  const members = MEMBERS.map(([name, attributes, value]) => member(name, attributes, value, changed));
  const element = h("fieldset", {}, h("legend", {}, "Simple fields"), h("div", { class: "grid" },
    field("Leads to", model, { kind: "grow" }), field("Hidden: not listed at /v1/models", hidden, { kind: "check" }), members.flatMap((each) => each.elements)));
  const fill = (entry) => {
    element.disabled = entry === null;
    if (entry === null) return;
    const leads = typeof entry.model === "string" ? entry.model : "";
    if (leads && ![...model.options].some((option) => option.value === leads)) model.append(h("option", { value: leads }, leads));
    model.value = leads;
    hidden.checked = entry.hidden === true;
    for (const each of members) each.fill(entry);
  };
  const inputOf = (path) => (path === "model" ? model : path === "hidden" ? hidden : members.find((each) => each.paths.includes(path))?.input);
  return { element, fill, inputOf };
}

/** A member of requests: its value, and whether requests can have another. */
function member(name, attributes, parse, changed) {
  const input = h("input", { id: `alias-${name}`, ...attributes });
  const place = h("select", { id: `alias-${name}-place` }, h("option", { value: "defaults" }, "if the request has none"), h("option", { value: "overrides" }, "always"));
  const write = () => {
    input.setCustomValidity("");
    let value;
    try {
      value = input.value === "" ? undefined : parse(input.value);
    } catch {
      input.setCustomValidity('Write JSON: {"enable_thinking": false}');
      return;
    }
    changed((entry) => {
      for (const section of ["defaults", "overrides"]) {
        if (!isMap(entry[section])) continue;
        delete entry[section][name];
        if (Object.keys(entry[section]).length === 0) delete entry[section];
      }
      if (value !== undefined) entry[place.value] = { ...entry[place.value], [name]: value };
    });
  };
  input.addEventListener("input", write);
  place.addEventListener("change", write);
  const fill = (entry) => {
    // What is being written is not written over.
    if (document.activeElement === input) return;
    const section = entry.overrides?.[name] !== undefined ? "overrides" : "defaults";
    const value = entry[section]?.[name];
    if (value !== undefined || input.value !== "") place.value = section;
    input.setCustomValidity("");
    input.value = value === undefined ? "" : JSON.stringify(value);
  };
  const elements = [field(name, input), field(`${name} counts`, place)];
  return { elements, input, fill, paths: [`defaults.${name}`, `overrides.${name}`] };
}

/** Whether it is a JSON object. */
export const isMap = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
