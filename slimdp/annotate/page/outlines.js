// Step 1b: coarse parts, by polygon or brush, and GrabCut (DensePose, 2.1).

import { button, el, tried } from "./dom.js";
import { colourOf } from "./draw.js";
import { scale, setDraft } from "./stage.js";
import { act, person, propose, set, store } from "./store.js";
import { showBody } from "./views.js";

// The same one throughout, so that its pictures stay while the panel around it is made anew.
const body = el("div", { id: "body", className: "body" });

let corners = [];
let stroke = null;
const WHERES = ["over", "under", "inside"];
const SAYS = { over: "over other parts", under: "under other parts", inside: "inside the outline alone" };

function drawPolygon(c, toStage) {
  c.strokeStyle = "#fff";
  c.lineWidth = 2;
  c.fillStyle = colourOf(store.part).replace(")", " / 0.4)");
  c.beginPath();
  corners.forEach((at, index) => (index ? c.lineTo(...toStage(at)) : c.moveTo(...toStage(at))));
  c.fill();
  c.stroke();
  corners.forEach((at) => { const [x, y] = toStage(at); c.fillStyle = "#fff"; c.fillRect(x - 3, y - 3, 6, 6); });
}

function drawStroke(at) {
  setDraft((c, toStage, k) => {
    c.strokeStyle = store.part ? colourOf(store.part) : "#fff";
    c.globalAlpha = 0.75;
    c.lineCap = c.lineJoin = "round";
    c.lineWidth = 2 * store.radius * k;
    if (stroke) {
      c.beginPath();
      stroke.forEach((p, index) => (index ? c.lineTo(...toStage(p)) : c.moveTo(...toStage(p))));
      if (stroke.length === 1) c.lineTo(...toStage([stroke[0][0] + 0.01, stroke[0][1]]));
      c.stroke();
    }
    c.globalAlpha = 1;
    c.lineWidth = 1.5;
    c.strokeStyle = "#fff";
    c.beginPath();
    c.arc(...toStage(at), store.radius * k, 0, 7);
    c.stroke();
  });
}

function close() {
  if (corners.length < 3) return;
  const points = corners;
  cancel();
  paint("polygon", { points });
}

// Of whom, on which picture and how is as it was when the drawing was finished.
function paint(action, drawn) {
  const { picture, person: who, part, where } = store;
  tried(() => act(action, { person: who, part, where, ...drawn }, picture));
}

function cancel() {
  corners = [];
  stroke = null;
  setDraft(null);
}

export const tool = {
  down(at) {
    if (!person()) return;
    if (store.tool === "brush") { stroke = [at]; drawStroke(at); return; }
    const first = corners[0];
    if (corners.length > 2 && Math.hypot(first[0] - at[0], first[1] - at[1]) * scale() < 12) { close(); return; }
    corners.push(at);
    setDraft(drawPolygon);
  },
  move(at, event, held) {
    if (store.tool === "brush") {
      if (held && stroke && Math.hypot(at[0] - stroke.at(-1)[0], at[1] - stroke.at(-1)[1]) > store.radius / 6) stroke.push(at);
      drawStroke(at);
    } else if (corners.length) {
      setDraft((c, toStage) => { corners.push(at); drawPolygon(c, toStage); corners.pop(); });
    }
  },
  up() {
    if (store.tool !== "brush" || !stroke) return;
    const points = stroke.slice(0, 5000);
    stroke = null;
    setDraft(null);
    paint("brush", { points, radius: store.radius });
  },
  double: () => { corners.pop(); close(); },
  cancel,
};

const pick = (step) => {
  const count = store.about.parts.length;
  set({ part: ((store.part - 1 + step + count) % count) + 1 });
};
const brush = (factor) => set({ radius: Math.min(400, Math.max(1, Math.round(store.radius * factor * 10) / 10)) });

export const commands = {
  p: ["polygon: click corners, Enter closes", async () => { cancel(); set({ tool: "polygon" }); }],
  b: ["brush", async () => { cancel(); set({ tool: "brush" }); }],
  x: ["erase, and back", async () => set({ part: store.part ? 0 : 1 })],
  d: ["next part", async () => pick(1)],
  a: ["part before", async () => pick(-1)],
  "]": ["larger brush", async () => brush(1.25)],
  "[": ["smaller brush", async () => brush(0.8)],
  o: ["paint over, under other parts, or inside the outline", async () => set({ where: WHERES[(WHERES.indexOf(store.where) + 1) % 3] })],
  g: ["GrabCut: this part follows the picture", () => act("grab", { person: store.person, part: store.part || 1 })],
  G: ["GrabCut: the whole outline follows the picture", () => act("grab", { person: store.person, part: 0 })],
  k: ["outlines by the network", () => propose("network")],
  l: ["carry labels along the flow", () => propose("flow")],
  Delete: ["clear this part", () => act("clear", { person: store.person, part: store.part })],
  Enter: ["close the polygon", async () => close()],
  Escape: ["drop the polygon", async () => cancel()],
  Backspace: ["drop the last corner", async () => { corners.pop(); if (corners.length) setDraft(drawPolygon); else cancel(); }],
};

function palette(one) {
  const has = new Set(one.mask?.filter((value, index) => index % 2 === 0));
  const pending = new Set(one.help.pending_parts ?? []);
  const entry = (part, name) => el("button", {
    className: pending.has(part) ? "pending" : has.has(part) && part ? "has" : "",
    "aria-pressed": String(store.part === part), onclick: () => set({ part }),
  }, el("i", { style: { background: part ? colourOf(part) : "repeating-conic-gradient(#888 0 25%, #ccc 0 50%) 0 0 / 8px 8px" } }), name);
  return el("div", { className: "palette" }, entry(0, "erase"), store.about.parts.map((name, index) => entry(index + 1, name)));
}

export function panel() {
  const one = person();
  const who = store.about.category;
  const clothes = who === "person" ? ", as it lies behind the clothes: of a leg under a skirt, the leg" : "";
  showBody(body, store.part, (part) => part && set({ part })).catch(() => {});
  if (!one) return [el("p", {}, "Draw a box first, key 1.")];
  const mode = (name, key) => button(name, key, async () => { cancel(); set({ tool: name }); }, { "aria-pressed": String(store.tool === name) });
  const help = el("div", { className: "row" },
    store.about.network ? button("Propose by network", "k", commands.k[1]) : null,
    store.about.video ? button("Carry along the flow", "l", commands.l[1]) : null);
  return [
    el("h2", {}, "Outline the parts"),
    el("p", {}, `Draw each part that can be seen${clothes}. Left and right are the ${who}'s own. A click on the body below chooses a part, too.`),
    one.help.pending_parts?.length ? el("p", { className: "pending" }, "Parts with a ? are proposed: correct those that are wrong; to go on accepts the others.") : null,
    one.mask ? null : help,
    el("div", { className: "row" },
      mode("polygon", "p"), mode("brush", "b"),
      el("label", {}, "size", el("input", { type: "range", min: 1, max: 120, value: store.radius, oninput: (e) => set({ radius: Number(e.target.value) }, "radius"), "aria-label": "size of the brush" })),
      button(SAYS[store.where], "o", commands.o[1], { title: "where strokes and polygons paint" })),
    palette(one),
    body,
    el("div", { className: "row" },
      button("GrabCut part", "g", commands.g[1]), button(`GrabCut ${who}`, "G", commands.G[1]),
      button("Clear part", "Del", commands.Delete[1])),
    one.mask ? help : null,
    el("div", { className: "row act" },
      store.tool === "polygon" ? button("Close polygon", "Enter", async () => close()) : null,
      button("Outlines done: points", "4", async () => { set({ step: "points" }, "step"); }, { className: one.mask ? "main" : "" })),
  ];
}

export const hint = () => {
  if (!person()) return "";
  const name = store.part ? store.about.parts[store.part - 1] : "erase";
  return store.tool === "polygon" ? `${name}: click corners, Enter or the first corner closes` : `${name}: paint`;
};
