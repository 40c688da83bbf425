/* --- theme --- */
const THEMES = ["auto", "light", "dark"];
const themeButton = document.getElementById("theme");
function setTheme(name) {
  if (name === "auto") delete document.documentElement.dataset.theme; else document.documentElement.dataset.theme = name;
  try { if (name === "auto") localStorage.removeItem("arb-theme"); else localStorage.setItem("arb-theme", name); } catch { /* no storage for files here */ }
  themeButton.textContent = "Theme: " + name;
  redraw();
}
themeButton.textContent = "Theme: " + (document.documentElement.dataset.theme || "auto");
themeButton.addEventListener("click", () => setTheme(THEMES[(THEMES.indexOf(document.documentElement.dataset.theme || "auto") + 1) % 3]));
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);

/* --- sorting: first click of a number shows the largest, of a word the first --- */
function compare(a, b) {
  if (a === null || b === null) return (a === null) - (b === null);
  return typeof a === "number" ? a - b : a < b ? -1 : a > b ? 1 : 0;
}
function sorted(rows, value, down) {
  const keyed = rows.map((row, place) => [value(row), place, row]);
  keyed.sort((a, b) => a[0] === null || b[0] === null ? compare(a[0], b[0]) || a[1] - b[1] : (down ? -1 : 1) * compare(a[0], b[0]) || a[1] - b[1]);
  return keyed.map(k => k[2]);
}
function turn(th) {
  const down = th.getAttribute("aria-sort") ? th.getAttribute("aria-sort") === "ascending" : th.classList.contains("n");
  th.parentNode.querySelectorAll("[aria-sort]").forEach(other => other.removeAttribute("aria-sort"));
  th.setAttribute("aria-sort", down ? "descending" : "ascending");
  return down;
}
document.querySelectorAll("table.sortable").forEach(table => table.querySelectorAll("thead th").forEach((th, k) => th.addEventListener("click", () => {
  const down = turn(th), body = table.tBodies[0];
  const value = row => { const cell = row.cells[k]; if (!("v" in cell.dataset)) return cell.textContent.trim().toLowerCase(); return cell.dataset.v === "" ? null : Number(cell.dataset.v); };
  body.append(...sorted([...body.rows], value, down));
})));

/* --- trades --- */
const tradeTable = document.getElementById("trade-table");
if (tradeTable) {
  const T = DATA.trades, PAGE = 100;
  const money = (key, head) => ({head, unit: "USD", kind: "n", value: i => T[key][i], text: i => fixed(T[key][i], 2, true), signed: true});
  const bps = (key, head) => ({head, unit: "bps/day", kind: "n", value: i => T[key][i], text: i => fixed(T[key][i], 1, true)});
  const words = (key, head) => ({head, kind: "t", value: i => word(T[key], i), text: i => word(T[key], i)});
  const when = (key, head) => ({head, unit: "UTC", kind: "t", value: i => T[key][i], text: i => stamp(T[key][i])});
  const columns = [
    words("symbol", "Coin"),
    money("pnl", "P&L"), {head: "P&L", unit: "%", kind: "n", value: i => T.pct[i], text: i => fixed(T.pct[i], 3, true), signed: true},
    words("long", "Long"), words("short", "Short"), when("entry", "Entry"), when("exit", "Exit"),
    {head: "Held", unit: "h", kind: "n", value: i => T.hours[i], text: i => fixed(T.hours[i], 0)},
    {head: "Exit reason", kind: "t", value: i => word(T.reason, i), text: i => word(T.reason, i), chip: true},
    money("funding", "Funding"), money("price", "Price"), money("slippage", "Slippage"), money("fees", "Fees"),
    {head: "Size", unit: "USD", kind: "n", value: i => T.size[i], text: i => fixed(T.size[i], 0)},
    ...(T.now ? [bps("now", "Seen at entry: now"), bps("week", "168 h"), {head: "Spread", unit: "bps", kind: "n", value: i => T.spread[i], text: i => fixed(T.spread[i], 1, true)}, {head: "Rank", kind: "n", value: i => T.rank[i], text: i => fixed(T.rank[i], 0)}] : []),
    {head: "Id", kind: "n", value: i => T.id[i], text: i => String(T.id[i])},
  ];
  const all = T.id.map((_, i) => i), haystack = all.map(i => columns.filter(c => c.kind === "t").map(c => c.text(i)).join(" ").toLowerCase());
  let order = all, shown = PAGE;
  const body = tradeTable.tBodies[0], more = document.getElementById("more"), found = document.getElementById("found"), filter = document.getElementById("filter");
  const head = document.createElement("tr");
  columns.forEach((column, k) => {
    const th = document.createElement("th"), button = document.createElement("button"), unit = document.createElement("small");
    th.scope = "col"; th.className = column.kind; button.type = "button"; button.textContent = column.head + (column.unit ? " " : "");
    if (column.unit) { unit.textContent = column.unit; button.append(unit); }
    th.append(button); head.append(th);
    th.addEventListener("click", () => { order = sorted(all, columns[k].value, turn(th)); shown = PAGE; show(); });
  });
  tradeTable.tHead.append(head);
  const show = () => {
    const needles = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const matching = order.filter(i => needles.every(needle => haystack[i].includes(needle)));
    body.replaceChildren(...matching.slice(0, shown).map(i => {
      const tr = document.createElement("tr");
      columns.forEach((column, k) => {
        const cell = document.createElement(k ? "td" : "th");
        cell.className = column.kind + (column.signed && column.value(i) < 0 ? " minus" : "");
        if (column.chip) { const chip = document.createElement("span"); chip.className = "chip" + (/liquid|stop|outage/.test(column.text(i)) ? " bad" : ""); chip.textContent = column.text(i); cell.append(chip); } else cell.textContent = column.text(i);
        tr.append(cell);
      });
      return tr;
    }));
    more.hidden = matching.length <= shown;
    const sum = matching.reduce((total, i) => total + T.pnl[i], 0);
    found.textContent = matching.length.toLocaleString("en-US") + " of " + all.length.toLocaleString("en-US") + " trades, P&L " + fixed(sum, 2, true) + " USD";
  };
  filter.addEventListener("input", () => { shown = PAGE; show(); });
  more.addEventListener("click", () => { shown += 5 * PAGE; show(); });
  show();
}

/* --- calendar --- */
document.querySelectorAll("[data-calendar]").forEach(button => button.addEventListener("click", () => {
  calendarRows = button.dataset.calendar;
  document.querySelectorAll("[data-calendar]").forEach(other => other.classList.toggle("on", other === button));
  redraw();
}));

/* --- where the reader is --- */
const links = new Map([...document.querySelectorAll("nav a")].map(a => [a.getAttribute("href").slice(1), a]));
const spy = new IntersectionObserver(seen => seen.forEach(s => {
  if (!s.isIntersecting) return;
  links.forEach((a, id) => a.classList.toggle("here", id === s.target.id));
}), {rootMargin: "-20% 0px -70% 0px"});
document.querySelectorAll("section[id]").forEach(section => spy.observe(section));
