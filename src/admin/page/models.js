// Models: what the configuration says of them, and how to change that.

import { cells, h, keyed, table } from "./dom.js";
import { unloaded } from "./format.js";
import { store } from "./live.js";
import { adds, entryCells, overlayTable } from "./overlay.js";

const COLUMNS = [["Model", "name"], ["Run by"], ["Engines ready", "num"], ["LoRA adapters"], ["Aliases"], ["Actions"]];
const KINDS = COLUMNS.map(([, kind]) => kind);

export function models(root) {
  const text = h("input", { type: "search", placeholder: "Model …", "aria-label": "Filter models" });
  const { element, body } = table("Models", COLUMNS);
  const none = h("p", { class: "soft" }, "The configuration has no models.");
  const others = overlayTable("models");
  root.append(h("h1", {}, "Models"), h("div", { class: "filters" }, text, adds("models")), none, element, others.element);
  const update = () => {
    const words = text.value.toLowerCase();
    none.hidden = store.models.size > 0 || !store.status;
    element.hidden = store.models.size === 0;
    const leads = Map.groupBy(store.aliases, (alias) => alias.model);
    const shown = [...store.models.values()].filter((model) => model.model.toLowerCase().includes(words));
    keyed(body, shown, (model) => model.model, (model) => Object.assign(h("tr"), { parts: entryCells("models", model.model) }), (row, model) => {
      row.parts.show(model.origin);
      cells(row, [row.parts.name, model.ours ? "this gateway" : "others", unloaded(model) || `${model.ready_replicas} of ${model.replicas}`, model.adapters.map((adapter) => adapter.name).join(", "),
        (leads.get(model.model) ?? []).map((alias) => alias.alias).join(", "), row.parts.actions], KINDS);
    });
    others.update();
  };
  text.addEventListener("input", update);
  return { update };
}
