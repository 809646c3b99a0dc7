// The list of clips, its filters, and the dialog that shows one.

"use strict";

const byId = (id) => document.getElementById(id);
const STEP = matchMedia("(max-width: 34rem)").matches ? 16 : 48; // clips that are added at a time
const FILTERS = [
  ["emotion", "Emotion", (clip) => [clip.emotion]],
  ["au", "AU", (clip) => clip.aus.map(([au]) => String(au))],
  ["gender", "Apparent gender", (clip) => [clip.gender]],
  ["race", "Apparent race", (clip) => [clip.race]],
  ["age", "Age group", (clip) => [clip.age]],
];
const titleOf = (name, value) => (name === "au" ? `AU${value} ${DATA.aus[value] ?? ""}` : value);
const clips = DATA.clips.map((clip, number) => ({ ...clip, number }));
let matching = clips;
let listed = 0; // of the matching clips
let opened = 0; // place among the matching clips
let viewer; // of the dialog
const cards = new Map();

// ------------------------------------------------------------------------------------------------- the list

function card(clip) {
  const image = element("img", { alt: "", width: 320, height: 160, loading: "lazy", decoding: "async",
    src: fileOf(clip, "stills", "jpg") });
  const tallest = tallestOf(clip);
  const curves = element("svg:svg", { class: "spark", viewBox: "0 0 160 28", preserveAspectRatio: "none", "aria-hidden": "true" });
  clip.curves.filter(([au]) => au !== 45).forEach((curve, number) => curves.append(element("svg:polyline",
    { class: styleOf(curve, number), points: curvePoints(curve, clip.frames, tallest, 160, 27, 2) })));
  const badge = clip.video ? [element("span", { class: "badge" }, "video")] : [];
  const aus = clip.aus.map(([au]) => `AU${au}`).join(" + ") || "no AU";
  const button = element("button", { type: "button", class: "clip", "aria-haspopup": "dialog" },
    element("span", { class: "thumb" }, image, ...badge), curves,
    element("strong", {}, clip.emotion), element("span", { class: "aus" }, aus),
    element("span", { class: "muted" }, `${clip.gender}, ${clip.race}, `, element("span", { class: "whole" }, clip.age)));
  button.addEventListener("click", () => open(matching.indexOf(clip)));
  return element("li", {}, button);
}

function cardOf(clip) {
  if (!cards.has(clip)) cards.set(clip, card(clip));
  return cards.get(clip);
}

function list(count) {
  listed = Math.min(count, matching.length);
  byId("list").replaceChildren(...matching.slice(0, listed).map(cardOf));
  const rest = matching.length - listed;
  byId("more").hidden = byId("all").hidden = rest === 0;
  byId("more").textContent = `Show ${Math.min(STEP, rest)} more`;
  byId("all").textContent = `Show all ${matching.length.toLocaleString("en")}`;
}

/** Show up to `count` clips and go on at the first new one, so that the keyboard stays where it was. */
function extend(count) {
  const first = listed;
  list(count);
  byId("list").children[first]?.querySelector("button").focus({ preventScroll: true });
}

// ------------------------------------------------------------------------------------------------- filters

/** The clips for which every filter holds, but for the one named `except`. */
function passing(except) {
  const asked = FILTERS.map(([name, , values]) => [name, byId("filters").elements[name].value, values])
    .filter(([name, value]) => value && name !== except);
  const playing = byId("playing").checked;
  return clips.filter((clip) => (!playing || clip.video) && asked.every(([, value, values]) => values(clip).some((one) => `=${one}` === value)));
}

function countsOf(found, values) {
  const counts = new Map();
  for (const clip of found) for (const value of new Set(values(clip))) counts.set(value, (counts.get(value) ?? 0) + 1);
  return counts;
}

function select([name, title, values]) {
  const order = (one, two) => (one === "unknown") - (two === "unknown") || one.localeCompare(two, "en", { numeric: true });
  const control = element("select", { name }, element("option", { value: "" }, "all"),
    ...[...countsOf(clips, values).keys()].sort(order).map((value) => element("option", { value: `=${value}` })));
  return element("label", {}, element("span", {}, title), control);
}

/** Beside each choice of a filter: how many clips it would leave, as the other filters stand. */
function count() {
  for (const [name, , values] of FILTERS) {
    const counts = countsOf(passing(name), values);
    for (const option of [...byId("filters").elements[name].options].slice(1)) {
      const value = option.value.slice(1);
      const words = `${titleOf(name, value)} (${counts.get(value) ?? 0})`;
      if (option.textContent !== words) option.textContent = words;
    }
  }
}

function filter() {
  matching = passing();
  const number = (count) => count.toLocaleString("en");
  const all = `${number(clips.length)} ${clips.length === 1 ? "clip" : "clips"}`;
  byId("found").textContent = matching.length === clips.length ? all
    : matching.length ? `${number(matching.length)} of ${all}` : "No clip has all of that. Clear a filter.";
  count();
  list(STEP);
}

// ------------------------------------------------------------------------------------------------- the address

/** What is chosen, as the part of the address after `#`: filters, and the clip that is open. */
function address() {
  const said = new URLSearchParams();
  for (const [name] of FILTERS) {
    const { value } = byId("filters").elements[name];
    if (value) said.set(name, value.slice(1));
  }
  if (byId("playing").checked) said.set("videos", "1");
  if (byId("opened").open) said.set("clip", matching[opened].key);
  history.replaceState(null, "", location.href.split("#")[0] + (said.size ? `#${said}` : ""));
}

/** Do what the address says. That of a section is the browser's. */
function follow() {
  if (!location.hash.includes("=")) return;
  const said = new URLSearchParams(location.hash.slice(1));
  for (const [name] of FILTERS) {
    const control = byId("filters").elements[name];
    control.value = said.has(name) ? `=${said.get(name)}` : "";
    if (control.selectedIndex < 0) control.selectedIndex = 0; // no clip of this page has that
  }
  byId("playing").checked = said.has("videos");
  filter();
  if (!said.has("clip")) {
    byId("opened").close();
    return;
  }
  const place = matching.findIndex((clip) => clip.key === said.get("clip"));
  if (place >= 0) open(place);
  else {
    byId("found").textContent = `The clip of this address is not on this page. ${byId("found").textContent}`;
    byId("clips").scrollIntoView();
  }
}

// ------------------------------------------------------------------------------------------------- one clip

function open(place) {
  opened = place;
  const clip = matching[place];
  viewer ??= new Viewer(byId("opened-viewer"));
  byId("opened-title").replaceChildren(element("bdi", {}, clip.emotion), element("span", { class: "muted" },
    ` ${place + 1} of ${matching.length}`));
  byId("before").disabled = place === 0;
  byId("after").disabled = place === matching.length - 1;
  if (!byId("opened").open) {
    featured?.video.pause();
    byId("opened").showModal();
  }
  viewer.show(clip);
  address();
}

function turn(by) {
  open(opened + by);
  const button = byId(by < 0 ? "before" : "after");
  if (button.disabled) byId("opened-title").focus(); // a button that is off lets go of the focus
}

byId("before").addEventListener("click", () => turn(-1));
byId("after").addEventListener("click", () => turn(1));
byId("close").addEventListener("click", () => byId("opened").close());
byId("opened").addEventListener("click", (event) => event.target === byId("opened") && byId("opened").close());
byId("opened").addEventListener("close", () => {
  viewer.close();
  address();
  const clip = matching[opened];
  if (opened >= listed) list(opened + 1);
  cards.get(clip)?.querySelector("button").focus();
});

document.querySelector("#filters .choices").replaceChildren(...FILTERS.map(select));
byId("filters").hidden = false;
const choose = () => {
  filter();
  address();
};
byId("filters").addEventListener("change", choose);
byId("filters").addEventListener("reset", () => setTimeout(choose)); // after the controls are empty again
addEventListener("hashchange", follow);
byId("filters").addEventListener("submit", (event) => event.preventDefault());
byId("more").addEventListener("click", () => extend(listed + STEP));
byId("all").addEventListener("click", () => extend(matching.length));
const first = clips.find((clip) => clip.video) ?? clips[0];
const featured = new Viewer(byId("featured"));
filter();
featured.show(first);
follow();
