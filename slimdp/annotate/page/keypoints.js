// Keypoints, which nobody needs: with them a skeleton lies over the picture. The flow proposes some.

import { button, el, tried } from "./dom.js";
import { act, person, propose, set, store } from "./store.js";

let hidden = false;

const pick = (step) => {
  const count = store.about.keypoints.length;
  if (count) set({ keypoint: (store.keypoint + step + count) % count });
};

// Of the one that is asked; none where the file has keypoints without names.
const name = () => store.about.keypoints[store.keypoint]?.replaceAll("_", " ");

const proposed = () => person()?.guessedKeypoints.find((each) => each.index === store.keypoint);

// The next one that is proposed; without any, the next one.
function goOn() {
  const guessed = person()?.guessedKeypoints.map((each) => each.index) ?? [];
  if (!guessed.length) return pick(1);
  set({ keypoint: guessed.find((index) => index > store.keypoint) ?? guessed[0] });
}

let placing = false;

// Until the server has a keypoint the next one is not asked; a click then would move the one before.
export const tool = {
  click(at, event) {
    if (!person() || !name() || placing) return;
    placing = true;
    const { picture, person: who, keypoint: index } = store;
    const seen = hidden || event.shiftKey ? 1 : 2;
    tried(async () => {
      await act("keypoint", { person: who, index, at, seen }, picture);
      if (picture !== store.picture) return;
      hidden = false;
      goOn();
    }).finally(() => { placing = false; });
  },
};

async function accept() {
  if (proposed()) await act("accept_keypoints", { person: store.person, keypoints: [store.keypoint] });
  goOn();
}

async function refuse() {
  if (!proposed()) return;
  await act("refuse_keypoint", { person: store.person, index: store.keypoint });
  goOn();
}

async function carry() {
  await propose("flow");
  if (person()?.guessedKeypoints.length && !proposed()) goOn();
}

export const commands = {
  d: ["next keypoint", async () => pick(1)],
  a: ["keypoint before", async () => pick(-1)],
  n: ["not in the picture: go on", async () => pick(1)],
  s: ["the next click is hidden (as Shift + click)", async () => { hidden = !hidden; set({}); }],
  Enter: ["accept the proposal, and go on", accept],
  Y: ["accept all proposals of this person", () => act("accept_keypoints", { person: store.person })],
  r: ["refuse the proposal", refuse],
  l: ["carry labels along the flow", carry],
  Delete: ["remove this keypoint", async () => name() && act("keypoint", { person: store.person, index: store.keypoint, at: [0, 0], seen: 0 })],
};

export function panel() {
  const one = person();
  if (!one) return [el("p", {}, "Draw a box first, key 1.")];
  if (!store.about.keypoints.length) return [
    el("h2", {}, "No keypoints"),
    el("p", {}, `The file has keypoints without names. To go on with them, list the names under "keypoints" of their category in ${store.about.file}. Dense pose needs none.`),
  ];
  const guessed = new Set(one.guessedKeypoints.map((each) => each.index));
  const state = (index) => (guessed.has(index) ? " ?" : ["", " (hidden)", " ✓"][one.keypoints?.[index]?.[2] ?? 0]);
  return [
    el("h2", {}, "Keypoints, if you like"),
    el("p", {}, "Click each joint; the next one follows by itself. Dense pose needs none: where they are known, the skeleton helps to tell left from right."),
    guessed.size ? el("div", { className: "row" },
      button("Accept", "Enter", accept, { className: "main" }), button("Refuse", "r", refuse),
      guessed.size > 1 ? button(`Accept all ${guessed.size}`, "Y", commands.Y[1]) : null) : null,
    el("div", { className: "row" },
      button("Not there", "n", commands.n[1]), button(hidden ? "Next click: hidden" : "Next click: seen", "s", commands.s[1]),
      button("Remove", "Del", commands.Delete[1]),
      store.about.video ? button("Carry along the flow", "l", carry) : null),
    el("div", { className: "palette" }, store.about.keypoints.map((name, index) =>
      el("button", { "aria-pressed": String(index === store.keypoint), onclick: () => set({ keypoint: index }) }, name.replaceAll("_", " ") + state(index)))),
  ];
}

export const hint = () => {
  if (!person() || !name()) return "";
  return proposed() ? `${name()}: Enter accepts, a click corrects` : `click: ${name()}${hidden ? ", hidden" : ""}`;
};
