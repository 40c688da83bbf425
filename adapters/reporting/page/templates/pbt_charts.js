/* Charts of a population; the same agent has the same colour in all of them. */
const AGENT_COLOURS = ["c-run", "c1", "c2", "c3", "c4", "c6", "c5"];
function agentLine(t, agent, more) { return {color: t[AGENT_COLOURS[agent % 7]], dash: agent < 7 ? "solid" : agent < 14 ? "dot" : "dash", ...more}; }
function iterations(t) { return axis(t, {title: titled("iteration", t), showgrid: false, dtick: Math.max(1, Math.ceil(DATA.iterations.length / (PHONE() ? 6 : 14))), tick0: 1, zeroline: false}); }
const AGENT_NAMES = DATA.agents.map(agent => "agent " + agent);

Object.assign(CHARTS, {
  lanes(t) {
    const name = agent => "agent " + agent, data = [{x: DATA.iterations, y: DATA.kin.map(name), mode: "lines", line: {color: t.warn, width: 9}, opacity: 0.35, hoverinfo: "skip"}];
    DATA.agents.forEach(source => {
      const own = DATA.links.filter(link => link[1] === source);
      data.push({x: own.flatMap(link => [link[0], link[2], null]), y: own.flatMap(link => [name(link[1]), name(link[3]), null]), mode: "lines", line: agentLine(t, source, {width: 1.6}), hoverinfo: "skip"});
    });
    data.push({x: DATA.dots.map(dot => dot.iteration), y: DATA.dots.map(dot => name(dot.agent)), mode: "markers", customdata: DATA.dots.map(dot => literal(dot.hint)), hovertemplate: "%{customdata}<extra></extra>",
      marker: {size: 11, symbol: DATA.dots.map(dot => dot.failed ? "circle-open" : "circle"), color: DATA.dots.map(dot => dot.worse), cmin: 0, cmax: 1, colorscale: [[0, t.gain], [1, t.line]], line: {width: 1.5, color: t.gain}}});
    return {height: 80 + 34 * DATA.agents.length, data, layout: layout(t, {hovermode: "closest", showlegend: false, margin: {l: 60, r: 14, t: 8, b: 40}, xaxis: iterations(t), yaxis: axis(t, {type: "category", categoryorder: "array", categoryarray: AGENT_NAMES, autorange: "reversed", showgrid: false})})};
  },
  rewards(t) {
    const rows = DATA.rewards;
    return {data: [{x: rows.map(r => r[1]), y: rows.map(r => r[2]), mode: "markers", customdata: rows.map(r => r[0]), hovertemplate: "iteration %{customdata}<br>reward %{x:+.3f}, P&L %{y:+.3f} %<extra></extra>",
      marker: {size: 8, color: rows.map(r => r[0]), colorscale: [[0, t.line], [1, t.gain]], line: {width: 0.8, color: t.muted}}}],
      layout: layout(t, {hovermode: "closest", showlegend: false, xaxis: axis(t, {title: titled("reward", t)}), yaxis: axis(t, {title: titled("P&L, %", t), zeroline: true})})};
  },
});
DATA.series.forEach((s, k) => { CHARTS["series" + k] = t => ({
  keys: DATA.agents.map(agent => ["agent " + agent, t[AGENT_COLOURS[agent % 7]]]),
  data: DATA.agents.map((agent, n) => ({x: DATA.iterations, y: s.y[n], name: AGENT_NAMES[n], mode: "lines+markers", line: agentLine(t, agent, {width: 1.8}), marker: {size: 6}, hovertemplate: "%{y:.4g}"})),
  layout: layout(t, {showlegend: false, xaxis: iterations(t), yaxis: axis(t, {type: s.log ? "log" : "linear", tickformat: s.log ? ".1e" : undefined})}),
}); });
