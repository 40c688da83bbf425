"use strict";
const DATA = JSON.parse(document.getElementById("data").textContent);
const HOUR = 3600000;
const PHONE = () => window.innerWidth < 560;

function floats(text) {
  const raw = atob(text), bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return new Float32Array(bytes.buffer);
}
function hours(clock) {
  const out = new Array(clock.n);
  for (let i = 0; i < clock.n; i++) out[i] = HOUR * (clock.at ? clock.at[i] : clock.first + i * clock.step);
  return out;
}
function fixed(value, places, signed) {
  if (value === null || value === undefined || Number.isNaN(value)) return "\u2013";
  const text = Math.abs(value).toLocaleString("en-US", {minimumFractionDigits: places, maximumFractionDigits: places});
  if (!/[1-9]/.test(text)) return text;
  return (value < 0 ? "\u2212" : signed ? "+" : "") + text;
}
function stamp(hour) { return new Date(hour * HOUR).toISOString().slice(0, 16).replace("T", " "); }
function word(column, row) { return column.words[column.codes[row]]; }
/* Names are data: Plotly reads a little HTML in labels, so it must not find any. */
function literal(text) { return String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;"); }

function theme() {
  const style = getComputedStyle(document.documentElement);
  return new Proxy({}, {get: (_, name) => style.getPropertyValue("--" + name).trim()});
}
function axis(t, more) {
  return Object.assign({gridcolor: t.grid, zerolinecolor: t.line, zerolinewidth: 1, linecolor: t.line, tickfont: {size: 11, color: t.muted}, automargin: true, fixedrange: PHONE(), title: {font: {size: 11, color: t.muted}}}, more);
}
function titled(text, t) { return {text, font: {size: 11, color: t.muted}, standoff: 6}; }
function layout(t, more) {
  return Object.assign({
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: {family: "system-ui, -apple-system, Segoe UI, Roboto, sans-serif", size: 12, color: t.ink},
    margin: {l: 52, r: 14, t: 10, b: 34}, hovermode: "x unified", dragmode: PHONE() ? false : "zoom",
    hoverlabel: {bgcolor: t.card, bordercolor: t.line, font: {color: t.ink, size: 12}},
    legend: {orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: {size: 12, color: t.ink}, bgcolor: "rgba(0,0,0,0)"},
  }, more);
}
function dates(t, more) { return axis(t, Object.assign({type: "date", showgrid: false, nticks: PHONE() ? 5 : 9}, more)); }

const RULES = ["c1", "c2", "c3", "c4"], OPTIMA = {"hindsight persistent": "c5", "hindsight": "c6"};
function curveStyles(t) {
  let rule = 0, run = 0;
  const runs = ["c-run", "c1", "c2", "c3", "c6", "c4", "c5"];
  return DATA.curves.map(c => {
    if (c.kind === "run") return {color: t[runs[run++ % runs.length]], width: 2.4, dash: "solid"};
    if (c.kind === "optimum") return {color: t[OPTIMA[c.name] || "c5"], width: 1.5, dash: "dot"};
    return c.name === "hold" ? {color: t.muted, width: 1.2, dash: "dash"} : {color: t[RULES[rule++ % RULES.length]], width: 1.5, dash: "solid"};
  });
}
function drawdown(pct) {
  let peak = 1;
  return Array.from(pct, p => { const e = 1 + p / 100; peak = Math.max(peak, e); return -100 * (1 - e / peak); });
}

const CHARTS = {
  equity(t) {
    const styles = curveStyles(t), data = [];
    DATA.curves.forEach((c, k) => {
      const x = hours(c.clock || DATA.clock), y = floats(c.pct), shown = c.hidden ? "legendonly" : true;
      const common = {x, mode: "lines", line: styles[k], legendgroup: String(k), visible: shown};
      data.push({...common, y, name: literal(c.name), hovertemplate: "%{y:+.2f} %"});
      data.push({...common, y: drawdown(y), name: literal(c.name), yaxis: "y2", showlegend: false, hovertemplate: "%{y:.2f} %",
        line: {...styles[k], width: Math.min(styles[k].width, 1.6)}, ...(k === 0 && DATA.curves.filter(d => d.kind === "run").length === 1 ? {fill: "tozeroy", fillcolor: styles[0].color + "22"} : {})});
    });
    return {data, layout: layout(t, {
      grid: {rows: 2, columns: 1, pattern: "coupled"}, margin: {l: 56, r: 14, t: 10, b: 34},
      xaxis: dates(t, {anchor: "y2", hoverformat: "%Y-%m-%d %H:%M UTC"}),
      yaxis: axis(t, {domain: [0.36, 1], title: titled("P&L, % of capital", t), zeroline: true}),
      yaxis2: axis(t, {domain: [0, 0.28], title: titled("drawdown, %", t), rangemode: "tozero"}),
    })};
  },
  parts(t) {
    const parts = DATA.parts, total = parts.reduce((sum, p) => sum + p.usd, 0), all = [...parts.map(p => p.usd), total];
    const wrap = s => s.length > 11 ? s.replace(/ (?=[^ ]*$)/, "<br>") : s;
    let running = 0, low = 0, high = 0;
    parts.forEach(p => { running += p.usd; low = Math.min(low, running); high = Math.max(high, running); });
    const room = 0.14 * (high - low || 1);
    return {data: [{type: "waterfall", x: [...parts.map(p => wrap(literal(p.label))), "<b>P&amp;L</b>"], y: all, measure: [...parts.map(() => "relative"), "total"],
      text: all.map(v => fixed(v, Math.abs(v) < 100 ? 2 : 0, true)), textposition: "outside", textfont: {size: 11, color: t.ink}, cliponaxis: false, hovertemplate: "%{x}: %{text} USD<extra></extra>",
      increasing: {marker: {color: t.gain}}, decreasing: {marker: {color: t.loss}}, totals: {marker: {color: t.c5}}, connector: {line: {color: t.line, width: 1}}}],
      layout: layout(t, {hovermode: "closest", showlegend: false, margin: {l: 52, r: 8, t: 18, b: 34}, xaxis: axis(t, {showgrid: false, tickangle: PHONE() ? -60 : 0, tickfont: {size: 10.5, color: t.muted}}), yaxis: axis(t, {title: titled("USD", t), range: [low - room, high + room]})})};
  },
  overTime(t) {
    const x = hours(DATA.clock), colours = {funding_received: t["c2"], funding_paid: t["c6"], price: t["c1"], fees: t["c3"], pnl: t["c-run"]};
    const spare = [t["c4"], t["c5"], t.muted];
    const colour = (s, k) => colours[s.key] || spare[k % 3];
    return {keys: DATA.over_time.map((s, k) => [s.label, colour(s, k)]), data: DATA.over_time.map((s, k) => ({x, y: floats(s.usd), name: literal(s.label), mode: "lines", hovertemplate: "%{y:+,.2f} USD",
      line: {color: colour(s, k), width: s.key === "pnl" ? 2.4 : 1.5}})),
      layout: layout(t, {showlegend: false, xaxis: dates(t, {hoverformat: "%Y-%m-%d %H:%M UTC", nticks: 5}), yaxis: axis(t, {title: titled("USD, cumulative", t)})})};
  },
  pairs(t) { return grouped(t, DATA.pairs); },
  coins(t) { return grouped(t, DATA.coins); },
  positions(t) {
    const p = DATA.positions, n = p.entry.length, many = n > 1500;
    const end = p.exit.map(e => e === null ? p.end : e), colour = p.pnl_usd.map((v, i) => p.exit[i] === null ? t.c5 : v >= 0 ? t.gain : t.loss);
    const rows = p.lane.reduce((a, b) => Math.max(a, b), 0) + 1;
    const custom = p.entry.map((e, i) => [literal(word(p.pair, i)), stamp(e), p.exit[i] === null ? "open" : stamp(p.exit[i]), fixed(p.pnl_usd[i], 2, true), word(p.reason, i).replace(/_/g, " "), end[i] - e, literal(word(p.symbol, i))]);
    return {height: Math.min(560, 70 + 34 * rows), data: [{type: "bar", orientation: "h", y: p.lane.map(l => l + 1), base: p.entry.map(e => e * HOUR), x: p.entry.map((e, i) => Math.max(end[i] - e, 0.4) * HOUR), width: 0.72,
      text: many ? undefined : custom.map(c => c[6] + "  " + c[0]), textposition: "inside", insidetextanchor: "start", insidetextfont: {color: t.card, size: 11}, customdata: custom, marker: {color: colour, line: {width: many ? 0 : 1, color: t.card}},
      hovertemplate: "<b>%{customdata[6]}</b> %{customdata[0]}<br>%{customdata[1]} to %{customdata[2]} (%{customdata[5]:,} h)<br>P&L %{customdata[3]} USD, %{customdata[4]}<extra></extra>"}],
      layout: layout(t, {hovermode: "closest", showlegend: false, uniformtext: {mode: "hide", minsize: 10}, margin: {l: 40, r: 14, t: 8, b: 34}, bargap: 0.2,
        xaxis: dates(t, {showgrid: true, range: [HOUR * (DATA.clock.at ? DATA.clock.at[0] : DATA.clock.first), HOUR * p.end]}), yaxis: axis(t, {title: titled("open at once", t), tickmode: rows > 12 ? "auto" : "linear", dtick: 1, autorange: "reversed", showgrid: false, zeroline: false, fixedrange: true})})};
  },
  calendar(t) {
    const c = DATA.calendar, byHour = calendarRows === "hours", z = (byHour ? c.hours : c.by_coin).map(floats);
    const y = byHour ? z.map((_, h) => h) : c.coins.map(literal);
    const sizes = z.flatMap(row => Array.from(row, Math.abs)).filter(v => v > 0).sort((a, b) => a - b), most = sizes.length ? sizes[Math.floor(0.98 * (sizes.length - 1))] : 1;
    return {height: byHour ? 400 : 90 + 24 * Math.max(y.length, 3), data: [{type: "heatmap", x: c.days, y, z, zmin: -most, zmax: most, xgap: c.days.length < 130 ? 1 : 0, ygap: 1, colorscale: [[0, t.loss], [0.5, t.mid], [1, t.gain]],
      colorbar: {thickness: 10, outlinewidth: 0, tickfont: {size: 11, color: t.muted}, title: {text: "USD", side: "top", font: {size: 11, color: t.muted}}},
      hovertemplate: byHour ? "%{x} %{y}:00<br>%{z:+,.2f} USD<extra></extra>" : "%{x} %{y}<br>%{z:+,.2f} USD<extra></extra>"}],
      layout: layout(t, {hovermode: "closest", margin: {l: 44, r: 8, t: 8, b: 34}, xaxis: dates(t, {}), yaxis: axis(t, byHour ? {autorange: "reversed", tickvals: [0, 4, 8, 12, 16, 20], ticktext: ["00:00", "04:00", "08:00", "12:00", "16:00", "20:00"], showgrid: false, zeroline: false} : {autorange: "reversed", showgrid: false, type: "category", dtick: 1, zeroline: false})})};
  },
  stress(t) {
    const rows = DATA.stress, y = rows.map(r => r.pnl_pct), low = Math.min(0, ...y), high = Math.max(0, ...y), room = 0.18 * (high - low || 1);
    return {data: [{type: "bar", x: rows.map(r => "x" + r.multiple), y, width: 0.6, text: y.map(v => fixed(v, 2, true) + " %"), textposition: "outside", cliponaxis: false, textfont: {color: t.ink, size: 12}, hovertemplate: "costs %{x}: %{text}<extra></extra>", marker: {color: y.map(v => v >= 0 ? t.gain : t.loss)}}],
      layout: layout(t, {hovermode: "closest", showlegend: false, xaxis: axis(t, {type: "category", showgrid: false, title: titled("cost multiple", t)}), yaxis: axis(t, {title: titled("P&L, %", t), range: [low - (low < 0 ? room : 0), high + (high > 0 ? room : 0.1 * (high - low || 1))]})})};
  },
  costCurve(t) { return lines(t, DATA.costs, {type: "linear", ticksuffix: "x", title: titled("cost multiple", t)}); },
  capacity(t) { return lines(t, DATA.capacity, {type: "log", dtick: 1, tickprefix: "$", title: titled("capital, USD", t)}); },
};
let calendarRows = "hours";

function lines(t, curves, x) {
  const colours = [t["c-run"], t["c1"], t["c2"], t["c3"], t["c4"], t["c6"], t["c5"]];
  const data = curves.map((c, k) => ({x: c.x, y: c.y, name: literal(c.name), mode: "lines+markers", line: {color: colours[k % 7], width: 2}, marker: {size: 7}, hovertemplate: "%{y:+.3f} %"}));
  return {data, layout: layout(t, {showlegend: true, margin: {l: 56, r: 14, t: 10, b: 44}, xaxis: axis(t, {showgrid: false, ...x}), yaxis: axis(t, {title: titled("P&L, % per 7 days", t), zeroline: true})})};
}

function grouped(t, g) {
  const colours = {funding_received: t["c2"], funding_paid: t["c6"], price_before_slippage: t["c1"], price: t["c1"], slippage: t.muted, fees: t["c3"], unrealised: t["c4"]};
  const names = g.names.map(literal), spare = [t["c4"], t["c5"], t["c-run"]], colour = (p, k) => colours[p.key] || spare[k % 3];
  const data = g.parts.map((p, k) => ({type: "bar", orientation: "h", name: literal(p.label), y: names, x: p.usd, width: 0.66, marker: {color: colour(p, k)}, hovertemplate: "%{y}<br>" + literal(p.label) + " %{x:+,.2f} USD<extra></extra>"}));
  data.push({type: "scatter", mode: "markers", name: "P&amp;L", y: names, x: g.pnl, marker: {symbol: "diamond", size: 9, color: t.ink, line: {color: t.card, width: 1.5}}, hovertemplate: "%{y}<br>P&amp;L %{x:+,.2f} USD<extra></extra>"});
  return {keys: [...g.parts.map((p, k) => [p.label, colour(p, k)]), ["P&L", t.ink]], height: 54 + 30 * Math.max(names.length, 2), data, layout: layout(t, {barmode: "relative", hovermode: "closest", showlegend: false, margin: {l: 8, r: 14, t: 6, b: 34},
    xaxis: axis(t, {title: titled("USD", t), nticks: 6}), yaxis: axis(t, {type: "category", autorange: "reversed", showgrid: false, tickfont: {size: 12, color: t.ink}})})};
}

/* The keys of a chart as text of the page: they wrap on a phone, where Plotly's would scroll. */
function keys(box, found) {
  const list = document.createElement("ul");
  list.className = "keys";
  found.forEach(([name, colour]) => { const item = document.createElement("li"), dot = document.createElement("i"); dot.style.background = colour; item.append(dot, name); list.append(item); });
  if (box.previousElementSibling && box.previousElementSibling.className === "keys") box.previousElementSibling.replaceWith(list); else box.before(list);
}

/* The library is large: it is run when the text is on screen, not before. */
let library = null;
function plotly() {
  library = library || new Promise(done => {
    const ready = () => requestAnimationFrame(() => setTimeout(() => unpack(document.getElementById("plotly").textContent).then(text => {
      const script = document.createElement("script");
      script.textContent = text;
      document.head.append(script);
      done(window.Plotly);
    })));
    if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", ready); else ready();
  });
  return library;
}
function unpack(text) {
  const raw = atob(text), bytes = Uint8Array.from(raw, c => c.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
}

async function draw(box) {
  const lib = await plotly(), chart = CHARTS[box.dataset.chart](theme());
  if (chart.height) box.style.height = chart.height + "px";
  if (chart.keys) keys(box, chart.keys);
  box.dataset.drawn = "yes";
  return lib.react(box, chart.data, chart.layout, {responsive: true, displaylogo: false, displayModeBar: PHONE() ? false : "hover", modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d"]});
}
const BOXES = [...document.querySelectorAll("[data-chart]")];
function drawAll() { return Promise.all(BOXES.map(draw)); }
/* What is not on screen is drawn when it comes near: the page opens at once. */
const near = new IntersectionObserver(seen => seen.filter(s => s.isIntersecting).forEach(s => { near.unobserve(s.target); draw(s.target); }), {rootMargin: "600px 0px"});
if ("DecompressionStream" in window) BOXES.forEach(box => near.observe(box));
else BOXES.forEach(box => { box.className = "empty"; box.textContent = "This browser is too old to draw charts; the tables hold the numbers."; });
window.addEventListener("beforeprint", drawAll);
function redraw() { BOXES.filter(box => box.dataset.drawn).forEach(draw); }
