// Step 2: each point of the picture is brought to the body, by a click on one of six views of its part.

import { get } from "./api.js";
import { button, el, say, tried } from "./dom.js";
import { chosenPoint, colourOf } from "./draw.js";
import { bringIntoSight, scale } from "./stage.js";
import { act, choosePoint, person, propose, set, show, stillSeen, store } from "./store.js";
import { suggest } from "./suggest.js";
import { showBody, showViews } from "./views.js";

// The same one throughout, so that its pictures stay while the panel around it is made anew.
const viewsHost = el("div", { id: "views", className: "views" });
// Names say where parts of people are; those of other categories may be numbers.
const body = el("div", { className: "body" });
new ResizeObserver(() => viewsHost.arrange?.()).observe(document.getElementById("panel"));

export const current = () => {
  const one = person();
  if (!one) return null;
  if (store.point !== null) return { point: store.point, at: one.points[store.point], part: store.about.coarseOf[one.part[store.point]] };
  const asked = one.asked[store.asked];
  return asked ? { asked: store.asked, at: asked.at, part: asked.part, guess: asked.guess, state: asked.state } : null;
};

// The way into this step: parts that lack points get some.
export async function enter() {
  const one = person();
  if (!one?.mask || !stillSeen()) return;
  await act("ask", { person: one.id });
  sight();
}

function sight() {
  const at = chosenPoint();
  if (at) bringIntoSight(at);
  marks();
}

let asking = 0;
async function marks() {
  const one = person();
  const now = current();
  const mine = ++asking;
  const found = {};
  const wanted = [];
  if (now?.guess) wanted.push(["guess", now.guess.part, now.guess.u, now.guess.v]);
  if (now && store.point !== null && one.uv[store.point]) wanted.push(["last", one.part[store.point], ...one.uv[store.point]]);
  else if (store.last) wanted.push(["last", ...store.last]);
  for (const [kind, part, u, v] of wanted) {
    const answer = await get(`marks?part=${part}&u=${u}&v=${v}`);
    if (!now || answer.coarse === now.part) found[kind] = answer.marks;
  }
  if (mine === asking) showViews(viewsHost, now?.part ?? null, found, place);
}

let placing = false;

// A click answers the point that is asked as it comes. Until the server has it the same point is asked, and the views
// may still be of the part before: a click then would answer what nobody has seen.
function place(view, at) {
  const [one, now] = [person(), current()];
  if (!one || !now || placing || viewsHost.dataset.part !== String(now.part)) return;
  placing = true;
  const { picture } = store;
  tried(async () => {
    const values = { person: one.id, shown: now.at, coarse: now.part, view, at, snap: store.snap };
    if (now.point !== undefined) values.point = now.point;
    else values.asked = now.asked;
    await act("place", values, picture);
    const after = person();
    if (after?.id !== one.id || picture !== store.picture) return;
    const index = now.point ?? after.points.length - 1;
    Object.assign(store, { last: [after.part[index], ...after.uv[index]] });
    // With a look at it before going on, the point stays chosen until Enter.
    Object.assign(store, store.pause ? { point: index, asked: null } : { point: null, asked: null });
    choosePoint();
    set({}, "point");
    sight();
  }).finally(() => { placing = false; });
}

async function put(state) {
  const now = current();
  if (now?.asked === undefined) return;
  Object.assign(store, { asked: null, last: null });
  await act("mark", { person: store.person, asked: now.asked, state });
  sight();
}

async function accept(all) {
  const now = current();
  if (!all && !now?.guess) return goOn();
  const guess = now?.guess;
  Object.assign(store, { asked: null, point: null, last: guess && !all ? [guess.part, guess.u, guess.v] : null });
  await act("accept", all ? { person: store.person } : { person: store.person, asked: [now.asked] });
  return sight();
}

async function refuse() {
  const now = current();
  if (!now?.guess) return;
  await act("refuse", { person: store.person, asked: now.asked });
  sight();
}

async function goOn() {
  set({ point: null, asked: null, last: null });
  choosePoint();
  set({}, "point");
  sight();
}

// Back to the last answer, and from there to those before.
async function back() {
  const one = person();
  const last = (store.point ?? one?.points.length ?? 0) - 1;
  if (one && last >= 0) { set({ point: last, asked: null }, "point"); sight(); }
}

async function walk(step) {
  const one = person();
  if (!one?.asked.length) return;
  const open = one.asked.map((each, index) => index).filter((index) => one.asked[index].state !== "hidden");
  if (!open.length) return;
  const at = open.indexOf(store.asked ?? open[0]);
  set({ point: null, asked: open[(at + step + open.length) % open.length] }, "point");
  sight();
}

async function reopen() {
  const one = person();
  const index = one?.asked.findIndex((each) => each.state === "hidden") ?? -1;
  if (index >= 0) { await act("mark", { person: one.id, asked: index, state: "open" }); sight(); } else say("nothing is put aside");
}

export const tool = {
  down(at) {
    const one = person();
    if (!one) return;
    const near = (points) => points.map((p, i) => [Math.hypot(p[0] - at[0], p[1] - at[1]) * scale(), i]).sort((a, b) => a[0] - b[0])[0];
    const [done, open] = [near(one.points), near(one.asked.map((each) => each.at))];
    if (done && done[0] < 14 && !(open && open[0] < done[0])) set({ point: done[1], asked: null, last: null }, "point");
    else if (open && open[0] < 14) set({ point: null, asked: open[1], last: null }, "point");
    else return;
    sight();
  },
};

export const commands = {
  s: ["skip: ask again at the end", () => put("skipped")],
  n: ["not visible", () => put("hidden")],
  Enter: ["accept the proposal, or go on", () => accept(false)],
  y: ["accept the proposal", () => accept(false)],
  Y: ["accept all proposals of this person", () => accept(true)],
  r: ["refuse the proposal", refuse],
  Backspace: ["back to the last answer, to correct it", back],
  t: ["take this answer back", async () => { if (store.point !== null) { const point = store.point; set({ point: null }); await act("take_back", { person: store.person, point }); sight(); } }],
  d: ["next point", () => walk(1)],
  a: ["point before", () => walk(-1)],
  i: ["ask again what was not visible", reopen],
  k: ["proposals of the network", async () => { await propose("network"); sight(); }],
  w: ["snap to the nearest vertex, on and off", async () => { set({ snap: !store.snap }); sight(); }],
  j: ["look at each answer before going on, on and off", async () => { set({ pause: !store.pause }); sight(); }],
};

function question(one, now) {
  if (!now) {
    const aside = one.asked.length;
    return el("div", { className: "asks" }, el("strong", {}, one.points.length ? `All points of this ${store.about.category} are done.` : "No points yet."), aside ? el("span", {}, `${aside} put aside as not visible`) : null);
  }
  const what = now.point !== undefined ? `point ${now.point + 1}: click where it should be` : now.guess ? `proposed by ${now.guess.by}, ${Math.round(100 * now.guess.confidence)} % sure` : "where is this point on the body?";
  return el("div", { className: "asks" }, el("i", { style: { background: colourOf(now.part) } }), el("strong", {}, store.about.parts[now.part - 1]), el("span", {}, what));
}

export function panel() {
  const one = person();
  if (!one) return [el("p", {}, "Draw a box first, key 1.")];
  const now = current();
  const open = one.asked.filter((each) => each.state !== "hidden").length;
  const done = one.points.length;
  const guesses = one.asked.filter((each) => each.guess && each.state !== "hidden").length;
  const toggle = (text, key, name) => button(text, key, commands[key][1], { "aria-pressed": String(store[name]) });
  const named = store.about.category === "person";
  queueMicrotask(marks);
  if (now && !named) showBody(body, now.part, () => {}).catch(() => {});
  return [
    question(one, now),
    el("div", { className: "bar", title: `${done} of ${done + open}` }, el("i", { style: { width: `${(100 * done) / Math.max(done + open, 1)}%` } })),
    viewsHost,
    now && !named ? body : null,
    now || !done ? null : goesOn(),
    el("div", { className: "row" }, el("span", {}, `${done} of ${done + open} points`), toggle("snap", "w", "snap"), toggle("look before going on", "j", "pause"), told(one)),
    el("div", { className: now ? "row act" : "row" },
      now?.guess ? button("Accept", "Enter", commands.Enter[1], { className: "main" }) : null,
      now?.guess ? button("Refuse", "r", refuse) : null,
      now && now.point === undefined ? button("Skip", "s", commands.s[1]) : null,
      now && now.point === undefined ? button("Not visible", "n", commands.n[1]) : null,
      now?.point !== undefined ? button("Go on", "Enter", goOn, { className: "main" }) : null,
      now?.point !== undefined ? button("Take back", "t", commands.t[1]) : null,
      done ? button("Correct last", "⌫", back) : null,
      guesses > 1 ? button(`Accept all ${guesses}`, "Y", commands.Y[1]) : null,
      store.about.network && open > guesses ? button("Propose by network", "k", commands.k[1]) : null),
  ];
}

// Where somebody is done: to others in the picture who wait, or to another picture.
function goesOn() {
  const others = store.state.people.filter((each) => each.id !== store.person && (!each.points.length || each.asked.some((asked) => asked.state !== "hidden")));
  const last = store.picture === store.about.pictures.length - 1;
  return el("div", { className: "row" },
    others.length ? button(`Next ${store.about.category}`, "", async () => set({ person: others[0].id, point: null, asked: null, last: null }, "step"), { className: "main" }) : null,
    last ? null : button("Next picture", "→", () => show(store.picture + 1), { className: others.length ? "" : "main" }),
    button("Next worth labelling", "f", suggest));
}

function told(one) {
  const counts = one.help.points;
  return counts ? el("span", { className: "counts" }, `proposals: ${counts.accepted} accepted, ${counts.corrected} corrected, ${counts.refused} refused`) : null;
}

export const hint = () => {
  const one = person();
  if (!one) return "";
  if (!one.mask) return "Outline parts first, key 2";
  return "";
};
