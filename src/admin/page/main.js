// The page: which view is shown, the connection, the theme, the login.

import { act, tell } from "./api.js";
import { h, say, style } from "./dom.js";
import { connect, listen, showRequests, store } from "./live.js";
import { aliases } from "./aliases.js";
import { callers } from "./callers.js";
import { configuration } from "./configuration.js";
import { engine } from "./engine.js";
import { gpus } from "./gpus.js";
import { logs } from "./logs.js";
import { models } from "./models.js";
import { operations } from "./operations.js";
import { overview } from "./overview.js";
import { playground } from "./playground.js";
import { requests } from "./requests.js";

const VIEWS = [
  ["", "Overview", overview], ["models", "Models", models], ["aliases", "Aliases", aliases], ["requests", "Requests", requests], ["logs", "Logs", logs],
  ["gpus", "GPUs", gpus], ["callers", "Callers", callers], ["operations", "Operations", operations],
  ["configuration", "Configuration", configuration], ["playground", "Playground", playground], ["engine", null, engine],
];

const view = document.getElementById("view");
const nav = document.getElementById("nav");
const link = document.getElementById("link");
for (const [path, title] of VIEWS) if (title) nav.append(h("a", { href: `#/${path}`, "data-path": path }, title));

let leave = () => {};

/** Shows the view that the address names: `#/engine/org%2Fm%2F0`. */
function show() {
  const [path, ...rest] = location.hash.replace(/^#\//, "").split("/");
  const [, title, make] = VIEWS.find(([known]) => known === path) ?? VIEWS[0];
  leave();
  view.replaceChildren();
  const argument = rest.map(decodeURIComponent).join("/");
  showRequests(path === "requests" || path === "engine");
  document.title = `${title ?? argument} – Enginehouse`;
  for (const item of nav.children) {
    if (item.dataset.path === path) item.setAttribute("aria-current", "page");
    else item.removeAttribute("aria-current");
  }
  const { update, end } = make(view, argument);
  const heard = listen(update);
  leave = () => {
    heard();
    end?.();
  };
  update();
}

function connection() {
  const words = { connecting: "connecting …", live: "live", lost: "connection lost, trying again" };
  say(link, words[store.link]);
  style(link, store.link === "lost" ? "link lost" : "link");
  if (store.status) say(document.getElementById("name"), store.status.name);
}

/** Asks for the token; without one nothing is shown. */
function login() {
  leave();
  leave = () => {};
  const token = h("input", { type: "password", autocomplete: "current-password", id: "token", required: true });
  const form = h("form", { class: "card login", onsubmit: async (event) => {
    event.preventDefault();
    try {
      await act("login", "POST", { token: token.value });
      start();
    } catch (error) {
      tell(error.message);
    }
  } }, h("h1", {}, "Enginehouse"), h("label", { class: "field", for: "token" }, "Token (admin.token of the configuration)", token),
  h("menu", {}, h("button", { class: "strong" }, "Log in")));
  view.replaceChildren(form);
  token.focus();
}

function start() {
  show();
  connect(login);
}

const theme = document.getElementById("theme");
const dark = matchMedia("(prefers-color-scheme: dark)");
function paint() {
  const chosen = localStorage.getItem("theme") ?? (dark.matches ? "dark" : "light");
  document.documentElement.dataset.theme = chosen;
  theme.setAttribute("aria-label", chosen === "dark" ? "Use the light theme" : "Use the dark theme");
  say(theme, chosen === "dark" ? "Light" : "Dark");
}
theme.addEventListener("click", () => {
  localStorage.setItem("theme", document.documentElement.dataset.theme === "dark" ? "light" : "dark");
  paint();
});
dark.addEventListener("change", paint);
paint();
listen(connection);
addEventListener("hashchange", () => {
  show();
  view.focus({ preventScroll: true });
});
start();
