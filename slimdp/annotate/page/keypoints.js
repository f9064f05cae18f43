// Keypoints, which nobody needs: with them a skeleton lies over the picture.

import { button, el, tried } from "./dom.js";
import { act, person, set, store } from "./store.js";

let hidden = false;

const pick = (step) => {
  const count = store.about.keypoints.length;
  set({ keypoint: (store.keypoint + step + count) % count });
};

export const tool = {
  down(at, event) {
    if (!person()) return;
    const [index, seen] = [store.keypoint, hidden || event.shiftKey ? 1 : 2];
    tried(async () => {
      await act("keypoint", { person: store.person, index, at, seen });
      hidden = false;
      pick(1);
    });
  },
};

export const commands = {
  d: ["next keypoint", async () => pick(1)],
  a: ["keypoint before", async () => pick(-1)],
  n: ["not in the picture: go on", async () => pick(1)],
  s: ["the next click is hidden (as Shift + click)", async () => { hidden = !hidden; set({}); }],
  Delete: ["remove this keypoint", () => act("keypoint", { person: store.person, index: store.keypoint, at: [0, 0], seen: 0 })],
};

export function panel() {
  const one = person();
  if (!one) return [el("p", {}, "Draw a box first, key 1.")];
  const state = (index) => ["", " (hidden)", " ✓"][one.keypoints?.[index]?.[2] ?? 0];
  return [
    el("h2", {}, "Keypoints, if you like"),
    el("p", {}, "Click each joint; the next one follows by itself. Dense pose needs none: where they are known, the skeleton helps to tell left from right."),
    el("div", { className: "row" },
      button("Not there", "n", commands.n[1]), button(hidden ? "Next click: hidden" : "Next click: seen", "s", commands.s[1]),
      button("Remove", "Del", commands.Delete[1])),
    el("div", { className: "palette" }, store.about.keypoints.map((name, index) =>
      el("button", { "aria-pressed": String(index === store.keypoint), onclick: () => set({ keypoint: index }) }, name.replaceAll("_", " ") + state(index)))),
  ];
}

export const hint = () => (person() ? `click: ${store.about.keypoints[store.keypoint].replaceAll("_", " ")}${hidden ? ", hidden" : ""}` : "");
