// What to label next: the server ranks the pictures; they are marked in the strip, and the best one is shown.

import { post } from "./api.js";
import { say, tried } from "./dom.js";
import { changed, show, store } from "./store.js";

const WAIT_MS = 700;
const HOW = { even: "evenly spread", features: "by the network", flow: "by the flow" };
let waiting = false;

// Asked again on one of the suggested pictures, it goes on to the next one.
export async function suggest() {
  if (waiting) return;
  const answer = await post("suggest");
  if (answer.working) look(answer.working, { picture: store.picture, edits: store.state.edits });
  else await arrive(answer, true);
}

async function arrive({ suggested, method, note }, goes) {
  Object.assign(store, { suggested, suggestedHow: HOW[method] });
  if (goes) await show(suggested[(suggested.indexOf(store.picture) + 1) % suggested.length]);
  else changed("suggested");
  // After the queue has cleared the message of the request before.
  if (note) setTimeout(() => say(`evenly spread pictures are marked, for: ${note}`));
  else if (!goes) setTimeout(() => say("what to label next is marked; f goes there"));
}

// Clicks go on meanwhile; whoever has gone on to work is not taken away from it.
function look(working, begun) {
  waiting = true;
  store.looking = working;
  changed("suggested");
  setTimeout(async () => {
    let answer;
    try {
      answer = await post("suggest");
    } catch (error) {
      stop();
      return tried(() => Promise.reject(error));
    }
    if (answer.working) return look(answer.working, begun);
    stop();
    return tried(() => arrive(answer, store.picture === begun.picture && store.state.edits === begun.edits));
  }, WAIT_MS);
}

function stop() {
  waiting = false;
  store.looking = null;
  changed("suggested");
}

// What the header says of it.
export function told() {
  const { looking, suggested, picture } = store;
  if (looking) {
    const share = looking.total ? ` ${Math.round((100 * looking.done) / looking.total)} %` : " …";
    return `${looking.title}${share}`;
  }
  const rank = suggested.indexOf(picture);
  return rank < 0 ? "" : `★ ${rank + 1} of ${suggested.length}, ${store.suggestedHow}`;
}
