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
    element("span", { class: "muted" }, [clip.gender, clip.race, clip.age].join(", ")));
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

function optionsOf(values) {
  const counts = new Map();
  for (const clip of clips) for (const value of new Set(values(clip))) counts.set(value, (counts.get(value) ?? 0) + 1);
  const order = ([one], [two]) => (one === "unknown") - (two === "unknown") || one.localeCompare(two, "en", { numeric: true });
  return [...counts].sort(order);
}

function select([name, title, values]) {
  const control = element("select", { name }, element("option", { value: "" }, "all"));
  for (const [value, count] of optionsOf(values)) {
    const words = name === "au" ? `AU${value} ${DATA.aus[value] ?? ""}` : value;
    control.append(element("option", { value: `=${value}` }, `${words} (${count})`));
  }
  return element("label", {}, element("span", {}, title), control);
}

function filter() {
  const asked = FILTERS.map(([name, , values]) => [byId("filters").elements[name].value, values]).filter(([value]) => value);
  const playing = byId("playing").checked;
  matching = clips.filter((clip) => (!playing || clip.video) && asked.every(([value, values]) => values(clip).some((one) => `=${one}` === value)));
  const number = (count) => count.toLocaleString("en");
  byId("found").textContent = matching.length === clips.length ? `${number(clips.length)} clips`
    : matching.length ? `${number(matching.length)} of ${number(clips.length)} clips` : "No clip has all of that. Clear a filter.";
  list(STEP);
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
  const clip = matching[opened];
  if (opened >= listed) list(opened + 1);
  cards.get(clip)?.querySelector("button").focus();
});

document.querySelector("#filters .choices").replaceChildren(...FILTERS.map(select));
byId("filters").hidden = false;
byId("filters").addEventListener("change", filter);
byId("filters").addEventListener("reset", () => setTimeout(filter)); // after the controls are empty again
byId("filters").addEventListener("submit", (event) => event.preventDefault());
byId("more").addEventListener("click", () => extend(listed + STEP));
byId("all").addEventListener("click", () => extend(matching.length));
const first = clips.find((clip) => clip.video) ?? clips[0];
const featured = new Viewer(byId("featured"));
filter();
featured.show(first);
