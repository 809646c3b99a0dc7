// The clip in slow motion, frame by frame: pictures are decoded, so that a step is one frame and nothing else.

const AMPLIFIED_AROUND = 128;

export class Player {
  /** `onFrame(frame)` and `onState(playing)` are called whenever they change. */
  constructor(canvas, { onFrame, onState }) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.onFrame = onFrame;
    this.onState = onState;
    this.speed = 0.25;
    this.loop = "clip";
    this.clear();
  }

  clear() {
    this.pause();
    this.pictures = [];
    this.frame = 0;
    this.context.clearRect(0, 0, this.canvas.width, this.canvas.height);
  }

  load({ head, pictures }) {
    this.clear();
    this.head = head;
    this.pictures = pictures;
    this.canvas.width = pictures[0].width;
    this.canvas.height = pictures[0].height;
    this.seek(0);
  }

  get playing() {
    return this.timer !== undefined;
  }

  /** First and last frame that are played. */
  get range() {
    return this.loop === "event" ? [this.head.onset, this.head.offset] : [0, this.pictures.length - 1];
  }

  seek(frame) {
    if (!this.pictures.length) return;
    this.frame = Math.max(0, Math.min(this.pictures.length - 1, Math.round(frame)));
    this.context.drawImage(this.pictures[this.frame], 0, 0);
    this.onFrame(this.frame);
  }

  step(frames) {
    this.pause();
    this.seek(this.frame + frames);
  }

  go(frame) {
    this.pause();
    this.seek(frame);
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  play() {
    if (this.playing || !this.pictures.length) return;
    const [first, last] = this.range;
    if (this.frame < first || this.frame >= last) this.seek(first);
    let before = performance.now();
    let place = this.frame;
    const tick = (now) => {
      const [start, end] = this.range;
      place += (Math.max(0, now - before) / 1000) * this.head.fps * this.speed;
      before = now;
      if (place >= end + 1) {
        if (this.loop === "once") {
          this.seek(end);
          this.pause();
          return;
        }
        place = start;
      }
      const shown = Math.min(end, Math.max(start, Math.floor(place)));
      if (shown !== this.frame) this.seek(shown);
      this.timer = requestAnimationFrame(tick);
    };
    this.timer = requestAnimationFrame(tick);
    this.onState(true);
  }

  pause() {
    if (this.timer !== undefined) cancelAnimationFrame(this.timer);
    this.timer = undefined;
    this.onState?.(false);
  }
}

export function draw(canvas, picture) {
  canvas.width = picture.width;
  canvas.height = picture.height;
  canvas.getContext("2d").drawImage(picture, 0, 0);
}

/** Brightness of `picture` minus that of `neutral`, `gain` times, around mid gray. */
export function drawChange(canvas, picture, neutral, gain) {
  const { width, height } = picture;
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const pixels = (source) => {
    context.drawImage(source, 0, 0);
    return context.getImageData(0, 0, width, height);
  };
  const before = pixels(neutral).data;
  const change = pixels(picture);
  const now = change.data;
  for (let at = 0; at < now.length; at += 4) {
    // Luma of BT.601, as in the video.
    const difference =
      0.299 * (now[at] - before[at]) + 0.587 * (now[at + 1] - before[at + 1]) + 0.114 * (now[at + 2] - before[at + 2]);
    now[at] = now[at + 1] = now[at + 2] = AMPLIFIED_AROUND + gain * difference; // the array clamps to 0..255
  }
  context.putImageData(change, 0, 0);
}
