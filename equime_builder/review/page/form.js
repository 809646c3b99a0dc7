// The judgment: its questions, what was answered, and what is still missing.

const UNSURE = "unsure";
const byId = (id) => document.getElementById(id);

function option(type, name, value, words, detail) {
  const label = document.createElement("label");
  const input = document.createElement("input");
  Object.assign(input, { type, name, value, id: `${name}-${value}` });
  const text = document.createElement("span");
  text.append(words);
  if (detail) {
    const more = document.createElement("small");
    more.textContent = detail;
    text.append(" ", more);
  }
  label.append(input, text);
  return label;
}

function fill(fieldset, entries) {
  fieldset.querySelector("div").replaceChildren(...entries);
}

const chosen = (name) => document.querySelector(`input[name="${name}"]:checked`)?.value;

function choose(name, value) {
  for (const input of document.querySelectorAll(`input[name="${name}"]`)) input.checked = input.value === String(value);
}

export class JudgmentForm {
  constructor({ verdicts, labels, aus, bounds, blind }) {
    this.bounds = bounds;
    this.labels = [...labels, UNSURE];
    const said = { unsure: "cannot tell" };
    fill(byId("labels"), this.labels.map((word, number) => option("radio", "label", word, said[word] ?? word, `${number + 1}`)));
    const regions = [...new Set(aus.map((unit) => unit.region))].map((region) => {
      const group = document.createElement("div");
      group.setAttribute("role", "group");
      group.setAttribute("aria-label", region);
      group.append(...aus.filter((unit) => unit.region === region).map((unit) => option("checkbox", "au", unit.au, `${unit.au}`, unit.name)));
      return group;
    });
    fill(byId("aus"), regions);
    const keys = { accepted: "Y", rejected: "N" };
    const words = { accepted: "Accept", rejected: "Reject" };
    fill(byId("verdicts"), verdicts.map((verdict) => option("radio", "verdict", verdict, words[verdict], keys[verdict])));
    byId("verdict-question").textContent = blind
      ? "Is it a believable micro-expression?"
      : "Does it show its label, as a believable micro-expression?";
    const [least, most] = bounds.confidence;
    const steps = Array.from({ length: most - least + 1 }, (_, number) => least + number);
    fill(byId("confidence"), steps.map((step) => option("radio", "confidence", step, `${step}`)));
    this.notes = byId("notes");
    this.notes.maxLength = bounds.notes;
    this.notes.addEventListener("input", () => this.count());
  }

  count() {
    const left = this.bounds.notes - this.notes.value.length;
    byId("notes-left").textContent = left < 500 ? `${left} characters left` : "";
  }

  /** Show an answer, or empty the form. */
  show(answer) {
    choose("label", answer ? (answer.label ?? UNSURE) : undefined);
    choose("verdict", answer?.verdict);
    choose("confidence", answer?.confidence);
    for (const input of document.querySelectorAll('input[name="au"]')) {
      input.checked = answer?.aus.includes(Number(input.value)) ?? false;
    }
    this.notes.value = answer?.notes ?? "";
    this.count();
  }

  /** What is answered so far. */
  read() {
    const label = chosen("label");
    const seen = [...document.querySelectorAll('input[name="au"]:checked')].map((input) => Number(input.value));
    return {
      verdict: chosen("verdict"),
      label: label === UNSURE ? null : label,
      aus: seen.sort((first, second) => first - second),
      confidence: Number(chosen("confidence")) || undefined,
      notes: this.notes.value,
    };
  }

  get empty() {
    const { verdict, label, aus, confidence, notes } = this.read();
    return verdict === undefined && label === undefined && confidence === undefined && !aus.length && !notes;
  }

  /** The first question without an answer: its words and the control to go to; nothing where all are answered. */
  missing() {
    const needed = [["label", "the emotion"], ["verdict", "accept or reject"], ["confidence", "how sure you are"]];
    const open = needed.find(([name]) => chosen(name) === undefined);
    return open && { words: `Please say ${open[1]}.`, control: document.querySelector(`input[name="${open[0]}"]`) };
  }

  lock(locked) {
    byId("answers").disabled = locked;
    byId("save").disabled = locked;
  }

  pickLabel(number) {
    if (number < this.labels.length) choose("label", this.labels[number]);
  }

  pickVerdict(verdict) {
    choose("verdict", verdict);
  }
}
