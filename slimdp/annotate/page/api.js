// Requests to the server. Each page has a name of its own, so that two of them never edit one file.

const base = new URL(".", location.href);
const page = Array.from(crypto.getRandomValues(new Uint8Array(12)), (b) => b.toString(16).padStart(2, "0")).join("");

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function answer(response) {
  const content = await response.json().catch(() => ({ error: response.statusText }));
  if (!response.ok) throw new Refused(response.status, content.error || response.statusText);
  return content;
}

async function reach(path, options) {
  try {
    return await fetch(new URL(path, base), options);
  } catch {
    throw new Refused(0, "the server does not answer");
  }
}

export const get = async (path) => answer(await reach(`api/${path}`));

export async function post(verb, values = {}) {
  const body = JSON.stringify({ ...values, page });
  const headers = { "Content-Type": "application/json" };
  return answer(await reach(`api/${verb}`, { method: "POST", headers, body }));
}

export const address = (path) => new URL(`api/${path}`, base).href;

// On the way out: the next page need not wait until this one counts as gone.
export function leave() {
  const body = JSON.stringify({ page });
  fetch(new URL("api/leave", base), { method: "POST", keepalive: true, headers: { "Content-Type": "application/json" }, body });
}
