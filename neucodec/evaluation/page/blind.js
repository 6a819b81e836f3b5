"use strict";
// Listening tests: A/B/X, and ratings of hidden versions.

/** A whole number from 0 to count - 1, each as likely as the others. */
function draw(count) {
  const limit = Math.floor(2 ** 32 / count) * count;
  const number = new Uint32Array(1);
  do crypto.getRandomValues(number); while (number[0] >= limit);
  return number[0] % count;
}

function shuffled(items) {
  const mixed = [...items];
  for (let i = mixed.length - 1; i > 0; i--) {
    const j = draw(i + 1);
    [mixed[i], mixed[j]] = [mixed[j], mixed[i]];
  }
  return mixed;
}

function download(name, rows) {
  const quoted = (cell) => (/[",\n]/.test(cell) ? `"${String(cell).replaceAll('"', '""')}"` : cell);
  const text = rows.map((row) => row.map(quoted).join(",") + "\n").join("");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/** Probability of at least `right` correct of `total` answers by guessing. */
function guessing(right, total) {
  let probability = 0;
  let ways = 1; // of choosing k of total
  for (let k = 0; k <= total; k++) {
    if (k >= right) probability += ways / 2 ** total;
    ways = (ways * (total - k)) / (k + 1);
  }
  return Math.min(1, probability);
}

class Abx {
  constructor(hear) {
    this.hear = hear; // takes a place in the recording's versions; 0 is the reference
    this.answers = [];
    this.version = document.getElementById("abx-version");
    this.version.onchange = () => this.again();
    for (const button of document.querySelectorAll("[data-abx]")) {
      button.onclick = () => this.choose(button.dataset.abx);
    }
    for (const button of document.querySelectorAll("[data-answer]")) {
      button.onclick = () => this.answer(button.dataset.answer);
    }
    document.getElementById("abx-download").onclick = () => download("abx.csv", [
      ["recording", "version", "x", "answer", "correct"],
      ...this.answers.map((a) => [a.recording, a.version, a.x, a.answer, Number(a.right)]),
    ]);
  }

  /** Begin with the versions of a recording. */
  open(recording) {
    this.recording = recording;
    const chosen = this.version.selectedIndex;
    this.version.replaceChildren();
    recording.versions.slice(1).forEach((version, i) => {
      if (version.role !== "anchor") this.version.add(new Option(version.label, i + 1));
    });
    this.version.selectedIndex = Math.min(Math.max(chosen, 0), this.version.length - 1);
    this.again();
  }

  again() {
    this.x = draw(2) ? "b" : "a";
    this.choose("a");
  }

  choose(letter) {
    for (const button of document.querySelectorAll("[data-abx]")) {
      button.setAttribute("aria-pressed", button.dataset.abx === letter);
    }
    const real = letter === "x" ? this.x : letter;
    this.hear(real === "a" ? 0 : Number(this.version.value));
  }

  answer(letter) {
    const version = this.recording.versions[Number(this.version.value)];
    this.answers.push({
      recording: this.recording.name, version: version.label, x: this.x, answer: letter,
      right: letter === this.x,
    });
    const own = this.answers.filter((a) => a.version === version.label);
    const right = own.filter((a) => a.right).length;
    document.getElementById("abx-score").textContent =
      `${version.label}: ${right} of ${own.length} right; as many by guessing alone in ` +
      `${(100 * guessing(right, own.length)).toFixed(1)} % of such tests.`;
    document.getElementById("abx-download").disabled = false;
    this.again();
  }
}

class Blind {
  constructor(recordings, hear) {
    this.recordings = recordings;
    this.hear = hear;
    this.sessions = recordings.map((recording) => ({
      order: shuffled(recording.versions.map((_, i) => i)), // the reference is among them
      ratings: new Map(), // by place in the order
    }));
    this.saved = true;
    document.getElementById("blind-reference").onclick = () => this.choose(-1);
    document.getElementById("blind-download").onclick = () => {
      download("ratings.csv", this.rows());
      this.saved = true;
    };
    document.getElementById("blind-reveal").onclick = () => this.reveal();
    addEventListener("beforeunload", (event) => {
      if (!this.saved) event.preventDefault();
    });
  }

  open(index) {
    this.index = index;
    const { order, ratings } = this.sessions[index];
    document.getElementById("sliders").replaceChildren(...order.map((_, place) => {
      const row = document.createElement("div");
      row.className = "rating unrated";
      row.innerHTML = `<button><kbd>${place + 1}</kbd> ${String.fromCharCode(65 + place)}</button>` +
        `<input type="range" min="0" max="100" value="50"><output>not yet</output>`;
      const [button, slider, output] = row.children;
      slider.setAttribute("aria-label", `Rating of ${String.fromCharCode(65 + place)}`);
      button.onclick = () => this.choose(place);
      slider.oninput = () => this.rate(place, Number(slider.value));
      if (ratings.has(place)) {
        slider.value = output.textContent = ratings.get(place);
        row.classList.remove("unrated");
      }
      return row;
    }));
    this.choose(-1);
    this.report();
  }

  /** Hear a place in the order, or the reference (-1). */
  choose(place) {
    const { order } = this.sessions[this.index];
    if (place >= order.length) return;
    this.place = place;
    document.getElementById("blind-reference").setAttribute("aria-pressed", place === -1);
    [...document.getElementById("sliders").children].forEach((row, i) => {
      row.firstElementChild.setAttribute("aria-pressed", i === place);
    });
    this.hear(place === -1 ? 0 : order[place]);
  }

  rate(place, value) {
    const row = document.getElementById("sliders").children[place];
    const rating = Math.min(100, Math.max(0, value));
    const [, slider, output] = row.children;
    slider.value = output.textContent = rating;
    row.classList.remove("unrated");
    this.sessions[this.index].ratings.set(place, rating);
    this.saved = false;
    this.report();
  }

  /** Rate what is heard up or down. */
  nudge(by) {
    if (this.place < 0) return;
    const { ratings } = this.sessions[this.index];
    this.rate(this.place, (ratings.get(this.place) ?? 50) + by);
  }

  report() {
    const rated = this.sessions.reduce((sum, session) => sum + session.ratings.size, 0);
    const all = this.sessions.reduce((sum, session) => sum + session.order.length, 0);
    document.getElementById("blind-progress").textContent = `${rated} of ${all} rated.`;
    document.getElementById("blind-download").disabled = !rated;
    document.getElementById("blind-reveal").disabled = !rated;
  }

  /** What was rated, as rows of a table. */
  rows() {
    const rows = [["recording", "version", "role", "kbps", "presented_as", "rating"]];
    this.sessions.forEach(({ order, ratings }, i) => {
      for (const [place, rating] of [...ratings].sort((a, b) => a[0] - b[0])) {
        const version = this.recordings[i].versions[order[place]];
        rows.push([
          this.recordings[i].name, version.label, version.role, version.kbps?.toFixed(3) ?? "",
          String.fromCharCode(65 + place), rating,
        ]);
      }
    });
    return rows;
  }

  reveal() {
    const groups = new Map();
    for (const [, label, , , , rating] of this.rows().slice(1)) {
      groups.set(label, [...(groups.get(label) ?? []), rating]);
    }
    const mean = (list) => list.reduce((a, b) => a + b, 0) / list.length;
    const rows = [...groups].map(([label, list]) => [label, mean(list).toFixed(1), list.length]);
    rows.sort((a, b) => b[1] - a[1]);
    document.getElementById("blind-results")
      .replaceChildren(tableOf([["version", "mean rating", "ratings"], ...rows]));
  }
}
