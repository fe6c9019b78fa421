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
    this.says = section.querySelector(".says");
    this.names = this.data.models.map(({ name }) => name.toLowerCase());
    const body = section.querySelector("tbody");
    body.addEventListener("click", (event) => this.click(event));
    body.addEventListener("keydown", (event) => this.key(event));
    body.addEventListener("pointerover", (event) => this.tell(event.target));
    body.addEventListener("focusin", (event) => this.tell(event.target));
    section.querySelector("thead").addEventListener("click", (event) => {
      const head = event.target.closest(".at");
      if (head) this.invocation(head.cellIndex - 2);
    });
    const first = this.rows[0]?.cells[this.data.runs.length + 1];
    if (first) first.tabIndex = 0;
    this.narrowing();
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
    const [status, words, , took] = cell;
    const seconds = took === null ? "" : ` (${inSeconds(took)})`;
    return [this.data.statuses[status] + seconds, this.data.texts[words]].filter(Boolean).join(": ");
  }

  tell(target) {
    const place = this.at(target);
    if (!place) return;
    const { name } = this.data.models[place.row];
    const words = `${name}, ${this.data.runs[place.column].at}: ${this.text(place.row, place.column)}`;
    this.says.textContent = words;
    place.cell.title = words;
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

  focus(row, column) {
    const old = this.section.querySelector("td[tabindex]");
    old?.removeAttribute("tabindex");
    const cell = this.rows[row].cells[column + 2];
    cell.tabIndex = 0;
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
      const [status, words, error, took, rows, ran] = cell;
      const look = this.data.statuses[status];
      content[1].replaceChildren(element("b", { class: look }, look), ` · ${run.at} · ${run.words}`);
      if (this.data.texts[words]) content.push(element("pre", { class: "why" }, this.data.texts[words]));
      if (this.data.texts[error]) content.push(element("pre", { class: "error" }, this.data.texts[error]));
      const facts = [
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
    const { name, facts, cells, audits } = this.data.models[row];
    const content = [element("h3", {}, name), factList(facts)];
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
      const named = bars.map(([model, ...rest]) =>
        typeof model === "string"
          ? [model, ...rest, null]
          : [this.data.models[model].name, ...rest, `#${this.rows[model].id}`]
      );
      content.push(element("h4", {}, "Models by time"), ganttChart({ length, bars: named }));
    } else {
      content.push(element("p", {}, "No model was evaluated, or the times are not known."));
    }
    show(`Invocation of ${at}`, ...content);
  }

  narrowing() {
    const bar = this.section.querySelector(".bar");
    const [search, noted] = bar.querySelectorAll("input");
    const narrow = () => {
      const text = search.value.trim().toLowerCase();
      let shown = 0;
      this.rows.forEach((row, number) => {
        row.hidden = !this.names[number].includes(text) || (noted.checked && !row.matches(".noted"));
        shown += !row.hidden;
      });
      const every = `${this.rows.length} ${this.rows.length === 1 ? "model" : "models"}`;
      bar.querySelector("output").textContent =
        shown < this.rows.length ? `${shown} of ${every}` : every;
    };
    search.addEventListener("input", narrow);
    noted.addEventListener("change", narrow);
    narrow();
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
  for (const section of document.querySelectorAll(".environment")) new Environment(section);
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !panel().hidden) hide();
  });
});
