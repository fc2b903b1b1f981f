// Aliases: where they lead and what they change.

import { cells, h, keyed, table } from "./dom.js";
import { store } from "./live.js";
import { adds, entryCells, overlayTable } from "./overlay.js";

const COLUMNS = [["Alias", "name"], ["Leads to"], ["Changes in requests", "wrap"], ["Falls back to"], ["Of its own"], ["Actions"]];
const KINDS = COLUMNS.map(([, kind]) => kind);

export function aliases(root) {
  const text = h("input", { type: "search", placeholder: "Alias or model …", "aria-label": "Filter aliases" });
  const { element, body } = table("Aliases", COLUMNS);
  const none = h("p", { class: "soft" }, "The configuration has no aliases.");
  const others = overlayTable("aliases");
  root.append(h("h1", {}, "Aliases"), h("div", { class: "filters" }, text, adds("aliases")), none, element, others.element);
  const update = () => {
    const words = text.value.toLowerCase();
    const shown = store.aliases.filter((alias) => alias.alias.toLowerCase().includes(words) || alias.model.toLowerCase().includes(words));
    none.hidden = store.aliases.length > 0 || !store.status;
    element.hidden = store.aliases.length === 0;
    keyed(body, shown, (alias) => alias.alias, (alias) => Object.assign(h("tr"), { parts: entryCells("aliases", alias.alias) }), (row, alias) => {
      const leads = alias.split.length ? alias.split.map((part) => `${part.name} (${part.weight})`).join(", ") : alias.model;
      const own = [alias.hidden ? "hidden" : null, alias.listen ? `listens on ${alias.listen}` : null, alias.mirror ? `copies to ${alias.mirror}` : null];
      row.parts.show(alias.origin);
      cells(row, [row.parts.name, leads, alias.changes.join("; ") || "nothing but the name", alias.fallback.join(", "), own.filter(Boolean).join(", "), row.parts.actions], KINDS);
    });
    others.update();
  };
  text.addEventListener("input", update);
  return { update };
}
