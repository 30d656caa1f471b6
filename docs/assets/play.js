// The 2-2-1 network of the worked example, forward and backward, drawn with every number; no library, no server.
"use strict";
(() => {
  const START = { x: [0.35, 0.9], target: 0.5, rate: 1, w0: [[0.1, 0.8], [0.4, 0.6]], w1: [0.3, 0.9], steps: 0 };
  const place = document.getElementById("play");
  const words = place.dataset;
  let state = structuredClone(START);

  const sigmoid = z => 1 / (1 + Math.exp(-z));

  // rows of w0 are hidden units, as in the worked example
  function pass({ x, target, w0, w1 }) {
    const y0 = w0.map(row => sigmoid(row[0] * x[0] + row[1] * x[1]));
    const o = sigmoid(w1[0] * y0[0] + w1[1] * y0[1]);
    const loss = (o - target) ** 2 / 2;
    // back: the loss, the output's sigmoid, the weights, the hidden sigmoids
    const dz1 = (o - target) * o * (1 - o);
    const dw1 = y0.map(y => dz1 * y);
    const dz0 = y0.map((y, unit) => dz1 * w1[unit] * y * (1 - y));
    const dw0 = dz0.map(dz => x.map(each => dz * each));
    return { y0, o, loss, dz1, dw1, dz0, dw0 };
  }

  function step() {
    const { dw0, dw1 } = pass(state);
    state.w0 = state.w0.map((row, unit) => row.map((w, input) => w - state.rate * dw0[unit][input]));
    state.w1 = state.w1.map((w, unit) => w - state.rate * dw1[unit]);
    state.steps += 1;
  }

  // names and values of everything that is shown; a number's full digits are in data-value
  function numbers() {
    const { y0, o, loss, dz1, dw1, dz0, dw0 } = pass(state);
    const shown = { x0: state.x[0], x1: state.x[1], y00: y0[0], y01: y0[1], o, loss, dz1, dz00: dz0[0], dz01: dz0[1] };
    for (const unit of [0, 1]) {
      shown[`w1${unit}`] = state.w1[unit];
      shown[`dw1${unit}`] = dw1[unit];
      for (const input of [0, 1]) {
        shown[`w0${unit}${input}`] = state.w0[unit][input];
        shown[`dw0${unit}${input}`] = dw0[unit][input];
      }
    }
    return shown;
  }

  const text = (name, x, y, kind, before = "") =>
    `<text id="play-${name}" class="${kind}" x="${x}" y="${y}" data-before="${before}"></text>`;
  const line = (x1, y1, x2, y2) => `<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}"/>`;
  const circle = (x, y) => `<circle cx="${x}" cy="${y}" r="30"/>`;

  function picture() {
    const rows = [80, 230], middle = 155, parts = [];
    for (const unit of [0, 1]) {
      for (const input of [0, 1]) {
        parts.push(line(90, rows[input], 290, rows[unit]));
        const y = rows[input] + 0.36 * (rows[unit] - rows[input]), aside = 22 * Math.sign(rows[unit] - rows[input]);
        parts.push(text(`w0${unit}${input}`, 162 + aside, y - 6, "forward"));
        parts.push(text(`dw0${unit}${input}`, 162 - aside, y + 16, "backward"));
      }
      parts.push(line(350, rows[unit], 550, middle));
      const y = rows[unit] + 0.4 * (middle - rows[unit]), aside = unit ? -22 : 22;
      parts.push(text(`w1${unit}`, 430 + aside, y - 6, "forward"), text(`dw1${unit}`, 430 - aside, y + 16, "backward"));
      parts.push(circle(60, rows[unit]), text(`x${unit}`, 60, rows[unit] + 4, "forward"));
      parts.push(circle(320, rows[unit]), text(`y0${unit}`, 320, rows[unit] + 4, "forward"));
      parts.push(text(`dz0${unit}`, 320, rows[unit] + 48, "backward", "dz "));
    }
    parts.push(circle(580, middle), text("o", 580, middle + 4, "forward"), text("dz1", 580, middle + 48, "backward", "dz "));
    return `<svg viewBox="0 0 640 300" role="img" aria-label="${words.title}">${parts.join("")}</svg>`;
  }

  const SLIDERS = [
    ["x0", "x₀", -2, 2, 0.05, value => { state.x[0] = value; }, () => state.x[0]],
    ["x1", "x₁", -2, 2, 0.05, value => { state.x[1] = value; }, () => state.x[1]],
    ["target", words.target, 0, 1, 0.01, value => { state.target = value; }, () => state.target],
    ["rate", words.rate, 0, 20, 0.1, value => { state.rate = value; }, () => state.rate],
  ];

  function show() {
    for (const [name, value] of Object.entries(numbers())) {
      const element = document.getElementById(`play-${name}`);
      element.dataset.value = value;
      element.textContent = (element.dataset.before || "") + Number(value.toPrecision(4));
    }
    for (const [name, , , , , , get] of SLIDERS) {
      document.getElementById(`play-slider-${name}`).value = get();
      document.getElementById(`play-at-${name}`).textContent = Number(get().toPrecision(4));
    }
    document.getElementById("play-steps").textContent = state.steps;
  }

  const sliders = SLIDERS.map(([name, label, low, high, by]) =>
    `<label>${label} <input id="play-slider-${name}" type="range" min="${low}" max="${high}" step="${by}">` +
    ` <output id="play-at-${name}"></output></label>`);
  const buttons = ["step", "many", "hit", "reset"].map(name =>
    `<button class="md-button" type="button" id="play-${name}">${words[name]}</button>`);
  const counts = `<p>${words.steps} <b id="play-steps"></b>, ${words.loss} <b id="play-loss"></b></p>`;
  place.innerHTML = `<div class="picture">${picture()}</div>` + `<div class="sliders">${sliders.join("")}</div>` + `<div class="buttons">${buttons.join("")}</div>` + counts;
  for (const [name, , , , , set] of SLIDERS) {
    document.getElementById(`play-slider-${name}`).addEventListener("input", event => {
      set(Number(event.target.value));
      show();
    });
  }
  const hit = () => { state.target = pass(state).o; };
  const act = { step, many: () => { for (let i = 0; i < 100; i++) step(); }, hit, reset: () => { state = structuredClone(START); } };
  for (const [name, does] of Object.entries(act)) {
    document.getElementById(`play-${name}`).addEventListener("click", () => { does(); show(); });
  }
  show();
})();
