// GPUs: memory, load, and every process on them.

import { cells, h, keyed, table } from "./dom.js";
import { bytes } from "./format.js";
import { store } from "./live.js";
import { gpuCard, showGpu } from "./overview.js";

const COLUMNS = [["GPU"], ["Process", "num"], ["Program"], ["Engine"], ["Memory", "num"]];
const KINDS = COLUMNS.map(([, kind]) => kind);

export function gpus(root) {
  const cards = h("div", { class: "cards" });
  const faults = h("div");
  const { element, body } = table("Processes on GPUs", COLUMNS);
  const title = h("h2", {}, "Processes");
  root.append(h("h1", {}, "GPUs"), faults, cards, title, element);
  const update = () => {
    const told = store.gpus;
    if (!told) return;
    const why = told.faults.length ? told.faults : told.gpus.length ? [] : ["This machine has no NVIDIA GPU that the driver shows."];
    keyed(faults, why, (fault) => fault, (fault) => h("p", { class: "soft" }, fault), () => {});
    keyed(cards, told.gpus, (gpu) => String(gpu.index), gpuCard, showGpu);
    // The engine's own process, or its name where several processes make one engine.
    const engines = new Map([...store.engines.values()].filter((engine) => engine.pid).map((engine) => [engine.pid, engine.engine]));
    const rows = told.gpus.flatMap((gpu) => {
      const parts = (gpu.mig ?? []).flatMap((part) => (part.processes ?? []).map((process) => [`${gpu.index} (MIG ${part.index})`, process, part]));
      return [...(gpu.processes ?? []).map((process) => [String(gpu.index), process, gpu]), ...parts];
    });
    title.hidden = element.hidden = rows.length === 0;
    keyed(body, rows, ([place, process]) => `${place}/${process.pid}`, () => h("tr"), (row, [place, process, unit]) => {
      const own = engines.get(process.pid) ?? process.engine ?? (unit.engines?.length === 1 ? unit.engines[0] : "");
      cells(row, [place, String(process.pid), process.name ?? "", own || "not of this gateway", bytes(process.memory)], KINDS);
    });
  };
  return { update };
}
