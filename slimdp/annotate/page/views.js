// Six views of a part. A click marks the place on all of them; wheel or two fingers zoom, a drag moves.

import { address, get } from "./api.js";
import { el } from "./dom.js";

const known = new Map();
const zooms = new Map();
const SVG = "http://www.w3.org/2000/svg";

async function about(part) {
  if (!known.has(part)) known.set(part, await get(`views/${part}`));
  return known.get(part);
}

export async function showViews(host, part, marks, onPlace) {
  if (!host) return;
  if (!part) { host.replaceChildren(); host.dataset.part = ""; return; }
  const { width, height, names } = await about(part);
  if (host.dataset.part !== String(part)) {
    host.dataset.part = part;
    host.replaceChildren(...names.map((name, view) => tile(part, view, name, width, height)));
  }
  host.arrange = () => arrange(host, width, height);
  host.arrange();
  [...host.children].forEach((node, view) => {
    node.place = (at) => onPlace(view, at);
    draw(node.querySelector("svg"), view, marks);
  });
}

// The whole body from four sides, in the colours of its parts: the middle of `part` is marked, a click picks one.
export async function showBody(host, part, pick) {
  const { width, height, names, centres } = await about(0);
  if (!host.children.length) host.replaceChildren(...names.slice(0, 4).map((name, view) => tile(0, view, name, width, height)));
  [...host.children].forEach((node, view) => {
    node.place = async ([x, y]) => pick((await get(`body/${view}?x=${x}&y=${y}`)).part);
    draw(node.querySelector("svg"), view, part ? { guess: centres[part - 1] } : {});
  });
}

// As many columns as make the six views largest in the room that there is.
function arrange(host, width, height) {
  const panel = host.parentElement;
  if (!panel) return;
  const gap = 6;
  const room = [host.clientWidth || panel.clientWidth - 24, Math.max(panel.clientHeight - 180, 300)];
  const wide = (columns) => Math.min((room[0] - gap * (columns - 1)) / columns, ((room[1] - gap * (6 / columns - 1)) / (6 / columns)) * (width / height));
  const best = [2, 3, 6].reduce((a, b) => (wide(b) > wide(a) ? b : a));
  host.style.gridTemplateColumns = `repeat(${best}, ${Math.floor(wide(best))}px)`;
}

function draw(svg, view, marks) {
  const shapes = [];
  for (const [kind, places] of Object.entries(marks)) {
    const [x, y, seen] = places[view];
    for (const [name, r] of [["mark", 11], ["dot", 3.2]]) {
      const circle = document.createElementNS(SVG, "circle");
      circle.setAttribute("cx", x + 0.5);
      circle.setAttribute("cy", y + 0.5);
      circle.setAttribute("r", r);
      circle.setAttribute("class", `${name} ${kind} ${seen ? "" : "hidden"}`);
      shapes.push(circle);
    }
  }
  svg.replaceChildren(...shapes);
}

function tile(part, view, name, width, height) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const inner = el("div", { className: "inner" }, el("img", { src: address(`view/${part}/${view}`), alt: `${name} view`, draggable: false }), svg);
  const node = el("div", { className: "view", style: { aspectRatio: `${width} / ${height}` } }, inner, el("span", {}, name));
  node.dataset.view = view;
  const zoom = zooms.get(`${part} ${view}`) ?? { k: 1, x: 0, y: 0 };
  zooms.set(`${part} ${view}`, zoom);
  const settle = () => { inner.style.transform = `translate(${zoom.x}px, ${zoom.y}px) scale(${zoom.k})`; };
  settle();
  follow(node, zoom, settle, (px, py) => {
    const rect = node.getBoundingClientRect();
    const x = (((px - rect.left - node.clientLeft) - zoom.x) / zoom.k / node.clientWidth) * width - 0.5;
    const y = (((py - rect.top - node.clientTop) - zoom.y) / zoom.k / node.clientHeight) * height - 0.5;
    node.place?.([x, y]);
  });
  return node;
}

function follow(node, zoom, settle, click) {
  const held = new Map();
  let moved = 0;
  let tapped = false;
  const by = (factor, px, py) => {
    const rect = node.getBoundingClientRect();
    const k = Math.min(Math.max(zoom.k * factor, 1), 12);
    const [cx, cy] = [px - rect.left, py - rect.top];
    zoom.x = cx - ((cx - zoom.x) * k) / zoom.k;
    zoom.y = cy - ((cy - zoom.y) * k) / zoom.k;
    zoom.k = k;
    clamp();
  };
  const clamp = () => {
    zoom.x = Math.min(0, Math.max(zoom.x, node.clientWidth * (1 - zoom.k)));
    zoom.y = Math.min(0, Math.max(zoom.y, node.clientHeight * (1 - zoom.k)));
    settle();
  };
  node.addEventListener("wheel", (event) => { event.preventDefault(); by(Math.exp(-event.deltaY * 0.002), event.clientX, event.clientY); }, { passive: false });
  node.addEventListener("pointerdown", (event) => {
    node.setPointerCapture(event.pointerId);
    if (!held.size) moved = 0;
    held.set(event.pointerId, [event.clientX, event.clientY]);
    event.preventDefault();
  });
  node.addEventListener("pointermove", (event) => {
    const before = held.get(event.pointerId);
    if (!before) return;
    const [dx, dy] = [event.clientX - before[0], event.clientY - before[1]];
    moved += Math.hypot(dx, dy);
    held.set(event.pointerId, [event.clientX, event.clientY]);
    const other = [...held].find(([id]) => id !== event.pointerId)?.[1];
    if (other) {
      moved += 10;
      const far = (p) => Math.max(Math.hypot(p[0] - other[0], p[1] - other[1]), 1);
      by(far([event.clientX, event.clientY]) / far(before), (event.clientX + other[0]) / 2, (event.clientY + other[1]) / 2);
    } else if (zoom.k > 1 && moved > 5) {
      zoom.x += dx;
      zoom.y += dy;
      clamp();
    }
  });
  node.addEventListener("pointerup", (event) => {
    const was = held.delete(event.pointerId);
    tapped = was && !held.size && moved <= 5;
  });
  // The second click of a double click has seen no other question than the first.
  node.addEventListener("click", (event) => { if (tapped && event.detail < 2) click(event.clientX, event.clientY); });
  node.addEventListener("pointercancel", (event) => held.delete(event.pointerId));
  node.addEventListener("contextmenu", (event) => { event.preventDefault(); Object.assign(zoom, { k: 1, x: 0, y: 0 }); settle(); });
}
