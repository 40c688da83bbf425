// Keeps the page fresh, says how old it is, and draws the curves. Everything else is there without it.
"use strict";
(() => {
  const root = document.body.dataset.root, LOST_MS = 25000, AMBER_MIN = 90, RED_MIN = 120;
  let heard = Date.now(), source = null;
  const lost = document.getElementById("lost");
  const at = (text) => Date.parse(text.replace(" ", "T"));

  const spoken = (ms) => {
    const minutes = Math.floor(Math.abs(ms) / 60000), hours = Math.floor(minutes / 60);
    return hours >= 48 ? `${Math.floor(hours / 24)} days` : hours ? `${hours} h ${minutes % 60} min` : `${minutes} min`;
  };

  const tick = () => {
    const now = Date.now(), age = document.getElementById("age"), last = document.querySelector("[data-hour][data-mode]");
    if (age && last && last.dataset.hour && last.dataset.mode === "live") {
      const minutes = (now - at(last.dataset.hour)) / 60000;
      age.textContent = `(${spoken(now - at(last.dataset.hour))} ago)`;
      age.className = minutes >= RED_MIN ? "bad" : minutes >= AMBER_MIN ? "warn" : "";
    }
    document.querySelectorAll("[data-countdown]").forEach((cell) => {
      if (!cell.dataset.countdown || (last && last.dataset.mode !== "live")) return;
      const left = at(cell.dataset.countdown) - now;
      cell.textContent = left > 0 ? `in ${spoken(left)}` : `due for ${spoken(left)}`;
    });
    const silent = now - heard > LOST_MS;
    if (silent && lost.hidden) document.getElementById("lost-since").textContent = new Date(heard).toISOString().slice(11, 16);
    if (lost.hidden === silent) lost.hidden = !silent;
  };

  const news = () => document.body.dispatchEvent(new Event("arb-news"));
  const listen = () => {
    source = new EventSource(`${root}/api/v1/events`);
    let wasOpen = false;
    source.onopen = () => { heard = Date.now(); if (wasOpen) news(); wasOpen = true; };
    source.onmessage = news;
    ["hour", "restart"].forEach((kind) => source.addEventListener(kind, (event) => {
      const last = document.querySelector("[data-hour][data-mode]"), told = JSON.parse(event.data);
      if (last && kind === "hour") { last.dataset.hour = told.time; last.textContent = told.time.replace("T", " ").replace("Z", ""); }
      news();
    }));
  };
  // A comment every 15 s keeps the stream alive but is not told to scripts, so that life is asked for here.
  const alive = async () => {
    try {
      const answer = await fetch(`${root}/healthz`, { cache: "no-store", signal: AbortSignal.timeout(5000) });
      if (!answer.ok) return;
      const wasLost = !lost.hidden;
      heard = Date.now();
      tick();
      if (wasLost || !source || source.readyState === EventSource.CLOSED) { if (source) source.close(); listen(); news(); }
    } catch { /* the banner tells */ }
  };

  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const day = "{YYYY}-{MM}-{DD}", hour = "{HH}:{mm}";
  const dates = [[86400, day, null, null, null, null, null, null, 1], [3600, hour, `\n${day}`, null, `\n${day}`, null, null, null, 1], [60, hour, `\n${day}`, null, `\n${day}`, null, null, null, 1]];
  const axis = (more) => ({ stroke: style("--muted"), grid: { stroke: style("--grid"), width: 1 }, ticks: { stroke: style("--grid"), width: 1 }, ...more });
  const draw = (place, series, columns, marks) => {
    place.replaceChildren();
    if (!columns[0] || columns[0].length < 2) { place.innerHTML = '<p class="empty">Not enough hours yet.</p>'; return; }
    const options = {
      width: place.clientWidth, height: place.clientHeight - 30, tzDate: (ts) => uPlot.tzDate(new Date(ts * 1e3), "UTC"),
      series: [{ value: `${day} ${hour}` }, ...series], axes: [axis({ values: dates, space: 90 }), axis({ size: 64 })], hooks: { draw: marks ? [marks] : [] },
    };
    const plot = new uPlot(options, columns, place);
    new ResizeObserver(() => plot.setSize({ width: place.clientWidth, height: place.clientHeight - 30 })).observe(place);
  };
  const json = async (path) => (await fetch(`${root}/api/v1/${path}`)).json();
  const seconds = (rows) => rows.map((row) => at(row.time) / 1000);
  const charts = {
    equity: async (place) => {
      const [{ rows }, trades] = await Promise.all([json("paper/equity"), json("paper/trades?limit=1000")]);
      const open = await json("paper/positions"), times = seconds(rows);
      const marked = [...trades.rows.flatMap((t) => [[t.entry_time, "in"], [t.exit_time, "out"]]), ...open.rows.map((t) => [t.opened_hour, "in"])];
      const marks = (plot) => marked.forEach(([time, what]) => {
        const x = Math.round(plot.valToPos(at(time) / 1000, "x", true)), { ctx, bbox } = plot;
        if (!(x >= bbox.left && x <= bbox.left + bbox.width)) return;
        ctx.save(); ctx.strokeStyle = style(what === "in" ? "--good" : "--loss"); ctx.setLineDash([3, 4]); ctx.beginPath(); ctx.moveTo(x, bbox.top); ctx.lineTo(x, bbox.top + bbox.height); ctx.stroke(); ctx.restore();
      });
      const start = Number(place.dataset.capital);
      draw(place, [{ label: "Equity, USD", stroke: style("--c-run"), width: 2, value: (_, v) => v == null ? "" : v.toFixed(2) }, { label: "hold", stroke: style("--c5"), dash: [6, 4], value: (_, v) => v == null ? "" : v.toFixed(2) }], [times, rows.map((r) => r.equity_usd), rows.map(() => start)], marks);
    },
    drawdown: async (place) => {
      const { rows } = await json("paper/equity");
      draw(place, [{ label: "Below the peak, %", stroke: style("--loss"), fill: `${style("--loss")}22`, value: (_, v) => v == null ? "" : v.toFixed(2) }], [seconds(rows), rows.map((r) => r.drawdown_pct)]);
    },
    legs: async (place) => {
      const found = await (await fetch(place.dataset.url)).json();
      draw(place, [{ label: `long ${found.long_exchange}`, stroke: style("--c-run"), width: 2 }, { label: `short ${found.short_exchange}`, stroke: style("--c1"), width: 2 }], [seconds(found.hours), found.hours.map((r) => r.long), found.hours.map((r) => r.short)]);
    },
    spread: async (place) => {
      const found = await (await fetch(place.dataset.url)).json();
      draw(place, [{ label: "Spread, bps", stroke: style("--c2"), width: 2, value: (_, v) => v == null ? "" : v.toFixed(1) }], [seconds(found.hours), found.hours.map((r) => r.spread_bps)]);
    },
  };
  const drawAll = () => document.querySelectorAll("[data-chart]").forEach((place) => charts[place.dataset.chart](place).catch(() => {}));

  document.body.addEventListener("htmx:afterSwap", () => { drawAll(); tick(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  drawAll(); tick(); listen();
  setInterval(tick, 1000); setInterval(alive, 5000);
})();
