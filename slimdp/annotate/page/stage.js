// The picture with its labels: zoom, pan, and where pointers are in px of the picture (pixel centres at integers).

import { address } from "./api.js";
import { onChange, person, store } from "./store.js";
import { drawLabels, loadMask } from "./draw.js";

const stage = document.getElementById("stage");
const picture = document.getElementById("picture");
const overlay = document.getElementById("overlay");
const loupe = document.getElementById("loupe");
const view = { k: 1, x: 0, y: 0, fitted: "" };
const pointers = new Map();
let tool = {};
let draft = null;

// A drawing that is not finished goes with the tool, the picture or the person that it was begun with.
export const setTool = (handlers) => { tool.cancel?.(); tool = handlers; draft = null; draw(); };
export const setDraft = (shape) => { draft = shape; draw(); };
export const scale = () => view.k;

export const toImage = (event) => {
  const rect = stage.getBoundingClientRect();
  return [(event.clientX - rect.left - view.x) / view.k - 0.5, (event.clientY - rect.top - view.y) / view.k - 0.5];
};
const toStage = ([x, y]) => [(x + 0.5) * view.k + view.x, (y + 0.5) * view.k + view.y];

// A box as large as can be, above `below` px that the buttons take.
export function fit(box, share = 0.86, below = 44) {
  const [w, h] = [stage.clientWidth, stage.clientHeight - below];
  const [x, y, width, height] = box;
  view.k = share * Math.min(w / Math.max(width, 1), h / Math.max(height, 1));
  view.x = w / 2 - (x + width / 2) * view.k;
  view.y = h / 2 - (y + height / 2) * view.k;
  place();
}

export function fitTo(what) {
  const one = person();
  view.fitted = what === "person" && one ? "person" : "picture";
  if (view.fitted === "person") fit(one.box);
  else fit([0, 0, store.state.width, store.state.height], 0.98, 0);
}

// Who shall be labelled is shown as large as can be, unless somebody has zoomed by hand.
export const lookCloser = () => { if (view.fitted === "picture" && person()) fitTo("person"); };

export const fitAgain = () => fitTo(view.fitted === "person" ? "picture" : "person");

export function zoom(factor, at = null) {
  const { clientWidth: w, clientHeight: h } = stage;
  const [cx, cy] = at ?? [w / 2, h / 2];
  const k = Math.min(Math.max(view.k * factor, 0.02), 60);
  view.x = cx - ((cx - view.x) * k) / view.k;
  view.y = cy - ((cy - view.y) * k) / view.k;
  view.k = k;
  view.fitted = "";
  place();
}

// A point that is asked must be in sight, and not below the buttons; the picture moves no farther, and the zoom stays.
export function bringIntoSight(point) {
  const [x, y] = toStage(point);
  const { clientWidth: w, clientHeight: h } = stage;
  const into = (at, low, high) => (at < low ? low - at : at > high ? high - at : 0);
  const [dx, dy] = [into(x, 0.06 * w, 0.94 * w), into(y, 0.06 * h, h - 60)];
  if (dx || dy) {
    view.x += dx;
    view.y += dy;
    place();
  }
}

function place() {
  picture.style.transform = `translate(${view.x}px, ${view.y}px) scale(${view.k})`;
  picture.style.width = `${store.state?.width ?? 0}px`;
  picture.style.height = `${store.state?.height ?? 0}px`;
  picture.style.imageRendering = view.k > 3 ? "pixelated" : "auto";
  draw();
}

export function draw() {
  const ratio = window.devicePixelRatio || 1;
  const { clientWidth: w, clientHeight: h } = stage;
  if (overlay.width !== Math.round(w * ratio) || overlay.height !== Math.round(h * ratio)) {
    overlay.width = Math.round(w * ratio);
    overlay.height = Math.round(h * ratio);
  }
  const c = overlay.getContext("2d");
  c.setTransform(ratio, 0, 0, ratio, 0, 0);
  c.clearRect(0, 0, w, h);
  if (!store.state) return;
  drawLabels(c, view, toStage);
  if (draft) draft(c, toStage, view.k);
  magnify();
}

// The surroundings of the point that is asked, four times as large.
function magnify() {
  const one = person();
  const point = store.step === "points" && one && (store.point !== null ? one.points[store.point] : one.asked[store.asked]?.at);
  loupe.hidden = !point || !picture.complete || !picture.naturalWidth;
  if (loupe.hidden) return;
  const c = loupe.getContext("2d");
  const shown = picture.naturalWidth / store.state.width;
  const reach = Math.max(14, 0.09 * Math.max(one.box[2], one.box[3]));
  c.fillStyle = "#000";
  c.fillRect(0, 0, 300, 300);
  c.imageSmoothingEnabled = reach > 60;
  c.filter = `contrast(${store.contrast})`;
  const [x, y] = point;
  c.drawImage(picture, (x + 0.5 - reach) * shown, (y + 0.5 - reach) * shown, 2 * reach * shown, 2 * reach * shown, 0, 0, 300, 300);
  c.filter = "none";
  for (const [width, colour] of [[5, "#000"], [2.5, "#fff"]]) {
    c.strokeStyle = colour;
    c.lineWidth = width;
    c.beginPath();
    c.arc(150, 150, 13, 0, 7);
    c.moveTo(150, 110); c.lineTo(150, 134); c.moveTo(150, 166); c.lineTo(150, 190);
    c.moveTo(110, 150); c.lineTo(134, 150); c.moveTo(166, 150); c.lineTo(190, 150);
    c.stroke();
  }
}

function load() {
  picture.src = address(`picture/${store.picture}${store.equalised ? "?equalised=1" : ""}`);
  picture.alt = store.about.pictures[store.picture];
}

// ---- pointers: one works with the tool, two or the other buttons move the picture

const panning = (event) => event.button === 1 || event.button === 2 || stage.dataset.space === "1";
let pan = null;
let panned = false;
// Until the next picture is there the one before stays in sight: nothing is drawn on it any more.
const inSight = () => picture.complete;

overlay.addEventListener("pointerdown", (event) => {
  overlay.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, [event.clientX, event.clientY]);
  if (pointers.size === 1) panned = false;
  if (pointers.size === 2) {
    tool.cancel?.();
    pan = "pinch";
  } else if (panning(event)) pan = "drag";
  else if (pointers.size === 1 && inSight()) tool.down?.(toImage(event), event);
  if (pan) panned = true;
  event.preventDefault();
});

overlay.addEventListener("pointermove", (event) => {
  const before = pointers.get(event.pointerId);
  if (pan && before) {
    const others = [...pointers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
    if (pan === "pinch" && others.length) pinch(before, [event.clientX, event.clientY], others[0]);
    else { view.x += event.clientX - before[0]; view.y += event.clientY - before[1]; view.fitted = ""; place(); }
    pointers.set(event.pointerId, [event.clientX, event.clientY]);
    return;
  }
  if (before) pointers.set(event.pointerId, [event.clientX, event.clientY]);
  tool.move?.(toImage(event), event, Boolean(before));
});

function pinch(before, now, fixed) {
  const far = (p) => Math.hypot(p[0] - fixed[0], p[1] - fixed[1]);
  const rect = stage.getBoundingClientRect();
  const middle = [(now[0] + fixed[0]) / 2, (now[1] + fixed[1]) / 2];
  view.x += (now[0] - before[0]) / 2;
  view.y += (now[1] - before[1]) / 2;
  zoom(far(now) / Math.max(far(before), 1), [middle[0] - rect.left, middle[1] - rect.top]);
}

function release(event) {
  const had = pointers.delete(event.pointerId);
  if (pan) { if (!pointers.size) pan = null; }
  else if (had && event.type === "pointerup") tool.up?.(toImage(event), event);
  else if (had) tool.cancel?.();
}
overlay.addEventListener("pointerup", release);
overlay.addEventListener("pointercancel", release);
// The second click of a double click is none of its own.
overlay.addEventListener("click", (event) => { if (!panned && event.detail < 2 && inSight()) tool.click?.(toImage(event), event); });
overlay.addEventListener("dblclick", (event) => tool.double?.(toImage(event), event));
overlay.addEventListener("contextmenu", (event) => event.preventDefault());
overlay.addEventListener("wheel", (event) => {
  event.preventDefault();
  const rect = stage.getBoundingClientRect();
  zoom(Math.exp(-event.deltaY * 0.0015), [event.clientX - rect.left, event.clientY - rect.top]);
}, { passive: false });
picture.addEventListener("load", () => draw());
new ResizeObserver(() => {
  if (!store.state) return;
  if (view.fitted) fitTo(view.fitted);
  else place();
}).observe(stage);

onChange((what) => {
  if (!store.state) return;
  if (what === "picture" || what === "shown" || what === "start") load();
  if (what === "picture" || what === "start") fitTo("person");
  picture.style.filter = store.contrast === 1 ? "" : `contrast(${store.contrast})`;
  loadMask();
  place();
});
