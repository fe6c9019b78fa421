// Details of cells, models and invocations of a history. The grid is complete without.
const panel = () => document.querySelector(".panel");
let opener = null;

function show(label, ...content) {
  const host = panel();
  const close = element("button", { type: "button", class: "close", "aria-label": "Close" }, "×");
  close.addEventListener("click", hide);
  if (host.hidden) opener = document.activeElement;
  host.setAttribute("aria-label", label);
  host.replaceChildren(close, ...content);
  host.hidden = false;
  host.scrollTop = 0;
  host.focus({ preventScroll: true });
}

function hide() {
  panel().hidden = true;
  if (opener?.isConnected) opener.focus({ preventScroll: true });
}

class Environment {
  constructor(section) {
    this.section = section;
    this.data = JSON.parse(section.querySelector("script").textContent);
    this.rows = [...section.querySelectorAll("tbody tr")];
    this.status = section.querySelector(".status");
    this.names = this.data.models.map(({ name }) => name.toLowerCase());
    const body = section.querySelector("tbody");
    body.addEventListener("click", (event) => this.click(event));
    body.addEventListener("keydown", (event) => this.key(event));
    body.addEventListener("pointerover", (event) => this.describe(event.target));
    body.addEventListener("focusin", (event) => this.describe(event.target));
    section.querySelector("thead").addEventListener("click", (event) => {
      const head = event.target.closest(".at");
      if (head) this.invocation(head.cellIndex - 2);
    });
    this.filters = [...section.querySelectorAll(".bar input")];
    for (const filter of this.filters) filter.addEventListener("input", () => this.filter());
    if (this.rows.length) this.moveStop(0, this.data.runs.length - 1);
    this.filter();
    const grid = section.querySelector(".grid");
    grid.scrollLeft = grid.scrollWidth;
  }

  // The model and the invocation of a cell; undefined elsewhere.
  at(target) {
    const cell = target.closest?.("td:not(.line)");
    return cell && { cell, row: cell.parentElement.sectionRowIndex, column: cell.cellIndex - 2 };
  }

  text(row, column) {
    const cell = this.data.models[row].cells[column];
    if (!cell) return "not part of this invocation";
    const [, message, , took] = cell;
    return this.data.texts[message] + (took === null ? "" : ` (${inSeconds(took)})`);
  }

  describe(target) {
    const place = this.at(target);
    if (!place) return;
    const { name } = this.data.models[place.row];
    const description = `${name}, ${this.data.runs[place.column].at}: ${this.text(place.row, place.column)}`;
    this.status.textContent = description;
    place.cell.title = description;
  }

  click(event) {
    const place = this.at(event.target);
    if (place) {
      this.focus(place.row, place.column);
      this.cell(place.row, place.column);
    } else if (event.target.closest(".name a, .line")) {
      this.model(event.target.closest("tr").sectionRowIndex);
    }
  }

  key(event) {
    const place = this.at(event.target);
    if (!place || event.altKey || event.ctrlKey || event.metaKey) return;
    const last = this.data.runs.length - 1;
    const [row, column] = {
      ArrowUp: [this.next(place.row, -1), place.column],
      ArrowDown: [this.next(place.row, 1), place.column],
      ArrowLeft: [place.row, Math.max(0, place.column - 1)],
      ArrowRight: [place.row, Math.min(last, place.column + 1)],
      Home: [place.row, 0],
      End: [place.row, last],
      Enter: [place.row, place.column],
    }[event.key] ?? [];
    if (row === undefined) return;
    event.preventDefault();
    if (event.key === "Enter") this.cell(row, column);
    else this.focus(row, column);
  }

  // The next row that is shown.
  next(row, step) {
    for (let to = row + step; to >= 0 && to < this.rows.length; to += step) {
      if (!this.rows[to].hidden) return to;
    }
    return row;
  }

  // The cell that the Tab key reaches.
  get stop() {
    return this.section.querySelector("td[tabindex]");
  }

  moveStop(row, column) {
    this.stop?.removeAttribute("tabindex");
    const cell = this.rows[row].cells[column + 2];
    if (cell) cell.tabIndex = 0;
    return cell;
  }

  focus(row, column) {
    const cell = this.moveStop(row, column);
    cell.focus({ preventScroll: true });
    cell.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  cell(row, column) {
    const { name, cells, audits } = this.data.models[row];
    const run = this.data.runs[column];
    const cell = cells[column];
    const content = [element("h3", {}, name), element("p", { class: "marks" }, run.at)];
    if (!cell) {
      content.push(element("p", {}, "The model was not part of this invocation."));
    } else {
      const [status, message, error, took, rows, ran, intervals, also] = cell;
      const look = this.data.statuses[status];
      content[1].replaceChildren(element("b", { class: look }, look), ` · ${run.at} · ${run.words}`);
      content.push(element("pre", { class: "why" }, this.data.texts[message]));
      if (this.data.texts[error]) content.push(element("pre", { class: "error" }, this.data.texts[error]));
      const facts = [
        ["intervals", this.data.texts[intervals]],
        ["also", this.data.texts[also]],
        ["time", took === null ? "" : inSeconds(took)],
        ["rows", rows === null ? "" : rows.toLocaleString("en-US")],
        ["audits", audits.filter((_, number) => ran[number] === "p").join(", ")],
        ["failed audits", audits.filter((_, number) => ran[number] === "f").join(", ")],
      ];
      content.push(factList(facts));
    }
    const whole = element("button", { type: "button" }, "Show model");
    whole.addEventListener("click", () => this.model(row));
    const invocation = element("button", { type: "button" }, "Show invocation");
    invocation.addEventListener("click", () => this.invocation(column));
    content.push(element("div", { class: "steps" }, whole, invocation));
    show(`${name}, ${run.at}`, ...content);
    // The panel can have covered it.
    this.rows[row].cells[column + 2].scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  model(row) {
    const { name, file, facts, cells, audits } = this.data.models[row];
    const [path, address] = file;
    const shown = address ? element("a", { href: address }, path) : path;
    const content = [element("h3", {}, name), factList([["file", shown], ...facts])];
    const took = cells.map((cell) => cell?.[3] ?? null);
    const most = Math.max(...took.map(Number));
    if (most > 0) {
      const chart = svg("svg", { class: "chart", viewBox: `0 0 ${cells.length} 100`, preserveAspectRatio: "none", role: "img", "aria-label": "Durations by invocation" });
      took.forEach((each, number) => {
        if (each === null) return;
        const height = Math.max(1, (96 * each) / most);
        const bar = svg("rect", { x: number + 0.1, width: 0.8, y: 100 - height, height, class: this.data.statuses[cells[number][0]] });
        const title = svg("title", {});
        title.textContent = `${this.data.runs[number].at}: ${inSeconds(each)}`;
        bar.append(title);
        chart.append(bar);
      });
      content.push(element("h4", {}, `Durations, ${inSeconds(most)} at most`), chart);
    }
    if (audits.length) {
      const list = element("div", { class: "audits" });
      audits.forEach((audit, place) => {
        const lane = svg("svg", { viewBox: `0 0 ${cells.length} 10`, preserveAspectRatio: "none", role: "img" });
        let failed = 0, ran = 0;
        cells.forEach((cell, number) => {
          const letter = cell?.[5][place] ?? "-";
          if (letter === "-") return;
          ran += 1;
          failed += letter === "f";
          lane.append(svg("rect", { x: number + 0.1, width: 0.8, height: 10, class: letter }));
        });
        lane.setAttribute("aria-label", `failed in ${failed} of ${ran} invocations`);
        list.append(element("span", {}, `${audit} `, element("small", {}, failed ? `failed in ${failed} of ${ran}` : "passed")), lane);
      });
      content.push(element("h4", {}, "Audits"), list);
    }
    show(name, ...content);
  }

  invocation(column) {
    const { at, words, error, bars, length } = this.data.runs[column];
    const content = [element("h3", {}, at), element("p", { class: "marks" }, words)];
    if (error) content.push(element("pre", { class: "error" }, error));
    if (bars.length) {
      // Models that the page does not list have their names.
      const withNames = bars.map(([model, status, ...rest]) =>
        typeof model === "string"
          ? [model, this.data.statuses[status], ...rest, null]
          : [this.data.models[model].name, this.data.statuses[status], ...rest, `#${this.rows[model].id}`]
      );
      content.push(element("h4", {}, "Models by time"), ganttChart({ length, bars: withNames }));
    } else {
      content.push(element("p", {}, "No model was evaluated, or the times are not known."));
    }
    show(`Invocation of ${at}`, ...content);
  }

  // Hide the rows that the filters leave out.
  filter() {
    const [search, noted] = this.filters;
    const text = search.value.trim().toLowerCase();
    this.rows.forEach((row, number) => {
      row.hidden = !this.names[number].includes(text) || (noted.checked && !row.matches(".noted"));
    });
    const shown = this.rows.filter((row) => !row.hidden);
    const every = `${this.rows.length} ${this.rows.length === 1 ? "model" : "models"}`;
    this.section.querySelector(".bar output").textContent =
      shown.length < this.rows.length ? `${shown.length} of ${every}` : every;
    if (shown.length && this.stop?.parentElement.hidden) {
      this.moveStop(shown[0].sectionRowIndex, this.stop.cellIndex - 2);
    }
  }

  showAll() {
    const [search, noted] = this.filters;
    search.value = "";
    noted.checked = false;
    this.filter();
  }
}

function factList(facts) {
  const list = element("dl");
  for (const [label, value] of facts) {
    if (value) list.append(element("dt", {}, label), element("dd", {}, value));
  }
  return list;
}

addEventListener("DOMContentLoaded", () => {
  const environments = [...document.querySelectorAll(".environment")].map((section) => new Environment(section));
  addEventListener("click", (event) => {
    const hash = event.target.closest?.('a[href^="#"]')?.hash;
    // Encoded as the rows' ids. A link to a row that the filters hide shows all rows.
    const row = hash && document.getElementById(hash.slice(1));
    if (row?.hidden) environments.find(({ section }) => section.contains(row))?.showAll();
  });
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !panel().hidden) hide();
  });
});
