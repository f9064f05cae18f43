// What the page knows, and the one way to change the file: everything that is shown follows from it.

import { get, post, Refused } from "./api.js";

export const store = {
  about: null, state: null, overview: [],
  picture: 0, person: null, step: "boxes",
  part: 1, tool: "polygon", where: "over", radius: 12,
  keypoint: 0, asked: null, point: null, last: null, snap: false, pause: false,
  contrast: 1, equalised: false, labels: true,
  suggested: [], suggestedHow: "", looking: null,
};

const listeners = new Set();
export const onChange = (listener) => listeners.add(listener);
export const changed = (what = "all") => listeners.forEach((listener) => listener(what));

export function person() {
  return store.state?.people.find((each) => each.id === store.person) ?? null;
}

export function set(values, what = "all") {
  Object.assign(store, values);
  remember();
  changed(what);
}

// A reload goes on where it was.
function remember() {
  const { picture, person: who, step, part, tool, where, radius, keypoint, snap, pause } = store;
  const kept = { picture, person: who, step, part, tool, where, radius, keypoint, snap, pause };
  try { sessionStorage.setItem(`slimdp ${store.about?.file}`, JSON.stringify(kept)); } catch { /* private windows */ }
}

export function recall() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(`slimdp ${store.about.file}`) || "{}");
    Object.assign(store, kept);
  } catch { /* begins anew */ }
  if (!(store.keypoint < store.about.keypoints.length)) store.keypoint = 0; // of another file that is called alike
  if (!(store.part <= store.about.parts.length)) store.part = 1;
  store.picture = Math.min(Math.max(0, store.picture), store.about.pictures.length - 1);
}

export function take(state) {
  const before = store.state;
  store.state = state;
  store.picture = state.picture;
  if (!person()) store.person = state.people.at(-1)?.id ?? null;
  // Somebody who has just been added is who one goes on with.
  const fresh = before?.picture === state.picture ? state.people.filter((each) => !before.people.some((old) => old.id === each.id)) : [];
  if (fresh.length === 1) store.person = fresh[0].id;
  choosePoint();
  summarise();
  remember();
  changed("state");
}

// The next point is chosen by itself, unless one is being looked at.
export function choosePoint() {
  const one = person();
  if (!one) return Object.assign(store, { asked: null, point: null });
  if (store.point !== null && store.point >= one.points.length) store.point = null;
  if (store.asked !== null && !one.asked[store.asked]) store.asked = null;
  if (store.point === null && store.asked === null) store.asked = one.next;
  return store;
}

function summarise({ picture, people } = store.state) {
  const waiting = people.reduce((sum, each) => sum + each.asked.filter((a) => a.state !== "hidden").length, 0);
  const points = people.reduce((sum, each) => sum + each.points.length, 0);
  store.overview[picture] = { people: people.length, points, waiting };
}

// Inputs wait for their turn (dom.js), and the one before may bring another picture. This is the picture that was
// shown when the input came whose turn it is.
let seen = null;
export function seeing(work) {
  const { picture } = store;
  return async () => {
    seen = picture;
    try {
      await work();
    } finally {
      seen = null;
    }
  };
}
export const stillSeen = () => seen === null || seen === store.picture;

function requireSeen() {
  if (!stillSeen()) throw new Refused(422, "another picture came meanwhile: nothing was changed; do it again here");
}

// An action with values of the picture that is shown now; or of `picture`, where they were read as the input came.
export async function act(action, values = {}, picture = null) {
  if (picture === null) requireSeen();
  const state = await post("act", { picture: picture ?? store.picture, action, values });
  if (state.picture === store.picture) return take(state);
  const { undo, redo, edits } = state;
  Object.assign(store.state, { undo, redo, edits });
  summarise(state);
  changed("state");
}

export async function propose(kind) {
  requireSeen();
  take(await post("propose", { picture: store.picture, kind, person: store.person }));
}

export async function step(verb) {
  const state = await post(verb, { picture: store.picture });
  Object.assign(store, { asked: null, point: null, last: null });
  const moved = state.picture !== store.picture;
  take(state);
  if (moved) changed("picture");
}

export async function show(picture) {
  const count = store.about.pictures.length;
  const number = Math.min(Math.max(0, picture), count - 1);
  const state = await get(`state/${number}`);
  Object.assign(store, { asked: null, point: null, last: null });
  take(state);
  changed("picture");
}
