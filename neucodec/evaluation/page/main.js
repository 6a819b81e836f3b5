"use strict";
// The page: which recording, which mode, and the keyboard.

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const player = new Player();
const hear = (index) => {
  player.choose(index);
  if (mode === "listen") markVersion();
};
const abx = new Abx(hear);
const blind = new Blind(data.recordings, hear);
const figures = new Figures(data);
let mode = "listen";
let shown = -1; // the recording that is open
let pictured = -1; // the version whose spectrogram is shown

function bytesOf(id) {
  const text = atob(byId(id).textContent.trim());
  return Uint8Array.from(text, (c) => c.charCodeAt(0)).buffer;
}

async function openRecording(index) {
  const recording = data.recordings[index];
  byId("clip").value = index;
  byId("status").textContent = "opening…";
  const versions = recording.versions.map((v) => ({ bytes: bytesOf(v.audio), gain: v.gain }));
  if (!(await player.load(versions))) return;
  shown = index;
  pictured = -1;
  byId("status").textContent = "";
  byId("versions").replaceChildren(...recording.versions.map((version, i) => {
    const button = document.createElement("button");
    button.innerHTML = `<kbd></kbd> <span></span><small></small>`;
    button.children[0].textContent = i < 9 ? i + 1 : "";
    button.children[1].textContent = version.label;
    button.children[2].textContent = version.says;
    button.hidden = version.role === "anchor";
    button.onclick = () => hear(i);
    return button;
  }));
  openMode();
}

/** Set the current mode up for the recording that is open. */
function openMode() {
  for (const section of document.querySelectorAll(".mode")) {
    section.classList.toggle("shown", section.id === mode);
  }
  for (const tab of document.querySelectorAll("[data-mode]")) {
    tab.setAttribute("aria-selected", tab.dataset.mode === mode);
  }
  byId("transport").hidden = mode === "figures";
  if (mode === "figures") {
    player.pause();
    figures.draw();
  }
  if (shown < 0) return;
  if (mode === "listen") hear(0);
  if (mode === "abx") abx.open(data.recordings[shown]);
  if (mode === "blind") blind.open(shown);
}

function markVersion() {
  [...byId("versions").children].forEach((button, i) => {
    button.setAttribute("aria-pressed", i === player.heard);
  });
  // Beside the reference stands the version that was heard last.
  const other = player.heard || Math.max(pictured, 1);
  if (other === pictured || other >= player.versions.length) return;
  const top = Math.min(22050, data.recordings[shown].samplerate / 2);
  if (pictured < 0) drawSpectrogram(byId("spectrum-reference"), player.versions[0].buffer, top);
  drawSpectrogram(byId("spectrum-version"), player.versions[other].buffer, top);
  byId("spectrum-title").textContent = data.recordings[shown].versions[other].label;
  pictured = other;
}

function step(by) {
  const count = data.recordings.length;
  openRecording((shown + by + count) % count);
}

function refresh() {
  requestAnimationFrame(refresh);
  if (!player.versions.length) return;
  const { position, duration, region } = player;
  byId("play").textContent = player.playing ? "Pause" : "Play";
  byId("play").setAttribute("aria-pressed", player.playing);
  byId("time").textContent = `${position.toFixed(1)} / ${duration.toFixed(1)} s`;
  if (document.activeElement !== byId("seek") || player.playing) {
    byId("seek").value = (1000 * position) / duration;
  }
  byId("region").style.left = `${(100 * region[0]) / duration}%`;
  byId("region").style.right = `${100 - (100 * region[1]) / duration}%`;
  for (const cursor of document.querySelectorAll(".cursor")) {
    cursor.style.left = `${(100 * position) / duration}%`;
  }
}

const EVERYWHERE = {
  " ": () => player.toggle(),
  ArrowLeft: () => player.seek(player.position - 1),
  ArrowRight: () => player.seek(player.position + 1),
  "[": () => player.repeat(player.position, player.region[1]),
  "]": () => player.repeat(player.region[0], player.position),
  "\\": () => player.repeat(0, player.duration),
  n: () => step(1),
  p: () => step(-1),
};
const IN_MODE = {
  listen: { r: () => hear(0) },
  abx: {
    a: () => abx.choose("a"), b: () => abx.choose("b"), x: () => abx.choose("x"),
    A: () => abx.answer("a"), B: () => abx.answer("b"),
  },
  blind: {
    r: () => blind.choose(-1),
    ArrowUp: (event) => blind.nudge(event.shiftKey ? 10 : 1),
    ArrowDown: (event) => blind.nudge(event.shiftKey ? -10 : -1),
  },
  figures: {},
};

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "SELECT") return;
  if (mode === "figures" || shown < 0) return;
  const number = /^[1-9]$/.test(event.key) ? Number(event.key) - 1 : -1;
  let action = IN_MODE[mode][event.key] ?? EVERYWHERE[event.key];
  if (number >= 0 && mode === "listen" && number < byId("versions").children.length) {
    action = () => hear(number);
  }
  if (number >= 0 && mode === "blind") action = () => blind.choose(number);
  if (!action) return;
  event.preventDefault();
  action(event);
}

data.recordings.forEach((recording, i) => byId("clip").add(new Option(recording.name, i)));
byId("clip").onchange = () => openRecording(Number(byId("clip").value));
byId("play").onclick = () => player.toggle();
byId("seek").oninput = () => player.seek((byId("seek").value / 1000) * player.duration);
byId("blind-next").onclick = () => step(1);
byId("blind-previous").onclick = () => step(-1);
for (const tab of document.querySelectorAll("[data-mode]")) {
  tab.onclick = () => {
    mode = tab.dataset.mode;
    openMode();
  };
}
addEventListener("keydown", onKey);
if (data.recordings.length) openRecording(0);
else {
  mode = "figures";
  for (const tab of document.querySelectorAll("[data-mode]")) tab.hidden = tab.dataset.mode !== mode;
}
openMode();
refresh();
