// What is shown is kept in the address after '#': page, data, run, reader, and the engines and conditions left out.
// Answers and titles were computed when the report was written, one per slice: `data|run|reader`.
const ANY = "*";
const root = document.documentElement;
const views = new Map();
let turns = 0;
let state = new URLSearchParams(location.hash.slice(1));

const json = (parent, name) => JSON.parse(parent.querySelector(`script.${name}`).textContent);
const left = (name) => (state.get(`${name}-off`) || "").split(",").filter(Boolean);
const isOption = (select, value) => [...select.options].some((option) => option.value === value);

function currentPage() {
  return document.getElementById(`page-${state.get("page")}`) || document.querySelector(".page");
}

function pickOf(page) {
  const pick = { data: "", run: "latest", reader: "all", engine: left("engine"), condition: left("condition") };
  for (const select of page.querySelectorAll("select")) {
    const wanted = state.get(select.name);
    select.value = isOption(select, wanted) ? wanted : select.options[0].value;
    pick[select.name] = select.value;
  }
  for (const box of page.querySelectorAll(".chip input")) box.checked = !pick[box.name].includes(box.value);
  return pick;
}

function isShown(tags, pick) {
  const has = (name) => tags[name] !== undefined;
  return (!has("data") || pick.data === "" || tags.data === pick.data)
    && (!has("run") || (pick.run === "latest" ? tags.latest : tags.run === pick.run))
    && (!has("reader") || pick.reader === "all" || tags.reader === pick.reader)
    && (!has("condition") || !pick.condition.includes(tags.condition))
    && (!has("engine") || !pick.engine.includes(tags.engine));
}

async function drawFigure(figure, pick, slice) {
  const lines = [...figure.querySelectorAll("tr[data-tags]")];
  for (const line of lines) line.hidden = !isShown(JSON.parse(line.dataset.tags), pick);
  const empty = lines.length > 0 && lines.every((line) => line.hidden);
  const chart = figure.querySelector(".chart");
  figure.querySelector(".nothing").hidden = !empty;
  chart.hidden = empty;
  const titles = json(figure, "titles");
  const title = titles[slice] || titles[ANY] || "";
  figure.querySelector("h3").textContent = title;
  chart.setAttribute("aria-label", title);
  if (empty) return;
  if (!views.has(figure.id)) {
    const spec = json(figure, "spec");
    spec.signals.find((signal) => signal.name === "pick").value = pick;
    const options = { mode: "vega", renderer: "svg", actions: false, tooltip: { theme: "custom" } };
    views.set(figure.id, vegaEmbed(chart, spec, options).then((result) => result.view));
    await views.get(figure.id);
  } else {
    const view = await views.get(figure.id);
    await view.signal("pick", pick).resize().runAsync();
  }
}

async function show() {
  const turn = ++turns;
  delete root.dataset.drawn;
  const page = currentPage();
  for (const other of document.querySelectorAll(".page")) other.hidden = other !== page;
  for (const link of document.querySelectorAll("nav a")) {
    link.toggleAttribute("aria-current", link.dataset.page === page.dataset.key);
  }
  const pick = pickOf(page);
  const slice = `${pick.data}|${pick.run}|${pick.reader}`;
  let measured = false;
  for (const answers of page.querySelectorAll(".answers")) {
    const ofSlice = answers.dataset.slice === slice || answers.dataset.slice === ANY;
    measured ||= ofSlice;
    answers.hidden = !ofSlice || pick.condition.includes(answers.dataset.condition);
  }
  const filtered = page.querySelector(".filters") !== null;
  page.querySelectorAll(".combination, .figures").forEach((part) => {
    part.hidden = part.matches(".figures") ? filtered && !measured : !filtered || measured;
  });
  page.querySelectorAll(".hint").forEach((hint) => { hint.hidden = !pick.engine.length; });
  if (measured || !filtered) {
    await Promise.all([...page.querySelectorAll("figure")].map((figure) => drawFigure(figure, pick, slice)));
  }
  const row = state.get("row") && page.querySelector(`[data-ref="${CSS.escape(state.get("row"))}"]`);
  document.querySelectorAll("tr.found").forEach((line) => line.classList.remove("found"));
  if (row) {
    row.classList.add("found");
    row.closest("details")?.setAttribute("open", "");
    row.scrollIntoView({ block: "center" });
  }
  if (turn === turns) root.dataset.drawn = page.dataset.key || "none";
}

function keep(change, asStep = false) {
  for (const [name, value] of Object.entries(change)) value ? state.set(name, value) : state.delete(name);
  if (asStep) location.hash = state; // a step that the back button takes back; hashchange shows it
  else { history.replaceState(null, "", `#${state}`); return show(); }
}

document.addEventListener("change", (event) => {
  const { name, form } = event.target;
  if (event.target.matches("select")) return keep({ [name]: event.target.selectedIndex ? event.target.value : "" });
  const off = [...form.querySelectorAll(`[name=${name}]:not(:checked)`)].map((box) => box.value);
  keep({ [`${name}-off`]: off.join(",") });
});
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-row], a[data-page]");
  if (link) {
    event.preventDefault();
    keep(link.dataset.row ? { page: "evidence", row: link.dataset.row } : { page: link.dataset.page, row: "" }, true);
  }
  if (event.target.matches(".reset")) keep({ data: "", run: "", reader: "", "engine-off": "", "condition-off": "" });
});
window.addEventListener("hashchange", () => { state = new URLSearchParams(location.hash.slice(1)); show(); });
window.addEventListener("beforeprint", () => {
  currentPage()?.querySelectorAll("figure details.data").forEach((details) => details.setAttribute("open", ""));
});

const stored = (() => { try { return localStorage.getItem("theme"); } catch { return null; } })();
if (stored) root.dataset.theme = stored;
document.getElementById("theme").addEventListener("click", () => {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  try { localStorage.setItem("theme", root.dataset.theme); } catch { /* a file opened without storage */ }
});

if (matchMedia("(max-width: 520px)").matches) {
  document.querySelectorAll(".filters").forEach((filters) => filters.removeAttribute("open"));
}
show();
