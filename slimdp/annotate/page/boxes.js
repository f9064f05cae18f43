// Step 1a: who is there. A box is drawn from corner to corner; its corners can be moved.

import { button, el, tried } from "./dom.js";
import { corners } from "./draw.js";
import { scale, setDraft } from "./stage.js";
import { act, person, propose, set, store } from "./store.js";
import { suggest } from "./suggest.js";

let from = null;
let anchor = null;
let of = null; // whom, and in which picture, a box is drawn

const boxOf = ([ax, ay], [bx, by]) => [Math.min(ax, bx) + 0.5, Math.min(ay, by) + 0.5, Math.abs(ax - bx), Math.abs(ay - by)];

export const tool = {
  down(at) {
    const one = person();
    const near = one ? corners(one.box).findIndex(([x, y]) => Math.hypot(x - at[0], y - at[1]) * scale() < 16) : -1;
    anchor = near >= 0 ? corners(one.box)[(near + 2) % 4] : null;
    of = { person: anchor ? one.id : null, picture: store.picture };
    from = at;
  },
  move(at, event, held) {
    if (!held || !from) return;
    const [x, y, w, h] = boxOf(anchor ?? from, at);
    setDraft((c, toStage, k) => {
      const [px, py] = toStage([x - 0.5, y - 0.5]);
      c.setLineDash([6, 4]);
      c.strokeStyle = "#ffb020";
      c.lineWidth = 2;
      c.strokeRect(px, py, w * k, h * k);
      c.setLineDash([]);
    });
  },
  up(at) {
    if (!from) return;
    const box = boxOf(anchor ?? from, at);
    const drawn = Math.hypot(at[0] - from[0], at[1] - from[1]) * scale() > 8;
    const [start, { person: held, picture }] = [from, of];
    tool.cancel();
    if (!drawn) return choose(start);
    tried(() => act("box", held === null ? { box } : { person: held, box }, picture));
  },
  cancel() {
    from = anchor = of = null;
    setDraft(null);
  },
};

// A click without a drag chooses the smallest box around it.
function choose([x, y]) {
  const inside = store.state.people.filter(({ box }) => x >= box[0] && x <= box[0] + box[2] && y >= box[1] && y <= box[1] + box[3]);
  inside.sort((a, b) => a.box[2] * a.box[3] - b.box[2] * b.box[3]);
  if (inside.length) set({ person: inside[0].id, asked: null, point: null });
}

export const commands = {
  m: ["find people (detector)", () => act("detect")],
  l: ["carry labels of the nearest labelled frame along the flow", () => propose("flow")],
  Delete: ["remove the person", () => person() && act("remove", { person: store.person })],
};

export function panel() {
  const one = person();
  const who = store.about.category;
  const people = who === "person"; // whom alone a detector finds
  return [
    el("h2", {}, stepName()),
    el("p", {}, `Draw a box around each ${who}, from corner to corner${people ? ", or let a detector find them" : ""}. Move a box by its corners.`),
    el("div", { className: "row" },
      people ? button("Find people", "m", commands.m[1], { className: one ? "" : "main" }) : null,
      store.about.video ? button("Carry labels here", "l", commands.l[1]) : null,
      one ? button(`Remove ${who}`, "Del", commands.Delete[1]) : null,
      button("Next worth labelling", "f", suggest)),
    one ? el("div", { className: "row act" }, button(`Box done: outline ${who} ${store.state.people.indexOf(one) + 1}`, "2", async () => set({ step: "outlines" }, "step"), { className: "main" })) : null,
  ];
}

export const stepName = () => (store.about.category === "person" ? "People" : "Boxes");

export const hint = () => (store.state.people.length ? "" : `Draw a box around a ${store.about.category}`);
