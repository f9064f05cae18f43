// The page: its header, steps and keys. Each step is a module with a tool, a panel, a hint and commands.

import { get, leave, post } from "./api.js";
import { button, el, say, tried, whenLost } from "./dom.js";
import * as boxes from "./boxes.js";
import * as outlines from "./outlines.js";
import * as keypoints from "./keypoints.js";
import * as points from "./points.js";
import * as suggestions from "./suggest.js";
import { fitAgain, fitTo, lookCloser, setTool, zoom } from "./stage.js";
import { changed, onChange, person, recall, set, show, step, store } from "./store.js";

const STEPS = { boxes: ["People", boxes], outlines: ["Outlines", outlines], keypoints: ["Keypoints", keypoints], points: ["Points", points] };
const byId = (id) => document.getElementById(id);
const here = () => STEPS[store.step][1];

async function go(name) {
  set({ step: name, point: null, asked: null, last: null }, "step");
}

const next = (way) => show(store.picture + way);
const contrast = (factor) => { store.contrast = Math.min(3, Math.max(0.5, store.contrast * factor)); byId("contrast").value = store.contrast; changed("contrast"); };

function everyone(way) {
  const { people } = store.state;
  if (!people.length) return;
  const at = people.indexOf(person());
  set({ person: people[(at + way + people.length) % people.length].id, point: null, asked: null, last: null }, "step");
  fitTo("person");
}

const always = {
  1: ["step 1: people", () => go("boxes")], 2: ["step 2: outlines", () => go("outlines")],
  3: ["step 3: keypoints", () => go("keypoints")], 4: ["step 4: points", () => go("points")],
  ArrowRight: ["next picture", () => next(1)], ArrowLeft: ["picture before", () => next(-1)],
  f: ["the picture that is next worth labelling", suggestions.suggest],
  "Ctrl+z": ["undo", () => step("undo")], "Ctrl+Z": ["redo (Ctrl+y too)", () => step("redo")], "Ctrl+y": ["", () => step("redo")],
  u: ["undo", () => step("undo")], U: ["redo", () => step("redo")],
  Tab: ["next person", async () => everyone(1)], "Shift+Tab": ["person before", async () => everyone(-1)],
  "+": ["zoom in; the wheel, too", async () => zoom(1.3)], "=": ["", async () => zoom(1.3)], "-": ["zoom out", async () => zoom(1 / 1.3)],
  0: ["fit the box, again: the picture", async () => fitAgain()],
  e: ["equalise the histogram", async () => { store.equalised = !store.equalised; changed("shown"); }],
  c: ["more contrast", async () => contrast(1.15)], C: ["less contrast", async () => contrast(1 / 1.15)],
  v: ["labels on and off", async () => { store.labels = !store.labels; changed("shown"); }],
  "?": ["this help", async () => help()],
};

const SIGNS = { ArrowRight: "→", ArrowLeft: "←", Backspace: "⌫", Delete: "Del", Escape: "Esc" };

function keyOf(event) {
  if (event.key === "Tab") return event.shiftKey ? "Shift+Tab" : "Tab";
  return event.ctrlKey || event.metaKey ? `Ctrl+${event.key}` : event.key;
}

addEventListener("keydown", (event) => {
  if (event.key === " ") { byId("stage").dataset.space = "1"; if (event.target === document.body) event.preventDefault(); return; }
  if (event.target.matches("input, select") || byId("help").open || !byId("blocked").hidden) return;
  if (event.key === "Enter" && event.target.matches("button")) event.target.blur();
  const command = here().commands[keyOf(event)] ?? always[keyOf(event)];
  if (!command || !store.state) return;
  event.preventDefault();
  tried(command[1]);
});
addEventListener("keyup", (event) => { if (event.key === " ") byId("stage").dataset.space = ""; });

function help() {
  const table = (title, commands) => [el("h3", {}, title), el("table", {}, Object.entries(commands).filter(([, [what]]) => what).map(([key, [what]]) => el("tr", {}, el("td", {}, el("kbd", {}, SIGNS[key] ?? key)), el("td", {}, what))))];
  byId("help").replaceChildren(
    button("Close", "Esc", async () => byId("help").close()),
    ...table(`Here: ${STEPS[store.step][0].toLowerCase()}`, here().commands), ...table("Everywhere", always),
    el("p", {}, "Picture and views: the wheel or two fingers zoom; the middle or right button, or Space and a drag, move the picture. A right click on a view shows all of it."));
  byId("help").showModal();
}

// ---- what is shown

function header() {
  const { about, state } = store;
  byId("name").textContent = about.pictures[store.picture];
  byId("place").textContent = `${about.video ? "frame" : "picture"} ${store.picture + 1} of ${about.pictures.length} · ${about.file}`;
  byId("worth").textContent = suggestions.told();
  byId("previous").disabled = store.picture === 0;
  byId("next").disabled = store.picture === about.pictures.length - 1;
  byId("undo").disabled = !state.undo;
  byId("redo").disabled = !state.redo;
  byId("undo").title = state.undo ? `undo: ${state.undo} (Ctrl+Z)` : "nothing to undo";
  byId("redo").title = state.redo ? `redo: ${state.redo} (Ctrl+Shift+Z)` : "nothing to redo";
  byId("steps").replaceChildren(...Object.entries(STEPS).map(([name, [title]], index) =>
    button(name === "boxes" ? boxes.stepName() : title, String(index + 1), () => go(name), { "aria-pressed": String(name === store.step), id: `step-${name}` })));
  strip();
}

function strip() {
  const canvas = byId("strip");
  canvas.width = canvas.clientWidth * (devicePixelRatio || 1);
  const c = canvas.getContext("2d");
  const count = store.about.pictures.length;
  const wide = canvas.width / count;
  store.overview.forEach((row, index) => {
    if (store.suggested.includes(index) && !row.points) {
      c.fillStyle = "#6ea8ff";
      c.fillRect(index * wide, 0, Math.max(wide - (wide > 6 ? 2 : 0), 4), 10);
    }
    c.fillStyle = row.waiting ? "#ffb020" : row.points ? "#4fc38a" : row.people ? "#7c8698" : "#0000";
    c.fillRect(index * wide, 0, Math.max(wide - (wide > 6 ? 2 : 0), 2), 10);
  });
  c.fillStyle = "#fff";
  c.fillRect(store.picture * wide, 7, Math.max(wide - (wide > 6 ? 2 : 0), 3), 3);
}

function everybody() {
  byId("people").replaceChildren(...store.state.people.map((each, index) => {
    const open = each.asked.filter((asked) => asked.state !== "hidden").length;
    const done = each.points.length;
    const tell = el("small", { className: open ? "waits" : done ? "done" : "" }, open ? `${done}/${done + open}` : done ? `${done} ✓` : each.mask ? "outlined" : "box");
    return el("button", { role: "option", "aria-selected": String(each.id === store.person), onclick: () => { set({ person: each.id, point: null, asked: null, last: null }, "step"); fitTo("person"); } }, `${store.about.category} ${index + 1}`, tell);
  }));
}

let shownStep = "";
let drawnOn = "";
onChange((what) => {
  if (!store.state) return;
  header();
  everybody();
  if (what !== "radius" && what !== "contrast") {
    byId("panel").replaceChildren(...here().panel().filter(Boolean));
  }
  const entered = `${store.step} ${store.person} ${store.picture}`;
  // A box that was saved chooses whom it is of; the next one may be begun by then, and goes on.
  const of = store.step === "boxes" ? `boxes ${store.picture}` : entered;
  if (what === "step" || what === "start" || of !== drawnOn) setTool(here().tool);
  drawnOn = of;
  byId("hint").textContent = here().hint();
  if (entered !== shownStep && store.step !== "boxes") lookCloser();
  if (store.step === "points" && entered !== shownStep && person()) { shownStep = entered; tried(points.enter); }
  shownStep = entered;
});

// ---- from the beginning

function block(title, text, action, run) {
  const [h, p, b] = byId("blocked").firstElementChild.children;
  h.textContent = title;
  p.textContent = text;
  b.textContent = action;
  b.onclick = run;
  byId("blocked").hidden = false;
}

whenLost((error) => {
  if (error.status === 409) block("This file is open in another window", "Two pages never edit one file. Close the other one, or go on here; what it has done is saved.", "Use it here", () => begin(true));
  else if (error.status === 404) block("This address is no longer good", "The server was started again, with another address. Everything up to the last click is in the file. Open the address that slimdp annotate printed.", "Try again", () => begin());
  else block("The server does not answer", "Everything up to the last click is in the file. Start slimdp annotate again, and open the address that it prints.", "Try again", () => begin());
});

async function claim(take) {
  try {
    await post("claim", { take });
  } catch (error) {
    if (error.status !== 409) throw error;
    // A reload: the page before is still on its way out.
    await new Promise((done) => setTimeout(done, 800));
    await post("claim", { take });
  }
}

async function begin(take = false) {
  byId("blocked").hidden = true;
  await tried(async () => {
    try {
      await claim(take);
    } catch (error) {
      if (error.status !== 422) throw error;
      // Another program has changed the file, to what cannot be edited.
      return block("The labels cannot be read", error.message, "Try again", () => begin(take));
    }
    store.about = await get("about");
    store.overview = await get("overview");
    recall();
    document.title = `${store.about.file} · slimdp annotate`;
    await show(store.picture);
    changed("start");
  });
}

byId("previous").onclick = () => tried(() => next(-1));
byId("next").onclick = () => tried(() => next(1));
byId("suggest").onclick = () => tried(suggestions.suggest);
byId("undo").onclick = () => tried(() => step("undo"));
byId("redo").onclick = () => tried(() => step("redo"));
byId("keys").onclick = help;
byId("contrast").oninput = (event) => { store.contrast = Number(event.target.value); changed("contrast"); };
byId("strip").onclick = (event) => tried(() => show(Math.floor((event.offsetX / byId("strip").clientWidth) * store.about.pictures.length)));
const tools = { zoomIn: () => zoom(1.3), zoomOut: () => zoom(1 / 1.3), fit: fitAgain, equalise: () => tried(always.e[1]), labels: () => tried(always.v[1]) };
for (const node of document.querySelectorAll("[data-do]")) node.onclick = tools[node.dataset.do];
addEventListener("pagehide", leave);
addEventListener("resize", () => store.state && strip());
setInterval(() => store.state && byId("blocked").hidden && post("ping").catch((error) => {
  if (error.status === 409) tried(() => Promise.reject(error));
}), 5000);
addEventListener("error", (event) => say(event.message));
begin();
