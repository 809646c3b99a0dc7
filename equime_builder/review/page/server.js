// Talking to the server: every request carries the token of the link, and a judgment is sent until it is kept.

const TOKEN = decodeURIComponent(location.hash.slice(1));
const PATIENCE_MS = 15000;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 5000;

/** The server understood and refused: trying again will not help. */
export class Refused extends Error {}

/** The server did not answer, or could not do it now. */
export class Unreachable extends Error {}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, {
      ...options,
      headers: { "X-Review-Token": TOKEN, ...options.headers },
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    if (response.ok) return options.method ? await response.json() : await response.arrayBuffer();
  } catch (error) {
    throw new Unreachable(error.message);
  }
  const words = await response.json().then((body) => String(body.error), () => `answer ${response.status}`);
  throw new (response.status >= 500 ? Unreachable : Refused)(words);
}

const post = (path, body) =>
  ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

export const session = (reviewer) => post("/api/session", { reviewer });

/** Head and pictures of a clip. */
export async function clip(name) {
  const data = await ask(`/api/clips/${name}`);
  const size = new DataView(data).getUint32(0);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, size)));
  let at = 4 + size;
  const pictures = await Promise.all(
    head.bytes.map((length) => {
      const picture = createImageBitmap(new Blob([new Uint8Array(data, at, length)], { type: "image/jpeg" }));
      at += length;
      return picture;
    }),
  );
  return { name, head, pictures };
}

/** Call `attempt` until the server is there; `waiting` is told each time it is not. */
export async function untilAnswered(attempt, waiting) {
  for (let ms = FIRST_PAUSE_MS; ; ms = Math.min(2 * ms, LONGEST_PAUSE_MS)) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error;
      waiting(error.message);
      await pause(ms);
    }
  }
}

/** A number that no other judgment has. crypto.randomUUID is not there on plain HTTP from another machine. */
export function newRequest() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// What has been said but is not known to be kept outlives this window: it is sent when the reviewer comes back.
const shelf = (reviewer) => `equime-review ${TOKEN.slice(0, 8)} ${reviewer}`;

export function unsent(reviewer) {
  try {
    return JSON.parse(localStorage.getItem(shelf(reviewer)) ?? "[]");
  } catch {
    return [];
  }
}

function shelve(reviewer, judgments) {
  try {
    if (judgments.length) localStorage.setItem(shelf(reviewer), JSON.stringify(judgments));
    else localStorage.removeItem(shelf(reviewer));
  } catch {
    // Storage is full or forbidden: the judgment is still held by the page, which says that it is not saved.
  }
}

/** Send a judgment until it is on the server's disk; returns it as it is kept there, with its number. */
export async function keep(judgment, waiting) {
  const { reviewer, request } = judgment;
  const others = () => unsent(reviewer).filter((other) => other.request !== request);
  shelve(reviewer, [...others(), judgment]);
  try {
    const answer = await untilAnswered(() => post("/api/judgments", judgment), waiting);
    shelve(reviewer, others());
    return answer;
  } catch (error) {
    if (error instanceof Refused) shelve(reviewer, others());
    throw error;
  }
}
