// What is otherwise than in the configuration file: marks at names, and what can be done with each.

import { cells, h, keyed, table } from "./dom.js";
import { SECTIONS, editEntry, forgetEntry, removeEntry } from "./entry.js";
import { moment } from "./format.js";
import { store } from "./live.js";
import { problem } from "./report.js";

const WHY = "Added or changed while a gateway ran: it is kept in the state directory, and wins over the configuration file.";

const sectionOf = (kind) => Object.keys(SECTIONS).find((section) => SECTIONS[section].kind === kind);
const changeOf = (section, name) => store.overlay.find((entry) => sectionOf(entry.kind) === section && entry.name === name);

/** The button that adds something. */
export const adds = (section) => h("button", { type: "button", class: "strong", onclick: () => editEntry(section) }, `Add ${SECTIONS[section].one}`);

/** Makes the cells of a row that tell the name, and what can be done with it. */
export function entryCells(section, name) {
  const button = (word, run, label = word) => h("button", { type: "button", "aria-label": `${label} ${name}`, onclick: () => run(section, name) }, word);
  const mark = h("span", { class: "mark", title: WHY }, "overlay");
  const forget = button("Forget", () => forgetEntry(section, name, true), "Forget the change of");
  return {
    name: h("span", { class: "named" }, h("span", {}, name), mark),
    actions: h("div", { class: "actions small" }, button("Change", editEntry), button("Remove", removeEntry), forget),
    show: (origin) => {
      mark.hidden = origin !== "overlay";
      // What the file does not have is removed.
      forget.hidden = mark.hidden || !changeOf(section, name)?.in_file;
    },
  };
}

const COLUMNS = [["Name", "name"], ["Otherwise than in the file", "wrap"], ["Since", "when"], ["Actions"]];
const KINDS = COLUMNS.map(([, kind]) => kind);

function told(entry) {
  if (entry.errors?.length) return h("span", { class: "bad-text" }, `▲ not used, because it does not fit the file: ${entry.errors.map(problem).join("; ")}`);
  if (entry.value === null) return "removed; the file has it";
  return entry.in_file ? "another than in the file" : "the file does not have it";
}

/** A table of such changes: of all, or of those in a section that are not in use there. */
export function overlayTable(section = null) {
  const title = h("h2", {}, section ? "Removed, or not used" : "Otherwise than in the file");
  const { element, body } = table(title.textContent, COLUMNS);
  const update = () => {
    const shown = store.overlay.filter((entry) => !section || (sectionOf(entry.kind) === section && (entry.value === null || entry.errors?.length)));
    title.hidden = element.hidden = shown.length === 0;
    keyed(body, shown, (entry) => `${entry.kind}/${entry.name}/${entry.since}/${JSON.stringify(entry.errors ?? [])}`, (entry) => {
      const of = sectionOf(entry.kind);
      const button = (word, label, run) => h("button", { type: "button", "aria-label": `${label}: ${entry.kind} ${entry.name}`, onclick: run }, word);
      const actions = h("div", { class: "actions small" }, entry.value === null ? null : button("Change", "Change", () => editEntry(of, entry.name)), button("Forget", "Forget this change", () => forgetEntry(of, entry.name, entry.in_file)));
      const row = h("tr");
      cells(row, [`${section ? "" : `${entry.kind} `}${entry.name}`, told(entry), moment(entry.since), actions], KINDS);
      return row;
    }, () => {});
  };
  return { element: h("div", {}, title, element), update };
}
