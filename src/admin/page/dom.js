// Builds and updates elements. Everything that is shown is text: nothing from outside is ever taken for HTML.

/** An element: properties (`class`, `on…`, attributes), then children. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/** An SVG element. */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Sets the text of an element, if it is another one: what does not change does not move. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Sets the class of an element, if it is another one. */
export function style(element, name) {
  if (element.className !== name) element.className = name;
}

/**
 * Makes the children of `parent` those of `items`: `key` tells which is which, `create` makes one, `update` shows an item in it.
 * Elements that stay are kept, with what is selected and focused in them.
 */
export function keyed(parent, items, key, create, update) {
  const known = (parent.known ??= new Map());
  const wanted = new Set(items.map(key));
  for (const [name, element] of known) {
    if (!wanted.has(name)) {
      element.remove();
      known.delete(name);
    }
  }
  let place = parent.firstChild;
  for (const item of items) {
    const name = key(item);
    let element = known.get(name);
    if (!element) known.set(name, (element = create(item)));
    update(element, item);
    if (element === place) place = place.nextSibling;
    else parent.insertBefore(element, place);
  }
}

/** A description list of pairs; what is empty is left out. */
export function facts(pairs) {
  const list = h("dl", { class: "facts" });
  for (const [name, value] of pairs) {
    if (value === null || value === undefined || value === "") continue;
    list.append(h("dt", {}, name), h("dd", {}, value));
  }
  return list;
}

/** A card with one number, and more about it. */
export function tile(label) {
  const value = h("div", { class: "value" });
  const more = h("div", { class: "more" });
  return { element: h("section", { class: "card tile" }, h("div", { class: "label" }, label), value, more), value, more };
}

/** A table with a heading; columns are `[title, class]`. */
export function table(caption, columns) {
  const body = h("tbody");
  const heads = columns.map(([title, kind]) => h("th", { scope: "col", class: kind ?? "" }, title));
  const element = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h("table", { "aria-label": caption }, h("thead", {}, h("tr", {}, heads)), body));
  return { element, body };
}

/** The cells of a table's row. */
export function cells(row, values, kinds) {
  values.forEach((value, at) => {
    const cell = row.children[at] ?? row.appendChild(h("td", { class: kinds[at] ?? "" }));
    if (value instanceof Node) {
      if (cell.firstChild !== value) cell.replaceChildren(value);
    } else say(cell, value ?? "");
  });
}
