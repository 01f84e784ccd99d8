"use strict";
// Texts of the list enter the page as text nodes and properties only, never as markup.

const byId = (id) => document.getElementById(id);
const table = (id) => JSON.parse(byId(id).textContent);

// The tables that the program wrote: records as rows, settings and hosts apart.
const settings = table("settings");
const hosts = table("hosts");
const records = table("records").map(
  ([index, line, name, prompt, seed, path, error, milliseconds, rank, host, setting, note, metadata]) => ({
    index, line, name, prompt, seed, path, error, milliseconds, rank,
    host: hosts[host], settings: settings[setting], note, metadata,
  }));
for (const record of records) {
  record.failed = record.error !== null;
  record.words = [record.index, record.name, record.prompt, record.settings.negative_prompt, record.seed, record.path,
                  record.error ?? "", "rank " + record.rank, record.host, record.settings.scheduler].join("\n").toLowerCase();
}

function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

const seconds = (milliseconds) => (milliseconds / 1000).toFixed(milliseconds < 99950 ? 2 : 0) + " s";
const number = (record) => String(record.index).padStart(6, "0");
const colour = (rank) => `hsl(${(rank * 137.5) % 360} 65% 50%)`;
const address = (path) => "./" + path.split("/").map(encodeURIComponent).join("/");
const isPicture = (record) => !record.failed && record.path !== null && record.path.endsWith(".png");

// The grid: only the rows in sight, and a few around them, are in the document.
const kGap = 12;
const kText = 36;
const kRowsAround = 3;
const grid = byId("grid");
let shown = records;
let columns = 1;
let edge = 160;
let cards = new Map();

function makeCard(place) {
  const record = shown[place];
  const frame = element("div", {className: "frame"});
  if (isPicture(record)) {
    frame.append(element("img", {loading: "lazy", decoding: "async", alt: record.prompt, src: address(record.path)}));
  } else {
    frame.append(record.failed ? record.error : "no picture");
  }
  const text = element("div", {className: "text", dir: "auto"}, element("span", {className: "number"}, number(record) + " "), record.prompt);
  const card = element("button", {className: record.failed ? "card failed" : "card", title: record.prompt}, frame, text);
  card.addEventListener("click", () => open(place));
  card.style.transform =
    `translate(${(place % columns) * (edge + kGap)}px, ${Math.floor(place / columns) * (edge + kText + kGap)}px)`;
  return card;
}

function draw() {
  const rowHeight = edge + kText + kGap;
  const above = -grid.getBoundingClientRect().top;
  const first = Math.max(0, Math.floor(above / rowHeight) - kRowsAround) * columns;
  const last = Math.min(shown.length, (Math.ceil((above + innerHeight) / rowHeight) + kRowsAround) * columns);
  for (const [place, card] of cards) {
    if (place < first || place >= last) {
      card.remove();
      cards.delete(place);
    }
  }
  for (let place = first; place < last; ++place) {
    if (cards.has(place)) continue;
    const card = makeCard(place);
    cards.set(place, card);
    grid.append(card);
  }
}

function layOut() {
  // As many columns as fit the size asked for, a little wider so that they fill the page.
  columns = Math.max(1, Math.floor((grid.clientWidth + kGap) / (Number(byId("size").value) + kGap)));
  edge = Math.floor((grid.clientWidth + kGap) / columns) - kGap;
  grid.style.setProperty("--edge", edge + "px");
  grid.style.height = Math.ceil(shown.length / columns) * (edge + kText + kGap) + "px";
  grid.replaceChildren();
  cards = new Map();
  draw();
}

function filter() {
  // Words, and "several words" that stand together.
  const words = [...byId("filter").value.toLowerCase().matchAll(/"([^"]+)"?|[^\s"]+/g)].map((found) => found[1] ?? found[0]);
  const status = byId("status").value;
  shown = records.filter((record) => (status === "all" || (status === "failed") === record.failed) &&
                                     words.every((word) => record.words.includes(word)));
  const failures = shown.filter((record) => record.failed).length;
  byId("count").textContent =
    `${shown.length} of ${records.length} jobs` + (failures > 0 ? `, ${failures} failed` : "");
  layOut();
}

// One job, large.
const dialog = byId("dialog");
let opened = 0;

function open(place) {
  if (place < 0 || place >= shown.length) return;
  opened = place;
  const record = shown[place];
  const facts = {
    number: number(record), line: record.line, name: record.name, seed: record.seed, ...record.settings,
    time: seconds(record.milliseconds), rank: record.rank, host: record.host, file: record.path, note: record.note,
    metadata: record.metadata,
  };
  const list = element("dl");
  for (const [key, value] of Object.entries(facts)) {
    if (value === null || value === "") continue;
    list.append(element("dt", {}, key.replaceAll("_", " ")), element("dd", {}, String(value)));
  }
  const about = element("div", {className: "facts"}, element("p", {className: "prompt", dir: "auto"}, record.prompt));
  if (record.failed) about.append(element("p", {className: "error"}, record.error));
  about.append(list);
  const view = element("div", {className: "view"});
  if (isPicture(record)) {
    const link = element("a", {href: address(record.path), target: "_blank", rel: "noopener"});
    link.append(element("img", {alt: record.prompt, src: address(record.path)}));
    view.append(link);
  }
  view.append(about);
  dialog.replaceChildren(view);
  if (!dialog.open) dialog.showModal();
}

// Times: a bar for each rank, a dot for each job.
function median(values) {
  const sorted = values.slice().sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

function drawBars() {
  const ranks = new Map();
  for (const record of records) {
    if (!ranks.has(record.rank)) ranks.set(record.rank, {host: record.host, times: [], sum: 0, failed: 0});
    const rank = ranks.get(record.rank);
    rank.times.push(record.milliseconds);
    rank.sum += record.milliseconds;
    rank.failed += record.failed ? 1 : 0;
  }
  const sums = [...ranks.values()].map((rank) => rank.sum);
  const most = Math.max(1, ...sums);
  for (const [rank, of] of [...ranks].sort((a, b) => a[0] - b[0])) {
    const bar = element("div", {className: "bar"});
    bar.style.width = (100 * of.sum) / most + "%";
    bar.style.background = colour(rank);
    const facts = `${seconds(of.sum)}, ${of.times.length} ${of.times.length === 1 ? "job" : "jobs"}, median ${seconds(median(of.times))}` +
                  (of.failed > 0 ? `, ${of.failed} failed` : "");
    byId("ranks").append(element("span", {}, `rank ${rank} (${of.host})`), bar, element("span", {}, facts));
  }
  const all = sums.reduce((a, b) => a + b, 0);
  byId("summary").textContent =
    `Time per rank: ${ranks.size} ${ranks.size === 1 ? "rank" : "ranks"}, ${seconds(all)} in all, longest ${seconds(most)}`;
}

function drawDots() {
  const canvas = byId("dots");
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  canvas.width = width * devicePixelRatio;
  canvas.height = height * devicePixelRatio;
  const pen = canvas.getContext("2d");
  pen.scale(devicePixelRatio, devicePixelRatio);
  const longest = records.reduce((most, record) => Math.max(most, record.milliseconds), 1);
  const highest = records.reduce((most, record) => Math.max(most, record.index), 1);
  const left = 56;
  const bottom = height - 20;
  const x = (index) => left + (index / highest) * (width - left - 8);
  const y = (milliseconds) => bottom - (milliseconds / longest) * (bottom - 12);
  pen.font = "11px system-ui, sans-serif";
  pen.fillStyle = pen.strokeStyle = getComputedStyle(canvas).color;
  for (let part = 0; part <= 4; ++part) {
    const at = Math.round(y((longest * part) / 4)) + 0.5;
    pen.globalAlpha = 0.25;
    pen.beginPath();
    pen.moveTo(left, at);
    pen.lineTo(width - 8, at);
    pen.stroke();
    pen.globalAlpha = 1;
    pen.textAlign = "right";
    pen.fillText(seconds((longest * part) / 4), left - 6, at + 4);
  }
  pen.textAlign = "left";
  pen.fillText("0", left, height - 4);
  pen.textAlign = "right";
  pen.fillText(String(highest), width - 8, height - 4);
  const half = records.length > 2000 ? 1 : 2;
  for (const record of records) {
    pen.fillStyle = colour(record.rank);
    pen.fillRect(x(record.index) - half, y(record.milliseconds) - half, 2 * half, 2 * half);
  }
}

const pending = new Set();
function soon(action) {
  if (pending.size === 0) {
    requestAnimationFrame(() => {
      const actions = [...pending];
      pending.clear();
      for (const act of actions) act();
    });
  }
  pending.add(action);
}

byId("filter").addEventListener("input", () => soon(filter));
byId("status").addEventListener("change", filter);
byId("size").addEventListener("input", () => soon(layOut));
byId("times").addEventListener("toggle", drawDots);
addEventListener("scroll", () => soon(draw), {passive: true});
addEventListener("resize", () => {
  soon(layOut);
  soon(drawDots);
});
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
addEventListener("keydown", (event) => {
  if (!dialog.open) return;
  if (event.key === "ArrowRight") open(opened + 1);
  if (event.key === "ArrowLeft") open(opened - 1);
});
drawBars();
filter();
