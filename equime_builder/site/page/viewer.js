// A clip on the page: its video slowed down, or two stills, beside the curves of its AUs, with one cursor for both.

"use strict";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 1000;
const HEIGHT = 200;
const TOP = 10;
const SCALE = 100; // curves are hundredths of an intensity
const CLOSE = 0.08 * WIDTH; // where the words of two moments would touch
const COLORS = 8; // of the style sheet: .c0 … .c7
const MOMENTS = ["onset", "apex", "offset"];
const STILL = matchMedia("(prefers-reduced-motion: reduce)");

function element(name, attributes = {}, ...children) {
  const made = name.startsWith("svg:") ? document.createElementNS(SVG, name.slice(4)) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** Address of a clip on this page, as a part of its own address. */
const linkOf = (clip) => `#clip=${encodeURIComponent(clip.key)}`;

const fileOf = (clip, folder, suffix) => `${folder}/${String(clip.number).padStart(4, "0")}.${suffix}`;

/** Words of an AU of a clip: number, name, side, peak. */
function auWords([au, side, peak]) {
  const where = side === "left" || side === "right" ? `, ${side} only` : "";
  const height = peak === null ? "" : `, peak ${peak.toFixed(1)}`;
  return `AU${au} ${DATA.aus[au] ?? ""}${where}${height}`;
}

/** Points of a curve in a box of `width` x `height`, from and to the baseline. */
function curvePoints([, first, values], frames, tallest, width, height, top) {
  const x = (frame) => ((width * frame) / Math.max(1, frames - 1)).toFixed(1);
  const y = (value) => (height - ((height - top) * value) / (SCALE * tallest)).toFixed(1);
  const points = values.map((value, at) => `${x(first + at)},${y(value)}`);
  const before = first > 0 ? [`${x(0)},${y(0)}`, `${x(first - 1)},${y(0)}`] : [];
  const end = first + values.length;
  const after = end < frames ? [`${x(end)},${y(0)}`, `${x(frames - 1)},${y(0)}`] : [];
  return [...before, ...points, ...after].join(" ");
}

const tallestOf = (clip) => Math.max(1, Math.ceil(Math.max(0, ...clip.curves.filter(([au]) => au !== 45 || clip.curves.length === 1)
  .map(([, , values]) => Math.max(...values))) / SCALE));

class Viewer {
  constructor(place) {
    this.node = document.getElementById("viewer").content.cloneNode(true).firstElementChild;
    place.replaceChildren(this.node);
    const find = (selector) => this.node.querySelector(selector);
    Object.assign(this, { video: find("video"), pair: find(".pair"), svg: find(".plot svg"), range: find("input[type=range]"),
      button: find(".play"), speed: find(".speed"), where: find(".where"), phase: find(".phase") });
    this.button.addEventListener("click", () => (this.video.paused ? this.play() : this.video.pause()));
    this.speed.addEventListener("change", () => this.pace());
    this.range.addEventListener("input", () => this.seek(Number(this.range.value)));
    for (const button of this.node.querySelectorAll("[data-moment]")) {
      button.addEventListener("click", () => this.seek(this.clip.event[Number(button.dataset.moment)]));
    }
    const point = (event) => {
      if (event.buttons !== 1 || !this.clip.video) return;
      const box = this.svg.getBoundingClientRect();
      this.seek(Math.round(((event.clientX - box.left) / box.width) * (this.clip.frames - 1)));
    };
    this.svg.addEventListener("pointerdown", point);
    this.svg.addEventListener("pointermove", point);
    STILL.addEventListener("change", () => STILL.matches && this.video.pause());
    this.video.addEventListener("play", () => {
      this.button.textContent = "Pause";
      this.follow();
    });
    this.video.addEventListener("pause", () => (this.button.textContent = "Play"));
    this.video.addEventListener("loadedmetadata", () => this.pace());
    this.video.addEventListener("seeked", () => this.video.paused || this.tell());
  }

  show(clip) {
    this.clip = clip;
    const plays = clip.video > 0;
    this.video.pause();
    this.node.querySelector(".controls").hidden = this.video.hidden = this.phase.hidden = !plays;
    this.pair.hidden = this.node.querySelector(".still-only").hidden = plays;
    this.range.max = clip.frames - 1;
    this.node.querySelector(".what").textContent = clip.caption;
    this.draw();
    this.label();
    if (plays) {
      this.video.setAttribute("aria-label", `Video: ${clip.caption}`);
      this.video.src = fileOf(clip, "videos", "mp4");
      this.frame(0);
      if (!STILL.matches) this.play();
    } else {
      this.video.removeAttribute("src");
      const image = this.pair.querySelector("img");
      image.src = fileOf(clip, "stills", "jpg");
      image.alt = `The face at the onset and at the apex. ${clip.caption}`;
      this.frame(clip.event[1]);
    }
  }

  close() {
    this.video.pause();
    this.video.removeAttribute("src");
    this.video.load();
  }

  pace() {
    this.video.playbackRate = this.video.defaultPlaybackRate = Number(this.speed.value);
  }

  play() {
    this.pace();
    this.video.play().catch(() => {}); // a browser that does not want to begin shows the first frame
  }

  follow() {
    cancelAnimationFrame(this.timer);
    const tick = () => {
      if (this.video.paused) return;
      this.tell();
      this.timer = requestAnimationFrame(tick);
    };
    this.timer = requestAnimationFrame(tick);
  }

  tell() {
    this.frame(Math.min(this.clip.frames - 1, Math.floor(this.video.currentTime * this.clip.fps + 1e-3)));
  }

  seek(frame) {
    this.video.pause();
    this.video.currentTime = (frame + 0.5) / this.clip.fps; // the middle of a frame is that frame on every machine
    this.frame(frame);
  }

  /** Say and mark where the clip is. */
  frame(frame) {
    const { event, fps, frames } = this.clip;
    const at = event.indexOf(frame);
    const [onset, apex, offset] = event;
    const phase = frame < onset || frame > offset ? "neutral" : at >= 0 ? MOMENTS[at] : frame < apex ? "rising" : "falling";
    const x = (WIDTH * frame) / Math.max(1, frames - 1);
    this.cursor.setAttribute("x1", x);
    this.cursor.setAttribute("x2", x);
    this.range.value = frame;
    this.phase.textContent = phase;
    this.phase.classList.toggle("acting", phase !== "neutral");
    this.where.textContent = `frame ${frame + 1} of ${frames}, ${Math.round((1000 * frame) / fps)} ms`;
    this.range.setAttribute("aria-valuetext", `${this.where.textContent}, ${phase}`);
  }

  draw() {
    const { clip } = this;
    const { frames, event, curves, fps } = clip;
    const x = (frame) => (WIDTH * frame) / Math.max(1, frames - 1);
    const tallest = tallestOf(clip);
    this.svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    const parts = [element("svg:rect", { class: "event", x: x(event[0]), width: Math.max(1, x(event[2]) - x(event[0])), y: 0, height: HEIGHT })];
    const levels = Array.from({ length: tallest + 1 }, (_, level) => level);
    const y = (level) => HEIGHT - ((HEIGHT - TOP) * level) / tallest;
    for (const level of levels) parts.push(element("svg:line", { class: "grid", x1: 0, x2: WIDTH, y1: y(level), y2: y(level) }));
    for (const frame of event) parts.push(element("svg:line", { class: "moment", x1: x(frame), x2: x(frame), y1: 0, y2: HEIGHT }));
    const drawn = curves.filter(([, , values]) => Math.max(...values) <= SCALE * tallest);
    drawn.forEach((curve, number) => parts.push(element("svg:polyline", { class: styleOf(curve, number),
      points: curvePoints(curve, frames, tallest, WIDTH, HEIGHT, TOP) })));
    this.cursor = element("svg:line", { class: "cursor", y1: 0, y2: HEIGHT });
    this.svg.replaceChildren(...parts, this.cursor);
    this.svg.setAttribute("aria-label", `AU intensity over ${Math.round((1000 * frames) / fps)} ms: ${clip.aus.map(auWords).join("; ")}`);
    this.node.querySelector(".scale").replaceChildren(...levels.map((level) => {
      const mark = element("span", {}, String(level));
      mark.style.top = `${(100 * y(level)) / HEIGHT}%`;
      return mark;
    }));
    this.node.querySelector(".moments").replaceChildren(...MOMENTS.map((name, number) => {
      const mark = element("span", {}, name);
      mark.style.left = `${(100 * x(event[number])) / WIDTH}%`;
      if (number === 1) mark.className = x(event[2] - event[1]) > CLOSE ? "" : x(event[1] - event[0]) > 2 * CLOSE ? "before" : "hidden";
      return mark;
    }));
    this.node.querySelector(".legend").replaceChildren(...drawn.map((curve, number) => {
      const key = element("svg:svg", { class: "swatch", viewBox: "0 0 24 8", "aria-hidden": "true" },
        element("svg:line", { class: styleOf(curve, number), x1: 0, x2: 24, y1: 4, y2: 4 }));
      const acting = clip.aus.find(([au]) => au === curve[0]);
      return element("li", {}, key, acting ? auWords(acting) : `AU${curve[0]} ${DATA.aus[curve[0]]}`);
    }));
  }

  label() {
    const { clip } = this;
    const [onset, apex, offset] = clip.event;
    const ms = (frames) => `${Math.round((1000 * frames) / clip.fps)} ms`;
    const rows = [
      ["intended emotion", clip.emotion],
      ["by the AUs alone", clip.derived],
      ["event", `${ms(offset - onset)}, apex after ${ms(apex - onset)}`],
      ["apparent", [clip.gender, clip.race, clip.age].join(", ")],
      ["split", clip.split],
      ["changed AU", clip.intervention],
      ["audit", clip.audit],
      ["experts", clip.review],
      ["video", clip.video ? `${Math.round(clip.video / 1000)} kB, ${clip.fps} fps` : ""],
    ].filter(([, words]) => words).map(([name, words]) => [name, element("bdi", {}, words)]);
    rows.push(["link to this clip", element("a", { href: linkOf(clip) }, element("bdi", {}, clip.key))]);
    this.node.querySelector(".labels").replaceChildren(...rows.map(([name, words]) =>
      element("div", {}, element("dt", {}, name), element("dd", {}, words))));
  }
}

const styleOf = ([au], number) => (au === 45 ? "curve blink" : `curve c${number % COLORS}${number % 2 ? " dashed" : ""}`);
