// The configuration as it is written, and what another one would change.

import { Refused, ask, confirmed, tell } from "./api.js";
import { facts, h } from "./dom.js";
import { store } from "./live.js";
import { overlayTable } from "./overlay.js";
import { changes, problems, report } from "./report.js";

export function configuration(root) {
  const text = h("pre", { class: "card mono", tabindex: "0" });
  const about = h("div");
  const draft = h("textarea", { id: "draft", rows: "12", class: "mono", spellcheck: "false", placeholder: "The text of a configuration file" });
  const result = h("div", { "aria-live": "polite" });
  const overlay = overlayTable();
  const plan = h("button", { type: "button", onclick: () => check() }, "What would it change?");
  const reload = h("button", { type: "button", class: "strong", onclick: () => apply() }, "Reload the file");
  const reloaded = h("div", { "aria-live": "polite" });
  root.append(h("h1", {}, "Configuration"), about, h("div", { class: "actions" }, reload), reloaded, overlay.element, h("h2", {}, "As it runs"), text,
    h("h2", {}, "Plan"), h("p", { class: "soft" }, "Paste a configuration to see what it would change. Nothing is changed by this."),
    h("label", { class: "field", for: "draft" }, "Configuration", draft), h("p", {}), h("div", { class: "actions" }, plan), result);

  const check = async () => {
    plan.disabled = true;
    try {
      result.replaceChildren(changes(await ask("plan", { method: "POST", body: draft.value })));
    } catch (error) {
      result.replaceChildren(problems(error));
    } finally {
      plan.disabled = false;
    }
  };
  const apply = async () => {
    if (!(await confirmed("Read the configuration file again, and serve by it?", "Reload"))) return;
    reload.disabled = true;
    try {
      const told = await ask("reload", { method: "POST" });
      reloaded.replaceChildren(report(told));
      const words = { applied: "The file was read and is served.", unchanged: "The file says what is served already.", rejected: "The file was rejected: the gateway serves as before." };
      tell(words[told.outcome], told.outcome !== "rejected");
    } catch (error) {
      tell(error.message);
    } finally {
      reload.disabled = false;
    }
  };
  const show = async () => {
    try {
      text.textContent = yaml(await ask("configuration"), 0).trimStart();
    } catch (error) {
      if (error instanceof Refused) text.textContent = error.message;
    }
  };
  let known = null;
  const update = () => {
    if (!store.status) return;
    overlay.update();
    // Whatever caused a reload.
    if (known !== (store.reload?.at ?? "")) {
      known = store.reload?.at ?? "";
      show();
    }
    about.replaceChildren(facts([["File", store.status.configuration_file], ["Hash", h("span", { class: "mono" }, store.status.configuration_hash.slice(0, 16))]]));
  };
  return { update };
}

/** A value as YAML, for reading. */
function yaml(value, depth) {
  const space = "  ".repeat(depth);
  if (Array.isArray(value)) {
    if (value.every((one) => typeof one !== "object" || one === null)) return ` [${value.map(scalar).join(", ")}]`;
    return value.map((one) => `\n${space}-${yaml(one, depth + 1)}`).join("");
  }
  if (typeof value === "object" && value !== null) {
    const members = Object.entries(value);
    return members.length ? members.map(([key, one]) => `\n${space}${scalar(key)}:${yaml(one, depth + 1)}`).join("") : " {}";
  }
  return ` ${scalar(value)}`;
}

function scalar(value) {
  if (typeof value !== "string") return String(value);
  return /^[A-Za-z_/.][\w./:@*-]*$/.test(value) && !/^(true|false|null|yes|no|on|off)$/i.test(value) ? value : JSON.stringify(value);
}
