// The review page: who reviews, which clip, and what the keys do.

import { JudgmentForm } from "./form.js";
import { Player, draw, drawChange } from "./player.js";
import { Plot } from "./plot.js";
import * as server from "./server.js";

const byId = (id) => document.getElementById(id);
const NAME = "equime-review reviewer"; // of this window: two windows may be two reviewers
const skip = document.querySelector(".skip");
const still = matchMedia("(prefers-reduced-motion: reduce)");

let review; // what the server said when the session began
let form;
let place = 0; // of the shown clip in the reviewer's order
let shown; // the clip that is on the page
let ahead; // the clip that is fetched before it is asked for
let saving = false;
const drafts = new Map(); // answers that were begun and not saved, by clip

const player = new Player(byId("view"), {
  onFrame: (frame) => {
    byId("frame").value = frame;
    byId("where").textContent = whereIs(frame);
    byId("frame").setAttribute("aria-valuetext", whereIs(frame));
    plot?.show(frame);
  },
  onState: (playing) => {
    byId("play").textContent = playing ? "Pause" : "Play";
  },
});
const plot = new Plot(byId("plot"), byId("legend"), byId("plot-title"), (frame) => player.go(frame));

function whereIs(frame) {
  const { fps, onset, apex, offset, bytes } = player.head;
  const moment = { [offset]: ", offset", [onset]: ", onset", [apex]: ", apex" }[frame] ?? "";
  return `frame ${frame + 1} of ${bytes.length}, ${Math.round((1000 * frame) / fps)} ms${moment}`;
}

// ---------------------------------------------------------------------------------------------- who reviews

byId("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  begin(byId("reviewer").value);
});

async function begin(name) {
  const problem = byId("sign-in-error");
  problem.textContent = "";
  try {
    const waiting = () => (problem.textContent = "The server does not answer; trying again.");
    review = await server.untilAnswered(() => server.session(name), waiting);
    const left = server.unsent(review.reviewer);
    for (const judgment of left) await server.keep(judgment, waiting).catch(() => {});
    if (left.length) review = await server.untilAnswered(() => server.session(name), waiting);
  } catch (error) {
    problem.textContent = error.message;
    byId("reviewer").focus();
    return;
  }
  sessionStorage.setItem(NAME, name);
  form = new JudgmentForm(review);
  byId("who-name").textContent = review.reviewer;
  byId("mode").textContent = review.blind ? "blind: labels are hidden" : "open: labels are shown";
  byId("mode").hidden = byId("who").hidden = byId("progress-box").hidden = byId("work").hidden = skip.hidden = false;
  byId("welcome").hidden = true;
  const open = nextToJudge(-1);
  await show(open < 0 ? 0 : open);
}

// ---------------------------------------------------------------------------------------------- which clip

const answerOf = (number) => review.answers[review.order[number]];

/** Place of the next clip without an answer, after `from` and around; -1 where all have one. */
function nextToJudge(from) {
  const count = review.order.length;
  for (let ahead = 1; ahead <= count; ahead += 1) {
    const number = (from + ahead + count) % count;
    if (!answerOf(number)) return number;
  }
  return -1;
}

async function show(number) {
  remember();
  place = number;
  const name = review.order[place];
  const told = (words) => (byId("loading").textContent = words);
  player.clear();
  shown = undefined;
  told("loading the clip");
  byId("problem").textContent = "";
  heading();
  form.show(drafts.get(name) ?? review.answers[name]);
  byId("clip-title").focus({ preventScroll: true });
  const fetched = ahead?.name === name ? ahead.clip : server.clip(name);
  let first = fetched;
  ahead = undefined;
  try {
    const clip = await server.untilAnswered(
      () => {
        const attempt = first ?? server.clip(name);
        first = undefined;
        return attempt;
      },
      () => told("the server does not answer; trying again"),
    );
    if (place !== number) return discard(clip);
    present(clip);
    told("");
  } catch (error) {
    if (place === number) told(error.message);
  }
  fetchAhead();
}

const discard = (clip) => clip.pictures.forEach((picture) => picture.close());

function present(clip) {
  if (presented) discard(presented);
  presented = shown = clip;
  byId("frame").max = clip.pictures.length - 1;
  plot.draw(clip.head, review.blind);
  player.load(clip);
  draw(byId("neutral"), clip.pictures[clip.head.onset]);
  draw(byId("peak"), clip.pictures[clip.head.apex]);
  amplify();
  facts(clip.head.facts);
  if (!still.matches) player.play();
}
let presented;

function amplify() {
  if (!shown) return;
  const { pictures, head } = shown;
  drawChange(byId("change"), pictures[head.apex], pictures[head.onset], Number(byId("gain").value));
}

function fetchAhead() {
  const next = nextToJudge(place);
  if (next < 0 || next === place) return;
  const name = review.order[next];
  const clip = server.clip(name);
  clip.catch(() => {}); // asked again when the clip is shown
  ahead = { name, clip };
}

function facts(values) {
  const list = byId("facts");
  list.hidden = !values;
  const names = { emotion: "Label", derived_emotion: "from the AUs", au_text: "AUs", key: "Key", caption: "Caption" };
  const entries = values ? Object.entries(names).filter(([name]) => name !== "derived_emotion" || values[name] !== values.emotion) : [];
  list.replaceChildren(
    ...entries.map(([name, words]) => {
      const row = document.createElement("div");
      const [term, text] = [document.createElement("dt"), document.createElement("dd")];
      term.textContent = words;
      text.textContent = values[name];
      row.append(term, text);
      return row;
    }),
  );
}

function heading() {
  const count = review.order.length;
  const done = Object.keys(review.answers).length;
  byId("clip-title").textContent = `Clip ${place + 1} of ${count}`;
  byId("progress").max = count;
  byId("progress").value = done;
  byId("progress-text").textContent = done === count ? `all ${count} judged` : `${done} of ${count} judged`;
  byId("previous").disabled = place === 0;
  byId("next").disabled = place === count - 1;
  byId("open-next").disabled = done === count;
  byId("save").textContent = answerOf(place) ? "Save the change" : "Save and go on";
}

/** Keep what was begun on the shown clip, for when it is shown again. */
function remember() {
  const name = review.order[place];
  if (form.empty) drafts.delete(name);
  else drafts.set(name, form.read());
}

const move = (by) => {
  const number = place + by;
  if (!saving && number >= 0 && number < review.order.length) show(number);
};
byId("previous").addEventListener("click", () => move(-1));
byId("next").addEventListener("click", () => move(1));
byId("open-next").addEventListener("click", () => {
  const number = nextToJudge(place);
  if (!saving && number >= 0) show(number);
});

// ---------------------------------------------------------------------------------------------- saving

byId("judgment").addEventListener("submit", (event) => {
  event.preventDefault();
  save();
});

async function save() {
  if (saving) return;
  const missing = form.missing();
  byId("problem").textContent = missing ? missing.words : "";
  if (missing) return missing.control.focus({ focusVisible: true });
  const name = review.order[place];
  const changed = Boolean(review.answers[name]);
  const answer = form.read();
  const judgment = { request: server.newRequest(), reviewer: review.reviewer, clip: name, ...answer };
  saving = true;
  form.lock(true);
  tell("saving", "wait");
  try {
    const kept = await server.keep(judgment, (why) => {
      tell(`Not saved yet: the server does not answer. Trying again; please keep this window open. (${why})`, "bad");
    });
    review.answers[name] = kept;
    drafts.delete(name);
    form.show();
    tell(changed ? "Change saved." : `Saved, number ${kept.number}.`, "good");
    const next = nextToJudge(place);
    saving = false;
    form.lock(false);
    if (changed || next < 0) {
      form.show(kept);
      heading();
      if (next < 0) tell("Saved. All clips are judged: thank you. You may close this window, or change answers.", "good");
    } else await show(next);
  } catch (error) {
    tell("Not saved.", "bad");
    byId("problem").textContent = error.message;
  } finally {
    saving = false;
    form.lock(false);
  }
}

function tell(words, kind) {
  byId("state").textContent = words;
  byId("state").dataset.kind = kind;
}

addEventListener("beforeunload", (event) => {
  if (saving) event.preventDefault();
});

// ---------------------------------------------------------------------------------------------- player and keys

byId("play").addEventListener("click", () => player.toggle());
byId("step-back").addEventListener("click", () => player.step(-1));
byId("step-on").addEventListener("click", () => player.step(1));
byId("frame").addEventListener("input", (event) => player.go(Number(event.target.value)));
byId("speed").addEventListener("change", (event) => (player.speed = Number(event.target.value)));
byId("loop").addEventListener("change", (event) => (player.loop = event.target.value));
byId("gain").addEventListener("change", amplify);
const moments = { onset: "o", apex: "a", offset: "f" };
for (const moment of Object.keys(moments)) {
  byId(`to-${moment}`).addEventListener("click", () => shown && player.go(shown.head[moment]));
}
byId("keys-open").addEventListener("click", () => byId("keys").showModal());
skip.addEventListener("click", (event) => {
  event.preventDefault(); // the address keeps the token
  byId("judgment").focus();
});

const letters = {
  o: () => shown && player.go(shown.head.onset),
  a: () => shown && player.go(shown.head.apex),
  f: () => shown && player.go(shown.head.offset),
  y: () => form.pickVerdict("accepted"),
  n: () => form.pickVerdict("rejected"),
  "[": () => move(-1),
  "]": () => move(1),
  ...Object.fromEntries(Array.from({ length: 9 }, (_, number) => [String(number + 1), () => form.pickLabel(number)])),
};

document.addEventListener("keydown", (event) => {
  if (!review || byId("keys").open || event.isComposing) return;
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    save();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const at = event.target;
  if (at.matches("textarea, select, input:not([type=radio], [type=checkbox], [type=range])")) return;
  // Arrows belong to radio buttons and sliders, the space bar to whatever can be pressed.
  if (event.key.startsWith("Arrow") && !at.matches("input")) {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    player.step(event.shiftKey ? 10 * by : by);
  } else if (event.key === " " && !at.matches("button, input:not([type=range])")) {
    event.preventDefault();
    player.toggle();
  } else if (byId("keys-on").checked && letters[event.key.toLowerCase()] && !saving) {
    event.preventDefault();
    letters[event.key.toLowerCase()]();
  }
});

const known = sessionStorage.getItem(NAME);
if (known) {
  byId("reviewer").value = known;
  begin(known);
} else byId("reviewer").focus();
