// Curves over the clip with its event and a playhead, as SVG in a box of WIDTH x HEIGHT units.

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 1000;
const HEIGHT = 150;
const TOP = 8;
const COLORS = 8; // of the style sheet: .c0 … .c7

function element(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

export class Plot {
  /** `onSeek(frame)` is called when someone points into the plot. */
  constructor(svg, legend, title, onSeek) {
    Object.assign(this, { svg, legend, title });
    svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    const seek = (event) => {
      if (event.buttons !== 1 || !this.frames) return;
      const box = svg.getBoundingClientRect();
      onSeek(((event.clientX - box.left) / box.width) * (this.frames - 1));
    };
    svg.addEventListener("pointerdown", seek);
    svg.addEventListener("pointermove", seek);
  }

  x(frame) {
    return (WIDTH * frame) / Math.max(1, this.frames - 1);
  }

  draw(head, blind) {
    this.frames = head.bytes.length;
    const shown = [
      ...head.curves.map((curve, number) => ({
        words: curve.name ?? "what is labeled to move, as one curve",
        values: curve.values,
        style: `curve c${number % COLORS}${number % 2 ? " dashed" : ""}`,
      })),
      { words: "measured change of the picture", values: head.motion, style: "curve motion" },
    ];
    const labeled = Math.max(blind ? 1 : 2, ...head.curves.flatMap((curve) => curve.values));
    const parts = [this.band(head), this.moment(head.apex)];
    for (const line of shown) {
      const tallest = line.style.endsWith("motion") ? Math.max(1, ...line.values) : labeled;
      parts.push(this.line(line.values, tallest, line.style));
    }
    this.playhead = element("line", { class: "playhead", y1: 0, y2: HEIGHT });
    this.svg.replaceChildren(...parts, this.playhead);
    this.legend.replaceChildren(...shown.map((line) => this.entry(line)));
    this.title.textContent = blind
      ? "Motion over the clip. Shaded from onset to offset, line at the apex."
      : `AU intensity over the clip, to ${labeled.toFixed(1)} of 5. Shaded from onset to offset, line at the apex.`;
    this.show(0);
  }

  band(head) {
    const [start, end] = [this.x(head.onset), this.x(head.offset)];
    return element("rect", { class: "event", x: start, width: Math.max(1, end - start), y: 0, height: HEIGHT });
  }

  moment(frame) {
    return element("line", { class: "apex", x1: this.x(frame), x2: this.x(frame), y1: 0, y2: HEIGHT });
  }

  line(values, tallest, style) {
    const y = (value) => HEIGHT - 2 - ((HEIGHT - TOP - 2) * value) / tallest;
    const points = values.map((value, frame) => `${this.x(frame).toFixed(1)},${y(value).toFixed(1)}`);
    return element("polyline", { class: style, points: points.join(" ") });
  }

  entry(line) {
    const item = document.createElement("li");
    const key = element("svg", { class: "swatch", viewBox: "0 0 24 8", "aria-hidden": "true" });
    key.append(element("line", { class: line.style, x1: 0, x2: 24, y1: 4, y2: 4 }));
    item.append(key, line.words);
    return item;
  }

  show(frame) {
    this.playhead?.setAttribute("x1", this.x(frame));
    this.playhead?.setAttribute("x2", this.x(frame));
  }
}
