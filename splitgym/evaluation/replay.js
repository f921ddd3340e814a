"use strict";
// Draws the rounds of several schedulers; everything shown stands in the element "data".

const data = JSON.parse(document.getElementById("data").textContent);
const slider = document.getElementById("round");
const last = Math.max(...data.agents.map((agent) => agent.rounds.length));
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
const PLAIN = { displayModeBar: false, responsive: true };
const SMALL = { margin: { l: 60, r: 10, t: 10, b: 40 }, font: { size: 12 }, hovermode: "closest", paper_bgcolor: "#fff" };

const number = (value, digits = 4) => (typeof value === "number" ? String(Number(value.toPrecision(digits))) : "-");
const rowName = (row) => (row === data.server ? "server" : `client ${row}`);
const roundOf = (agent, n) => agent.rounds[Math.min(n, agent.rounds.length) - 1];

function factsOf(round) {
  const facts = round.facts;
  const rows = [
    ["simulated time", `${number(facts.elapsed_s)} s`],
    ["latency of the round", `${number(facts.round_latency_s)} s`],
    ["test accuracy", number(facts.accuracy)],
    ["training loss", number(facts.loss)],
    ["cut layer", facts.cut_layer === undefined ? "each client's own" : facts.cut_layer],
    ["aggregation ratio phi", number(facts.aggregation_ratio)],
    ["participating clients", `${facts.participants} of ${round.clients.length}`],
    ["energy", `${number(facts.energy_j)} J`],
    ["traffic", `${number(facts.traffic_bits / 1e6)} Mbit`],
    ["reward", number(facts.reward)],
  ];
  return rows;
}

function hoverOf(client) {
  const lines = [
    `client ${client.client}${client.participated ? "" : `: ${client.reason}`}`,
    `speed ${number(client.client_hz / 1e6)} MHz, gain ${number(client.gain_db, 3)} dB`,
    `cut layer ${client.cut_layer}, ${client.subchannels} subchannels, ${number(client.power_w)} W`,
    `energy ${number(client.energy_j)} J`,
  ];
  for (const [name, value] of Object.entries(client)) {
    if (name.startsWith("seconds.") && value > 0) lines.push(`${name.slice(8)} ${number(value)} s`);
  }
  return lines.join("<br>");
}

function drawCell(element, round, colour) {
  const links = round.clients
    .filter((client) => client.participated)
    .map((client) => ({
      x: [0, client.x_m],
      y: [0, client.y_m],
      mode: "lines",
      line: { color: colour, width: 1 + client.subchannels },
      hoverinfo: "skip",
    }));
  const clients = {
    x: round.clients.map((client) => client.x_m),
    y: round.clients.map((client) => client.y_m),
    text: round.clients.map((client) => String(client.client)),
    hovertext: round.clients.map(hoverOf),
    hoverinfo: "text",
    mode: "markers+text",
    marker: {
      size: 22,
      color: round.clients.map((client) => (client.participated ? colour : "#e3e6ea")),
      line: { color: "#5a6473", width: 1 },
    },
    textfont: { color: round.clients.map((client) => (client.participated ? "#fff" : "#5a6473")) },
  };
  const station = {
    x: [0],
    y: [0],
    mode: "markers",
    marker: { symbol: "triangle-up", size: 16, color: "#1b2330" },
    hovertext: ["base station"],
    hoverinfo: "text",
  };
  const reach = 1.1 * round.radius_m;
  const axis = { range: [-reach, reach], zeroline: false, title: { text: "m" } };
  Plotly.react(element, [...links, clients, station], {
    ...SMALL,
    height: 340,
    showlegend: false,
    xaxis: axis,
    yaxis: { ...axis, scaleanchor: "x" },
    shapes: [{ type: "circle", x0: -round.radius_m, x1: round.radius_m, y0: -round.radius_m, y1: round.radius_m,
      line: { color: "#a9b0ba", dash: "dot" } }],
  }, PLAIN);
}

function drawGantt(element, round, longest) {
  const rows = [data.server, ...round.clients.map((client) => client.client)];
  const byName = new Map();
  for (const [row, stage, start, stop] of round.bars) {
    const look = data.stages[stage];
    if (!byName.has(look.name)) {
      byName.set(look.name, { type: "bar", orientation: "h", name: look.name, marker: { color: look.colour },
        x: [], y: [], base: [], hovertext: [], hoverinfo: "text", width: 0.8 });
    }
    const trace = byName.get(look.name);
    trace.x.push(stop - start);
    trace.base.push(start);
    trace.y.push(rowName(row));
    trace.hovertext.push(
      `${rowName(row)}: ${stage}<br>${number(start)} to ${number(stop)} s, ${number(stop - start)} s`);
  }
  Plotly.react(element, [...byName.values()], {
    ...SMALL,
    height: 120 + 26 * rows.length,
    barmode: "overlay",
    xaxis: { range: [0, longest], title: { text: "seconds since the round began" } },
    yaxis: { type: "category", categoryorder: "array", categoryarray: rows.map(rowName).reverse(),
      range: [-0.5, rows.length - 0.5] },
    legend: { orientation: "h", y: -0.25 },
    showlegend: true,
  }, PLAIN);
}

function drawAccuracy(n) {
  const traces = [];
  data.agents.forEach((agent, place) => {
    const facts = agent.rounds.map((round) => round.facts);
    const x = [0, ...facts.map((each) => each.elapsed_s)];
    const y = [agent.accuracy, ...facts.map((each) => each.accuracy)];
    const colour = COLOURS[place % COLOURS.length];
    const shown = Math.min(n, agent.rounds.length);
    traces.push({ x, y, name: agent.name, mode: "lines+markers", marker: { size: 4 }, line: { color: colour },
      hovertext: x.map((time, round) => `${agent.name}, round ${round}: ${number(y[round])} after ${number(time)} s`),
      hoverinfo: "text" });
    traces.push({ x: [x[shown]], y: [y[shown]], mode: "markers", marker: { size: 13, color: colour },
      showlegend: false, hoverinfo: "skip" });
  });
  Plotly.react("accuracy", traces, {
    ...SMALL,
    height: 280,
    xaxis: { title: { text: "simulated time (s)" }, rangemode: "tozero" },
    yaxis: { title: { text: "test accuracy" }, range: [0, 1] },
    shapes: [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: data.target, y1: data.target,
      line: { dash: "dot", color: "#5a6473" } }],
  }, PLAIN);
}

function show(n) {
  document.getElementById("shown").textContent = `${n} of ${last}`;
  const longest = Math.max(...data.agents.map((agent) => roundOf(agent, n).facts.round_latency_s));
  drawAccuracy(n);
  data.agents.forEach((agent, place) => {
    const round = roundOf(agent, n);
    const column = document.getElementById(`agent-${place}`);
    const ended = n > agent.rounds.length ? ` (ended after round ${agent.rounds.length})` : "";
    column.querySelector("h2 span").textContent = ended;
    const table = column.querySelector("table");
    table.replaceChildren(...factsOf(round).map(([name, value]) => {
      const row = document.createElement("tr");
      const cells = [document.createElement("th"), document.createElement("td")];
      cells[0].textContent = name;
      cells[1].textContent = value;
      row.append(...cells);
      return row;
    }));
    drawCell(column.querySelector(".cell"), round, COLOURS[place % COLOURS.length]);
    drawGantt(column.querySelector(".gantt"), round, longest);
  });
}

function begin() {
  data.agents.forEach((agent, place) => {
    const column = document.createElement("section");
    column.id = `agent-${place}`;
    const title = document.createElement("h2");
    const ended = document.createElement("span");
    ended.className = "ended";
    title.append(agent.name, ended);
    const parts = ["table", "div", "div"].map((kind) => document.createElement(kind));
    parts[1].className = "cell";
    parts[2].className = "gantt";
    column.append(title, ...parts);
    document.getElementById("agents").append(column);
  });
  slider.max = last;
  // The address may name a round: replay.html#7.
  slider.value = Number(location.hash.slice(1)) || 1;
  slider.addEventListener("input", () => show(Number(slider.value)));
  show(Number(slider.value));
}

begin();
