// Line charts of the last minutes.

import { h, say, svg } from "./dom.js";

const WIDTH = 300;
const HEIGHT = 80;

/** A chart of one or two lines; `show(points)` draws lists of numbers (`null`: nothing is known). */
export function chart(title, names, format) {
  const lines = names.map((_, at) => svg("path", { class: at === 0 ? "first" : "second" }));
  const top = h("span", { class: "soft" });
  const drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" },
    svg("line", { x1: 0, x2: WIDTH, y1: HEIGHT - 0.5, y2: HEIGHT - 0.5 }), ...lines);
  const values = names.map(() => h("b"));
  const legend = h("div", { class: "legend" }, ...names.map((name, at) => h("span", {}, `${at === 0 ? "—" : "- -"} ${name} `, values[at])));
  const element = h("section", { class: "card chart" }, h("div", { class: "head" }, h("h3", {}, title), top), drawing, legend);
  const show = (series) => {
    const known = series.flat().filter((value) => value !== null && value !== undefined);
    const most = Math.max(...known, 0);
    series.forEach((points, at) => {
      lines[at].setAttribute("d", path(points, most));
      say(values[at], format(points.at(-1)));
    });
    say(top, most > 0 ? `up to ${format(most)}` : "");
    drawing.setAttribute("aria-label", `${title}: ${names.map((name, at) => `${name} ${format(series[at].at(-1))}`).join(", ")}`);
  };
  return { element, show };
}

function path(points, most) {
  const count = 60;
  let text = "";
  let pen = "M";
  points.forEach((value, at) => {
    if (value === null || value === undefined) {
      pen = "M";
      return;
    }
    const x = WIDTH - ((points.length - 1 - at) * WIDTH) / (count - 1);
    const y = HEIGHT - 2 - (most > 0 ? (value / most) * (HEIGHT - 6) : 0);
    text += `${pen}${x.toFixed(1)} ${y.toFixed(1)}`;
    pen = "L";
  });
  return text;
}
