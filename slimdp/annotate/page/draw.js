// Labels over the picture: masks, boxes, skeletons, points.

import { person, store } from "./store.js";

const masks = new Map();
const BODY = [150, 150, 150];

// Masks come as runs; each is painted once, as 256 x 256 px.
export function loadMask() {
  const there = new Set();
  for (const each of store.state?.people ?? []) {
    if (!each.mask) continue;
    const key = `${each.id} ${each.mask.length} ${each.mask.join(",")}`;
    there.add(each.id);
    if (masks.get(each.id)?.key !== key) masks.set(each.id, { key, canvas: paint(each.mask) });
  }
  for (const id of masks.keys()) if (!there.has(id)) masks.delete(id);
}

function paint(runs) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 256;
  const c = canvas.getContext("2d");
  const image = c.createImageData(256, 256);
  let at = 0;
  for (let i = 0; i < runs.length; i += 2) {
    const [label, length] = [runs[i], runs[i + 1]];
    const colour = label === 255 ? BODY : store.about.colours[label - 1];
    if (label) for (let p = at; p < at + length; p++) image.data.set([...colour, 255], 4 * p);
    at += length;
  }
  c.putImageData(image, 0, 0);
  return canvas;
}

export const colourOf = (part) => (part === 255 ? "rgb(150 150 150)" : part ? `rgb(${store.about.colours[part - 1].join(" ")})` : "#fff");

export function drawLabels(c, view, toStage) {
  if (!store.labels) return;
  for (const each of store.state.people) {
    const mine = each.id === store.person;
    const quiet = store.step === "points" || store.step === "keypoints";
    drawMask(c, each, view, mine ? (quiet ? 0.16 : 0.5) : 0.14);
    drawBox(c, each, toStage, mine);
    if (mine || store.step === "keypoints") drawSkeleton(c, each, toStage, mine);
    if (mine) drawPoints(c, each, toStage);
  }
}

function drawMask(c, each, view, alpha) {
  const found = masks.get(each.id);
  if (!found) return;
  const [x, y, w, h] = each.box;
  c.save();
  c.globalAlpha = alpha;
  c.imageSmoothingEnabled = false;
  // The centre of mask pixel i is where a point with dp_x = i lies.
  c.drawImage(found.canvas, (x + 0.5 - w / 512) * view.k + view.x, (y + 0.5 - h / 512) * view.k + view.y, w * view.k, h * view.k);
  c.restore();
}

function drawBox(c, each, toStage, mine) {
  const [x, y, w, h] = each.box;
  const [a, b] = [toStage([x - 0.5, y - 0.5]), toStage([x + w - 0.5, y + h - 0.5])];
  c.setLineDash(mine ? [] : [6, 5]);
  for (const [width, colour] of [[3.5, "#000a"], [1.5, mine ? "#ffb020" : "#fff9"]]) {
    c.lineWidth = width;
    c.strokeStyle = colour;
    c.strokeRect(a[0], a[1], b[0] - a[0], b[1] - a[1]);
  }
  c.setLineDash([]);
  if (mine && store.step === "boxes") for (const [px, py] of corners(each.box)) knob(c, toStage([px, py]));
}

export const corners = ([x, y, w, h]) => [[x - 0.5, y - 0.5], [x + w - 0.5, y - 0.5], [x + w - 0.5, y + h - 0.5], [x - 0.5, y + h - 0.5]];

function knob(c, [x, y]) {
  c.fillStyle = "#ffb020";
  c.strokeStyle = "#000";
  c.lineWidth = 1;
  c.beginPath();
  c.rect(x - 5, y - 5, 10, 10);
  c.fill();
  c.stroke();
}

// Keypoints by their number, [x, y, visibility, whether it is but proposed].
function keypointsOf(each) {
  const found = new Map((each.keypoints ?? []).map(([x, y, v], index) => [index, [x, y, v, false]]).filter(([, [, , v]]) => v));
  for (const { index, x, y, seen } of each.guessedKeypoints) if (!found.has(index)) found.set(index, [x, y, seen, true]);
  return found;
}

function drawSkeleton(c, each, toStage, mine) {
  const found = keypointsOf(each);
  const working = store.step === "keypoints" && mine;
  c.globalAlpha = working ? 1 : mine ? 0.55 : 0.35;
  for (const [a, b] of store.about.skeleton) {
    if (!found.has(a) || !found.has(b)) continue;
    const left = store.about.keypoints[b].startsWith("left");
    const right = store.about.keypoints[b].startsWith("right");
    c.setLineDash(found.get(a)[3] || found.get(b)[3] ? [5, 5] : []);
    line(c, toStage(found.get(a)), toStage(found.get(b)), left ? "#5cc8ff" : right ? "#ff8f6b" : "#eee", 2.5);
  }
  c.setLineDash([]);
  for (const [index, [x, y, v, guessed]] of found) {
    const chosen = index === store.keypoint && working;
    disc(c, toStage([x, y]), working ? 5 : 3, guessed ? "#ffb02088" : v === 2 ? "#fff" : "#0000", chosen ? "#ffb020" : "#fff");
    if (chosen && guessed) ring(c, toStage([x, y]));
  }
  c.globalAlpha = 1;
}

function line(c, a, b, colour, width) {
  for (const [w, col] of [[width + 2, "#0008"], [width, colour]]) {
    c.strokeStyle = col;
    c.lineWidth = w;
    c.beginPath();
    c.moveTo(...a);
    c.lineTo(...b);
    c.stroke();
  }
}

function disc(c, [x, y], radius, fill, rim = "#000") {
  c.beginPath();
  c.arc(x, y, radius, 0, 7);
  c.fillStyle = fill;
  c.fill();
  c.strokeStyle = rim;
  c.lineWidth = 1.5;
  c.stroke();
}

function drawPoints(c, each, toStage) {
  const small = store.step !== "points";
  // On a small picture of the person the dots would hide it.
  const size = Math.min(1, Math.max(0.5, (each.box[3] * scaleOf(toStage)) / 520));
  each.points.forEach((point, index) => {
    const fine = store.about.coarseOf[each.part[index]];
    disc(c, toStage(point), size * (small ? 2.5 : 4), colourOf(fine), index === store.point ? "#fff" : "#000c");
    if (index === store.point) ring(c, toStage(point));
  });
  if (small) return;
  each.asked.forEach((one, index) => {
    if (one.state === "hidden") return;
    c.globalAlpha = one.state === "skipped" ? 0.5 : 1;
    disc(c, toStage(one.at), 3.2 * size, one.guess ? "#ffb02088" : "#0000", "#fff");
    c.globalAlpha = 1;
    if (index === store.asked && store.point === null) ring(c, toStage(one.at));
  });
}

const scaleOf = (toStage) => toStage([1, 0])[0] - toStage([0, 0])[0];

function ring(c, [x, y]) {
  for (const [w, col] of [[5, "#000c"], [2.5, "#fff"]]) {
    c.strokeStyle = col;
    c.lineWidth = w;
    c.beginPath();
    c.arc(x, y, 11, 0, 7);
    c.moveTo(x - 22, y); c.lineTo(x - 13, y); c.moveTo(x + 13, y); c.lineTo(x + 22, y);
    c.moveTo(x, y - 22); c.lineTo(x, y - 13); c.moveTo(x, y + 13); c.lineTo(x, y + 22);
    c.stroke();
  }
}

export const chosenPoint = () => {
  const one = person();
  return !one ? null : store.point !== null ? one.points[store.point] : one.asked[store.asked]?.at ?? null;
};
