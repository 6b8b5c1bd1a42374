// The page of edgefas live. Decisions come as server-sent events, pictures are fetched one after the other, so a slow
// link shows fewer of both and never old ones. Whatever falls silent is said at once: an old answer is no answer.

import { Chart, format, reach } from "./chart.js";

const SILENT_S = 2;
const RETRY_MS = 3000;
const WORDS_MS = 250;
const PICTURE_MS = 80;
const MEDIAN_OF = 30;
const STAGES = { detect_ms: "Find the face", preprocess_ms: "Prepare", engine_ms: "Network" };
const DECISIONS = { bona_fide: "✓ live", attack: "✕ attack", no_decision: "– no decision" };

const $ = (id) => document.getElementById(id);
const set = (node, text) => node.textContent !== text && (node.textContent = text);
const nothing = "–";
const human = (name) => {
  const text = name.replace(/_(ms|s)$/, "").replaceAll("_", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
};
const seconds = () => performance.now() / 1000;

let about = null;
let points = [];
let timings = [];
let newest = null;
let heardAt = -Infinity;
let saidAt = 0;
let range = 4;
let lastState = null;
let stream = null;

const chart = new Chart($("chart"), 30);

function connect() {
  stream = new EventSource("events");
  stream.addEventListener("about", (event) => {
    about = JSON.parse(event.data);
    points = [];
    chart.seconds = about.chart_s;
    introduce();
  });
  stream.addEventListener("line", (event) => hear(JSON.parse(event.data)));
  stream.onerror = () => {
    // refused, or ended: a browser that gave up does not try again by itself
    if (stream.readyState === EventSource.CLOSED) setTimeout(connect, RETRY_MS);
  };
}

function introduce() {
  set($("model"), `${about.model} · ${about.camera}`);
  set($("threshold"), `threshold ${format(about.threshold)}`);
  set($("near"), `${(about.near_far_mm[0] / 1000).toFixed(2)} m`);
  set($("far"), `${(about.near_far_mm[1] / 1000).toFixed(1)} m`);
  const badges = [
    about.trust === "signed" ? ["signed", ""] : ["unsigned model", "warn"],
    ...(about.simulated ? [["simulated camera", "warn"]] : []),
  ];
  $("badges").replaceChildren(...badges.map(([text, kind]) => element("li", text, kind)));
  $("warning").hidden = !about.warning;
  set($("warning"), about.warning ?? "");
}

function hear(event) {
  newest = event;
  heardAt = seconds();
  for (const [ago, score, decision, state] of event.points) points.push({ at: heardAt - ago, score, decision, state });
  const oldest = heardAt - (about?.chart_s ?? 30) - 1;
  points = points.filter((p) => p.at > oldest);
  timings.push(event.line.timing);
  timings = timings.slice(-MEDIAN_OF);
  document.body.dataset.fresh = event.line.frame === null ? "no" : "yes";
  watch();
  if (event.line.state.decision !== lastState || performance.now() - saidAt > WORDS_MS) tell(event);
}

// Words change four times a second at most, so that they can be read; a new state is told at once.
function tell({ line, headline, why, todo, stats, rate }) {
  saidAt = performance.now();
  lastState = line.state.decision;
  document.body.dataset.state = lastState;
  set($("headline"), headline);
  set($("why"), why);
  set($("todo"), todo);
  const held = line.device_ns === null || line.state.since_ns === null ? NaN : (line.device_ns - line.state.since_ns) / 1e9;
  set($("since"), Number.isFinite(held) && held >= 0 ? `for ${held < 60 ? held.toFixed(1) : Math.round(held)} s` : "\u00a0");
  document.title = `${headline} – edgefas`;

  range = reach(points, about?.threshold ?? 0);
  const shown = typeof line.score === "number";
  set($("score"), shown ? `${line.score > 0 ? "+" : ""}${line.score.toFixed(2)}`.replace("-", "−") : nothing);
  $("needle").hidden = !shown;
  if (shown) {
    const part = 0.5 + (line.score - (about?.threshold ?? 0)) / (2 * range);
    $("needle").style.left = `${100 * Math.min(1, Math.max(0, part))}%`;
    $("needle").dataset.decision = line.decision;
  }
  set($("frame-decision"), DECISIONS[line.decision] ?? human(line.decision));
  set($("distance"), typeof line.median_z_mm === "number" ? `${(line.median_z_mm / 1000).toFixed(2)} m` : nothing);

  showStages();
  $("rate").replaceChildren(rate.toFixed(1), element("small", " frames a second"));
  rows($("stats"), Object.entries(stats).filter(([, n]) => typeof n === "number"), ([name, count]) => ({
    key: name, label: human(name), value: count.toLocaleString("en"), kind: count ? "" : "zero",
  }));
  if (document.querySelector(".raw").open) set($("raw"), JSON.stringify(line, null, 2));
}

// Medians of the last second: single times flicker.
function showStages() {
  const middle = (key) => {
    const all = timings.map((t) => t[key]).filter((v) => typeof v === "number").sort((a, b) => a - b);
    return all.length ? all[all.length >> 1] : null;
  };
  const keys = Object.keys(timings.at(-1)).filter((key) => key.endsWith("_ms") && !["total_ms", "age_ms"].includes(key));
  const total = middle("total_ms");
  const parts = keys.map((key) => [key, STAGES[key] ?? human(key), middle(key)]);
  const known = parts.reduce((sum, [, , ms]) => sum + (ms ?? 0), 0);
  if (total !== null) parts.push(["other", "Everything else", Math.max(0, total - known)]);
  const longest = Math.max(10, total ?? 0);
  rows($("stages"), [...parts, ["age_ms", "Camera to decision", middle("age_ms")]], ([key, label, ms]) => ({
    key, label, bar: (ms ?? 0) / longest, value: ms === null ? nothing : `${ms.toFixed(1)} ms`, kind: key === "age_ms" ? "sum" : "",
  }));
  $("total").replaceChildren(total === null ? nothing : total.toFixed(1), element("small", " ms"));
}

// Update rows in place: only a new key makes a node.
function rows(list, items, view) {
  for (const item of items) {
    const { key, label, value, kind, bar } = view(item);
    let row = list.querySelector(`[data-key="${CSS.escape(key)}"]`);
    if (!row) {
      row = element("div");
      row.dataset.key = key;
      row.append(element("dt", label), ...(bar === undefined ? [] : [element("span", "", "bar")]), element("dd"));
      row.querySelector(".bar")?.append(element("i"));
      const sum = kind === "sum" ? null : list.querySelector(".sum");
      list.insertBefore(row, sum);
    }
    if (row.className !== kind) row.className = kind;
    if (bar !== undefined) row.querySelector("i").style.width = `${Math.round(100 * Math.min(1, bar))}%`;
    set(row.querySelector("dd"), value);
  }
}

function element(name, text = "", kind = "") {
  const node = document.createElement(name);
  node.textContent = text;
  if (kind) node.className = kind;
  return node;
}

// A page that shows an old answer lies: say how long nothing came.
function watch() {
  const silent = seconds() - heardAt;
  const lost = newest !== null && silent > SILENT_S;
  const link = lost || stream.readyState === EventSource.CLOSED ? "lost" : newest ? "open" : "waiting";
  $("link").dataset.link = link;
  set($("link-text"), { open: "Connected", lost: "Not connected", waiting: "Connecting" }[link]);
  if (!lost) return;
  lastState = "lost";
  document.body.dataset.state = "lost";
  document.body.dataset.fresh = "no";
  set($("headline"), "No answer");
  set($("since"), `for ${Math.round(silent)} s`);
  set($("why"), "Nothing was heard from edgefas live");
  set($("todo"), "See whether it still runs, and the network");
  set($("score"), nothing);
  $("needle").hidden = true;
  document.title = "No answer – edgefas";
}

function redraw() {
  if (!document.hidden) chart.draw(points, about?.threshold ?? 0, range, seconds());
  setTimeout(() => requestAnimationFrame(redraw), 60);
}

async function pictures() {
  let shown = 0;
  for (;;) {
    const begin = performance.now();
    try {
      if (!document.hidden && newest && newest.number !== shown && newest.line.frame !== null) {
        const answer = await fetch("picture.jpg", { cache: "no-store", signal: AbortSignal.timeout(5000) });
        if (answer.status === 200) {
          const told = JSON.parse(answer.headers.get("x-edgefas-picture"));
          paint(await createImageBitmap(await answer.blob()), told);
          shown = told.number;
        }
      }
    } catch {
      await pause(1000); // the stream says what is wrong
    }
    await pause(Math.max(10, PICTURE_MS - (performance.now() - begin)));
  }
}

function paint(sheet, told) {
  const width = told.tiles.length ? sheet.width / told.tiles.length : 0;
  for (const figure of document.querySelectorAll("figure")) {
    const index = told.tiles.indexOf(figure.dataset.tile);
    figure.classList.toggle("shown", index >= 0);
    set(figure.querySelector(".absent"), index < 0 ? "This camera gives none" : "No fresh picture");
    if (index < 0) continue;
    const canvas = figure.querySelector("canvas");
    if (canvas.width !== width || canvas.height !== sheet.height) {
      canvas.width = width;
      canvas.height = sheet.height;
    }
    const g = canvas.getContext("2d");
    g.drawImage(sheet, index * width, 0, width, sheet.height, 0, 0, width, sheet.height);
    if (told.box && (figure.dataset.tile !== "color" || told.aligned)) box(g, told.box, told.decision, figure.dataset.tile === "color");
    const note = figure.querySelector("em:not(.scale)");
    if (note) set(note, figure.dataset.tile === "ir" ? told.ir_light ?? "" : told.aligned ? "aligned to depth" : "not aligned");
  }
  sheet.close();
}

// Dark under colour, so that it is seen on any picture; dashes for an attack, dots for no decision.
function box(g, [x, y, w, h], decision, labelled) {
  const style = getComputedStyle(document.body);
  const tone = { bona_fide: "#3ddc84", attack: "#ff5a5a" }[decision] ?? "#ffc857";
  const dashes = { bona_fide: [], attack: [14, 8] }[decision] ?? [3, 7];
  g.lineJoin = g.lineCap = "round";
  for (const [colour, thick] of [["rgba(0,0,0,.55)", 6], [tone, 3]]) {
    g.strokeStyle = colour;
    g.lineWidth = thick;
    g.setLineDash(dashes);
    g.strokeRect(x, y, w, h);
  }
  g.setLineDash([]);
  if (!labelled) return;
  const text = DECISIONS[decision] ?? human(decision);
  g.font = `600 17px ${style.fontFamily}`;
  const wide = g.measureText(text).width + 14;
  const top = y > 30 ? y - 28 : y + 4;
  g.fillStyle = "rgba(0,0,0,.65)";
  g.fillRect(x - 1.5, top, wide, 24);
  g.fillStyle = tone;
  g.textBaseline = "middle";
  g.fillText(text, x + 5.5, top + 12.5);
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

connect();
setInterval(watch, 250);
redraw();
pictures();
