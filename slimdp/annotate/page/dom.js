// Elements, messages, and errors that are shown.

import { Refused } from "./api.js";
import { seeing } from "./store.js";

export function el(tag, settings = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(settings)) {
    if (name === "style") Object.assign(node.style, value);
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name in node && typeof value !== "object") node[name] = value;
    else if (value !== undefined && value !== null && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export const button = (text, key, run, settings = {}) =>
  el("button", { ...settings, onclick: () => tried(run) }, text, key ? el("kbd", {}, key) : null);

const toast = document.getElementById("toast");
let fading;
export function say(message, stays = false) {
  toast.textContent = message;
  clearTimeout(fading);
  if (!stays) fading = setTimeout(() => { toast.textContent = ""; }, 5000);
}

let onLost = () => {};
export const whenLost = (handler) => { onLost = handler; };
const saved = document.getElementById("saved");
let queue = Promise.resolve();

// One request after another, so that two quick clicks cannot pass each other.
export function tried(work) {
  const turn = seeing(work);
  queue = queue.then(async () => {
    saved.textContent = "…";
    try {
      await turn();
      saved.textContent = "saved";
      if (toast.textContent) say("");
    } catch (error) {
      saved.textContent = "";
      if (error instanceof Refused && (error.status === 0 || error.status === 409 || error.status === 404)) onLost(error);
      else say(error.message);
      if (!(error instanceof Refused)) console.error(error);
    }
  });
  return queue;
}
