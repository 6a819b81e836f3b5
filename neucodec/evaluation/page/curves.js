"use strict";
// Rate-quality curves and the table of means.

const COLOURS = ["#0b62c4", "#d1495b", "#2e8b57", "#b8860b", "#7b4fb5", "#008b8b", "#8b5a2b"];

function svg(name, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

/** Round numbers that cover low to high in about `count` steps. */
function ticks(low, high, count) {
  const rough = (high - low || 1) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough);
  const first = Math.floor(low / step);
  const last = Math.ceil(high / step);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(6)));
}

/** One curve for each label, of [{label, kbps, value}]. */
function drawCurves(place, points, title) {
  const [width, height, left, right, top, bottom] = [720, 400, 60, 190, 20, 45];
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title });
  const xs = ticks(0, Math.max(...points.map((p) => p.kbps)), 6);
  const ys = ticks(Math.min(...points.map((p) => p.value)), Math.max(...points.map((p) => p.value)), 5);
  const x = (kbps) => left + ((width - left - right) * (kbps - xs[0])) / (xs.at(-1) - xs[0]);
  const y = (value) =>
    height - bottom - ((height - top - bottom) * (value - ys[0])) / (ys.at(-1) - ys[0] || 1);
  for (const tick of xs) {
    picture.append(
      svg("line", { class: "grid", x1: x(tick), x2: x(tick), y1: top, y2: height - bottom }),
      svg("text", { x: x(tick), y: height - bottom + 18, "text-anchor": "middle" }, tick));
  }
  for (const tick of ys) {
    picture.append(
      svg("line", { class: "grid", x1: left, x2: width - right, y1: y(tick), y2: y(tick) }),
      svg("text", { x: left - 8, y: y(tick) + 4, "text-anchor": "end" }, tick));
  }
  picture.append(
    svg("text", { x: (left + width - right) / 2, y: height - 8, "text-anchor": "middle" }, "kbps, from file sizes"),
    svg("text", { x: 14, y: height / 2, transform: `rotate(-90 14 ${height / 2})`, "text-anchor": "middle" }, title));
  [...new Set(points.map((p) => p.label))].forEach((label, i) => {
    const stroke = COLOURS[i % COLOURS.length];
    const own = points.filter((p) => p.label === label).sort((a, b) => a.kbps - b.kbps);
    picture.append(svg("polyline", {
      points: own.map((p) => `${x(p.kbps)},${y(p.value)}`).join(" "),
      fill: "none", stroke, "stroke-width": 2,
    }));
    for (const p of own) {
      const dot = svg("circle", { cx: x(p.kbps), cy: y(p.value), r: 4, fill: stroke });
      dot.append(svg("title", {}, `${label}: ${p.value.toFixed(2)} at ${p.kbps.toFixed(2)} kbps`));
      picture.append(dot);
    }
    picture.append(
      svg("rect", { x: width - right + 12, y: top + 22 * i, width: 12, height: 12, fill: stroke }),
      svg("text", { x: width - right + 30, y: top + 22 * i + 11 }, label));
  });
  place.replaceChildren(picture);
}

/** A table of texts; the first row is its head. */
function tableOf(rows, nameColumns = 1) {
  const table = document.createElement("table");
  rows.forEach((row, r) => {
    const line = table.insertRow();
    row.forEach((text, c) => {
      const cell = document.createElement(r ? "td" : "th");
      if (c < nameColumns) cell.className = "name";
      cell.textContent = text;
      line.append(cell);
    });
  });
  return table;
}

class Figures {
  constructor(data) {
    this.data = data;
    this.metric = document.getElementById("curve-metric");
    this.kind = document.getElementById("curve-kind");
    for (const [name, metric] of Object.entries(data.metrics)) {
      this.metric.add(new Option(metric.title, name));
    }
    for (const kind of new Set(data.means.map((mean) => mean.kind))) this.kind.add(new Option(kind));
    for (const select of [this.metric, this.kind]) select.onchange = () => this.draw();
  }

  draw() {
    const metric = this.data.metrics[this.metric.value];
    const better = metric.higher_is_better ? "higher is better" : "lower is better";
    document.getElementById("curve-says").textContent = `${metric.says}; ${better}.`;
    const own = this.data.means.filter((mean) => mean.kind === this.kind.value);
    const points = own
      .map((mean) => ({ label: mean.label, kbps: mean.kbps, value: mean.scores[this.metric.value] }))
      .filter((point) => typeof point.value === "number");
    const place = document.getElementById("curve");
    if (points.length) drawCurves(place, points, metric.title);
    else place.textContent = "Not measured for this kind of sound.";
    const shown = Object.entries(this.data.metrics);
    const head = ["codec", "files", "kbps", ...shown.map(([, m]) => m.title), "encode", "decode"];
    const rows = own.map((mean) => [
      mean.label, mean.files, mean.kbps.toFixed(2),
      ...shown.map(([name, m]) => mean.scores[name]?.toFixed(m.digits) ?? ""),
      `${mean.encode_speed.toFixed(0)}x`, `${mean.decode_speed.toFixed(0)}x`,
    ]);
    document.getElementById("table").replaceChildren(tableOf([head, ...rows]));
  }
}
