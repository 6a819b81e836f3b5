// Lists files, plays the one that is chosen, and draws how its bits are spent.
"use strict";
const find = (id) => document.getElementById(id);
const data = JSON.parse(find("data").textContent);
const bytesOf = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
const worker = new Worker(
  URL.createObjectURL(new Blob([find("worker").textContent], { type: "text/javascript" })));
const AHEAD = 3; // seconds that are decoded before they are heard
const waiting = new Map();
const opened = [];
let asked = 0, chosen = null, context = null, playing = null;

worker.onmessage = ({ data: answer }) => {
  const { resolve, reject } = waiting.get(answer.id);
  waiting.delete(answer.id);
  if (answer.error) reject(new Error(answer.error));
  else resolve(answer.result);
};

function ask(message) {
  return new Promise((resolve, reject) => {
    waiting.set(++asked, { resolve, reject });
    worker.postMessage({ ...message, id: asked });
  });
}

function say(text) {
  find("say").textContent = text;
}

function clock(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

async function add(name, bytes) {
  const number = opened.length;
  const item = document.createElement("li");
  const button = document.createElement("button");
  button.type = "button";
  item.append(button);
  find("files").append(item);
  try {
    const info = await ask({ what: "open", number, bytes });
    const lost = info.sizes.filter((size) => !size).length;
    opened.push({ number, name, info, button, length: info.samples / info.rate });
    button.textContent = `${name}, ${clock(info.samples / info.rate)}` +
      (lost ? `, ${lost} damaged chunks` : "") + (info.complete ? "" : ", its end is missing");
    button.onclick = () => choose(number);
    if (!chosen) choose(number);
  } catch (error) {
    opened.push(null);
    button.disabled = true;
    button.textContent = `${name}: ${error.message}`;
  }
}

function choose(number) {
  stop();
  chosen = opened[number];
  for (const file of opened) if (file) file.button.setAttribute("aria-current", file === chosen);
  find("player").hidden = false;
  find("name").textContent = chosen.name;
  find("seek").max = chosen.length;
  find("seek").value = 0;
  const { info } = chosen;
  const bits = 8 * info.sizes.reduce((sum, size) => sum + size, 0);
  const facts = [
    ["Codec", info.codec], ["Rate", `${info.rate} Hz, ${info.channels} channels`],
    ["Bitrate", `${(bits / Math.max(chosen.length, 1e-9) / 1000).toFixed(2)} kbps`],
    ["Encoder", info.encoder], ...info.tags.map((tag) => tag.split(/=(.*)/s).slice(0, 2)),
  ];
  find("facts").replaceChildren(...facts.flatMap(([term, text]) => {
    const [dt, dd] = [document.createElement("dt"), document.createElement("dd")];
    dt.textContent = term;
    dd.textContent = text;
    return [dt, dd];
  }));
  draw();
  show(0);
}

function draw() {
  const canvas = find("rate"), pen = canvas.getContext("2d"), { sizes } = chosen.info;
  const style = getComputedStyle(document.documentElement);
  const most = Math.max(1, ...sizes), width = canvas.width / Math.max(1, sizes.length);
  pen.clearRect(0, 0, canvas.width, canvas.height);
  sizes.forEach((size, k) => {
    pen.fillStyle = style.getPropertyValue(size ? "--mark" : "--bad");
    const height = size ? (size / most) * canvas.height : canvas.height;
    pen.fillRect(k * width, canvas.height - height, Math.max(1, width - 1), height);
  });
}

function show(seconds) {
  find("time").textContent = `${clock(seconds)} of ${clock(chosen.length)}`;
}

function stop() {
  if (!playing) return;
  for (const source of playing.sources) source.stop();
  playing = null;
  find("play").textContent = "Play";
}

function position() {
  if (!playing || playing.began === null) return Number(find("seek").value);
  return Math.min(chosen.length, playing.from + Math.max(0, context.currentTime - playing.began));
}

// Plays from a moment on: decodes a second at a time, some seconds ahead.
async function play(from) {
  stop();
  context ??= new AudioContext();
  await context.resume();
  const file = chosen, { info } = file;
  const own = (playing = { from, began: null, sources: new Set() });
  find("play").textContent = "Pause";
  let at = Math.round(from * info.rate);
  while (playing === own && at < info.samples) {
    const channels = await ask({
      what: "read", number: file.number, from: at, count: Math.min(info.rate, info.samples - at) });
    if (playing !== own || !channels[0].length) break;
    own.began ??= context.currentTime + 0.05;
    const buffer = context.createBuffer(channels.length, channels[0].length, info.rate);
    channels.forEach((samples, c) => buffer.copyToChannel(samples, c));
    const source = context.createBufferSource();
    source.buffer = buffer;
    source.connect(context.destination);
    source.start(own.began + at / info.rate - from);
    own.sources.add(source);
    source.onended = () => own.sources.delete(source);
    document.dispatchEvent(new CustomEvent("heard", { detail: { at, channels } }));
    at += channels[0].length;
    while (playing === own && at / info.rate - position() > AHEAD)
      await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function wav(channels, rate) {
  const count = channels[0].length, size = 2 * count * channels.length;
  const view = new DataView(new ArrayBuffer(44 + size));
  const write = (at, word) => [...word].forEach((c, k) => view.setUint8(at + k, c.charCodeAt(0)));
  write(0, "RIFF");
  view.setUint32(4, 36 + size, true);
  write(8, "WAVEfmt ");
  [[16, 16, 4], [20, 1, 2], [22, channels.length, 2], [24, rate, 4],
    [28, 2 * rate * channels.length, 4], [32, 2 * channels.length, 2], [34, 16, 2],
  ].forEach(([at, value, bytes]) =>
    bytes === 4 ? view.setUint32(at, value, true) : view.setUint16(at, value, true));
  write(36, "data");
  view.setUint32(40, size, true);
  for (let k = 0, at = 44; k < count; k++)
    for (const channel of channels) {
      const value = Math.max(-32768, Math.min(32767, Math.round(channel[k] * 32768)));
      view.setInt16(at, value, true);
      at += 2;
    }
  return new Blob([view], { type: "audio/wav" });
}

async function save() {
  stop();
  const { number, name, info } = chosen;
  say(`${name} is being decoded.`);
  const channels = await ask({ what: "read", number, from: 0, count: info.samples });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(wav(channels, info.rate));
  link.download = name.replace(/\.ncf$/i, "") + ".wav";
  link.click();
  say(`${name} is saved.`);
}

async function take(list) {
  for (const file of list) await add(file.name, new Uint8Array(await file.arrayBuffer()));
}

find("play").onclick = () => (playing ? (find("seek").value = position(), stop()) : play(position()));
find("save").onclick = () => save().catch((error) => say(error.message));
find("open").onchange = (event) => take(event.target.files);
find("seek").oninput = () => {
  const seconds = Number(find("seek").value);
  show(seconds);
  if (playing) play(seconds);
};
document.ondragover = (event) => event.preventDefault();
document.ondrop = (event) => {
  event.preventDefault();
  take(event.dataTransfer.files);
};
document.onkeydown = (event) => {
  if (!chosen || event.target !== document.body) return;
  if (event.key === " ") {
    event.preventDefault();
    find("play").click();
  }
  if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
    const moved = position() + (event.key === "ArrowLeft" ? -5 : 5);
    find("seek").value = Math.max(0, Math.min(chosen.length, moved));
    find("seek").oninput();
  }
};
setInterval(() => {
  if (!playing || playing.began === null) return;
  find("seek").value = position();
  show(position());
  if (position() >= chosen.length) {
    stop();
    find("seek").value = 0;
  }
}, 100);

(async () => {
  const models = Object.entries(data.weights).map(([name, text]) => [name, bytesOf(text)]);
  await ask({ what: "start", wasm: bytesOf(data.wasm), models });
  for (const { name, bytes } of data.files) await add(name, bytesOf(bytes));
  say("Ready.");
  document.body.dataset.ready = "yes";
})().catch((error) => say(error.message));
