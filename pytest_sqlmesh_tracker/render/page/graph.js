// The graph: zooming, dragging, highlighting, and drawing only a part of it.
"use strict";

const LARGE = 60; // models; of more, what matters is shown by itself
const FAR = 0.5; // below this scale labels can't be read, and are left out
const LEGIBLE = 0.8; // the smallest scale at which a drawing is chosen by itself
const LONGEST = 1200; // pixels; so high a drawing is shown whole, and the page scrolls
const ROW = 40, GAP = 64, MARGIN = 18, BOX = 28, TALLEST = 24;

class Graph {
  // up, down: for each model the numbers of its neighbors; causes: what is blocked, and why.
  constructor(section, up, down, causes) {
    this.canvas = section.querySelector(".canvas");
    this.svg = this.canvas.querySelector("svg");
    this.buttons = [...section.querySelectorAll("[data-view]")];
    this.up = up;
    this.down = down;
    this.causes = causes;
    this.nodes = [...this.svg.querySelectorAll(".n")].map((element) => {
      const [x, y] = element.getAttribute("transform").match(/-?\d+/g).map(Number);
      const width = Number(element.querySelector("rect").getAttribute("width"));
      const address = element.getAttribute("href");
      return { element, address, x, y, width, at: { x, y }, layer: Number(element.dataset.l) };
    });
    this.edges = [...this.svg.querySelectorAll("[data-e]")].map((element) => {
      const [parent, child] = element.dataset.e.split(" ").map(Number);
      return { element, parent, child, path: element.getAttribute("d") };
    });
    this.size = { width: this.svg.width.baseVal.value, height: this.svg.height.baseVal.value };
    this.selected = null;
    this.section = section;
    const overview = section.querySelector(".schemas");
    this.schemas = overview && new Schemas(overview);
    for (const button of this.buttons) {
      button.addEventListener("click", () => this.show((this.wanted = button.dataset.view)));
    }
    this.button("causes").hidden = !causes.size;
    for (const button of section.querySelectorAll("[data-zoom]")) {
      const factor = { in: 1.3, out: 1 / 1.3 }[button.dataset.zoom];
      button.addEventListener("click", () => (factor ? this.zoom(this.scale * factor) : this.fit(0)));
    }
    this.canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      this.zoom(this.scale * Math.exp(-event.deltaY / 300), event);
    }, { passive: false });
    this.canvas.addEventListener("keydown", (event) => this.walk(event));
    this.dragging();
    this.show(this.preferred);
    let width = this.room;
    new ResizeObserver(() => {
      // A scroll bar that comes or goes is not worth another drawing.
      if (!this.room || Math.abs(this.room - width) < 20) return;
      width = this.room;
      this.show(this.view === "related" ? "related" : this.preferred);
    }).observe(section);
  }

  get room() {
    return this.section.clientWidth;
  }

  // What is wanted, else the first that can be read as a whole: schemas where no models can.
  get preferred() {
    if (this.wanted && this.wanted !== "related") return this.wanted;
    const views = this.nodes.length <= LARGE ? ["all"] : this.causes.size ? ["causes"] : [];
    const usual = this.schemas ? "schemas" : this.causes.size && this.nodes.length > LARGE ? "causes" : "all";
    return views.find((view) => this.drawing(this.models(view)).fits) ?? usual;
  }

  button(view) {
    return this.buttons.find((button) => button.dataset.view === view);
  }

  // Draw all models, or only some: then only those take room.
  show(view) {
    if (view === "related" && this.selected === null) view = "all";
    this.view = view;
    for (const button of this.buttons) {
      button.setAttribute("aria-pressed", String(button.dataset.view === view));
    }
    this.button("related").disabled = this.selected === null;
    this.schemas?.show(view === "schemas");
    this.canvas.hidden = view === "schemas";
    this.section.querySelector(".zoom").hidden = view === "schemas";
    if (view === "schemas") return;
    const shown = this.models(view);
    this.drawn = this.drawing(shown);
    this.canvas.classList.toggle("whole", this.drawn.fits);
    const { size, moved, curve } = this.drawn;
    this.nodes.forEach(({ element, x, y, at }, number) => {
      const place = moved ? at : { x, y };
      element.toggleAttribute("hidden", Boolean(shown && !shown.has(number)));
      element.setAttribute("transform", `translate(${place.x} ${place.y})`);
    });
    for (const { element, parent, child, path } of this.edges) {
      const drawn = !shown || (shown.has(parent) && shown.has(child));
      element.toggleAttribute("hidden", !drawn);
      if (drawn) element.setAttribute("d", moved ? curve(parent, child) : path);
    }
    this.svg.setAttribute("viewBox", `0 0 ${size.width} ${size.height}`);
    this.reach();
    this.fit();
  }

  // The models that a view draws; nothing stands for all of them.
  models(view) {
    return { causes: this.causes, related: this.related }[view];
  }

  // From left to right where that fits the width, else from top to bottom, if it is not too high.
  drawing(shown) {
    const across = shown ? this.arrange(shown) : this.size;
    const ways = { size: across, moved: Boolean(shown), fits: false, curve: (...ends) => this.curve(...ends) };
    if (this.room / across.width >= LEGIBLE) {
      return { ...ways, fits: across.height * Math.min(1, this.room / across.width) <= LONGEST };
    }
    const scale = this.room < 700 ? LEGIBLE : 1;
    const down = this.stack(shown ?? new Set(this.nodes.keys()), (this.room - 2) / scale);
    if (down.height * scale <= LONGEST && down.width * LEGIBLE <= this.room) {
      return { size: down, moved: true, down: true, fits: true, curve: (...ends) => this.drop(...ends) };
    }
    if (shown) this.arrange(shown);
    return ways;
  }

  // Layers from top to bottom, each in as many lines as it needs.
  stack(shown, width) {
    const layers = new Map();
    for (const number of shown) {
      const { layer } = this.nodes[number];
      layers.set(layer, [...(layers.get(layer) ?? []), this.nodes[number]]);
    }
    this.lines = [];
    let y = MARGIN;
    for (const layer of [...layers.keys()].sort((a, b) => a - b)) {
      const nodes = layers.get(layer).sort((a, b) => a.y - b.y || a.x - b.x);
      const size = Math.max(...nodes.map((node) => node.width)) + 16;
      const most = Math.max(1, Math.floor((width - 2 * 8 + 16) / size));
      const lines = Math.ceil(nodes.length / most), each = Math.ceil(nodes.length / lines);
      for (let first = 0; first < nodes.length; first += each, y += BOX + 18) {
        const line = nodes.slice(first, first + each);
        const left = Math.max(8, (width - line.length * size + 16) / 2);
        line.forEach((node, place) => (node.at = { x: left + place * size, y }));
        this.lines.push({ top: y, bottom: y + BOX, gaps: [left - 5, ...line.map((node) => node.at.x + node.width + 8)] });
      }
      y += 14;
    }
    const right = Math.max(...[...shown].map((number) => this.nodes[number].at.x + this.nodes[number].width));
    return { width: Math.max(width, right + 8), height: y - 14 - 18 + MARGIN };
  }

  // From box to box through the gaps in the lines between.
  drop(parent, child) {
    const from = this.nodes[parent], to = this.nodes[child];
    return descent(
      { x: from.at.x + from.width / 2, y: from.at.y + BOX },
      { x: to.at.x + to.width / 2, y: to.at.y },
      this.lines,
    );
  }

  // Give room to the models shown alone, in the columns and the order that they have anyway.
  arrange(shown) {
    const columns = new Map();
    for (const number of shown) {
      const { layer } = this.nodes[number];
      columns.set(layer, [...(columns.get(layer) ?? []), this.nodes[number]]);
    }
    const sorted = [...columns.keys()].sort((a, b) => a - b).map((layer) => columns.get(layer));
    const rows = Math.max(...sorted.map((nodes) => Math.min(nodes.length, TALLEST)));
    let x = MARGIN;
    this.columns = sorted.map((nodes) => {
      nodes.sort((a, b) => a.y - b.y || a.x - b.x);
      const split = Math.ceil(nodes.length / TALLEST);
      const top = MARGIN + ((rows - Math.ceil(nodes.length / split)) * ROW) / 2;
      const step = Math.max(...nodes.map((node) => node.width)) + 16;
      nodes.forEach((node, place) => {
        node.at = { x: x + (place % split) * step, y: top + Math.floor(place / split) * ROW };
      });
      const column = { left: x, right: x + split * step - 16, top };
      x = column.right + GAP;
      return column;
    });
    return { width: x - GAP + MARGIN, height: rows * ROW - ROW + BOX + 2 * MARGIN };
  }

  // The columns between are passed where there is a gap between their models.
  curve(parent, child) {
    const from = this.nodes[parent], to = this.nodes[child];
    const start = { x: from.at.x + from.width, y: from.at.y + BOX / 2 };
    const end = { x: to.at.x, y: to.at.y + BOX / 2 };
    let { x, y } = start, path = `M${x} ${y}`;
    const go = (toX, toY) => {
      const half = Math.max(24, (toX - x) / 2);
      path += `C${x + half} ${y} ${toX - half} ${toY} ${toX} ${toY}`;
      [x, y] = [toX, toY];
    };
    for (const { left, right, top } of this.columns) {
      if (left <= start.x || right >= end.x) continue;
      const straight = start.y + ((end.y - start.y) * (left - start.x)) / (end.x - start.x);
      const gap = top - (ROW - BOX) / 2;
      go(left, gap + ROW * Math.round((straight - gap) / ROW));
      path += `H${(x = right)}`;
    }
    go(end.x, end.y);
    return path;
  }

  // Highlight what the model reads and what reads it, and the way to what blocks it.
  select(number, blockers = []) {
    this.selected = number;
    const above = number === null ? new Set() : closure(number, this.up);
    const below = number === null ? new Set() : closure(number, this.down);
    const cause = new Set();
    for (const blocker of blockers) {
      const after = closure(blocker, this.down);
      for (const one of above) if (after.has(one)) cause.add(one);
    }
    this.related = new Set([...above, ...below, ...blockers]);
    const both = (set, { parent, child }) => set.has(parent) && set.has(child);
    this.svg.classList.toggle("picked", number !== null);
    this.nodes.forEach(({ element }, index) => {
      element.classList.toggle("on", this.related.has(index));
      element.classList.toggle("self", index === number);
    });
    for (const edge of this.edges) {
      edge.element.classList.toggle("on", both(above, edge) || both(below, edge));
      edge.element.classList.toggle("cause", both(cause, edge));
    }
    this.schemas?.select(this.nodes[number]?.address);
    const view = number !== null && this.nodes.length > LARGE ? "related" : this.preferred;
    this.show(view);
  }

  // Of all models, dim those that the table does not list.
  filter(listed) {
    this.nodes.forEach(({ element }, number) => element.classList.toggle("out", !listed.has(number)));
    this.schemas?.filter(new Set([...listed].map((number) => this.nodes[number].address)));
  }

  // All of it, unless it would be too small to read: then what matters is brought into sight.
  fit(least = this.view === "all" && this.nodes.length > LARGE ? 0.2 : LEGIBLE) {
    const room = this.canvas.clientWidth || 800;
    const tall = this.drawn.fits ? Infinity : Math.min(512, innerHeight * 0.7) - 20;
    const whole = Math.min(1, room / this.drawn.size.width, tall / this.drawn.size.height);
    this.zoom(Math.max(whole, least, 0.05));
    const matters = this.nodes[this.selected] ?? this.nodes.find(({ element }) => element.matches(".root"));
    if (matters) this.reveal(matters.element);
  }

  zoom(scale, around) {
    const { left, top } = this.canvas.getBoundingClientRect();
    const x = around ? around.clientX - left : this.canvas.clientWidth / 2;
    const y = around ? around.clientY - top : this.canvas.clientHeight / 2;
    const grown = Math.min(3, Math.max(0.05, scale)) / (this.scale ?? 1);
    const to = [(this.canvas.scrollLeft + x) * grown - x, (this.canvas.scrollTop + y) * grown - y];
    this.scale = (this.scale ?? 1) * grown;
    this.svg.style.width = `${this.drawn.size.width * this.scale}px`;
    this.svg.style.height = `${this.drawn.size.height * this.scale}px`;
    this.svg.classList.toggle("far", this.scale < FAR);
    this.canvas.scrollTo(...to);
  }

  reveal(element) {
    const view = this.canvas.getBoundingClientRect(), box = element.getBoundingClientRect();
    if (!box.width) return;
    if (box.left >= view.left && box.right <= view.right && box.top >= view.top && box.bottom <= view.bottom) return;
    this.canvas.scrollLeft += (box.left + box.right - view.left - view.right) / 2;
    this.canvas.scrollTop += (box.top + box.bottom - view.top - view.bottom) / 2;
  }

  // One stop for the tabulator key; from there arrows lead along.
  reach(to) {
    const shown = this.nodes.filter(({ element }) => !element.hasAttribute("hidden"));
    const stop = to ?? this.nodes[this.selected] ?? shown.find(({ element }) => element.matches(".root")) ?? shown[0];
    for (const node of this.nodes) node.element.setAttribute("tabindex", node === stop ? 0 : -1);
  }

  walk(event) {
    const number = this.nodes.findIndex(({ element }) => element === event.target.closest(".n"));
    if (number < 0 || !event.key.startsWith("Arrow")) return;
    event.preventDefault();
    const here = this.nodes[number];
    const place = (node) => (this.drawn.moved ? node.at : node);
    const [along, across] = this.drawn.down ? ["y", "x"] : ["x", "y"];
    const at = place(here);
    const beside = this.nodes.filter((node) => place(node)[along] === at[along]);
    const ways = [
      this.up[number].map((index) => this.nodes[index]),
      this.down[number].map((index) => this.nodes[index]),
      beside.filter((node) => place(node)[across] < at[across]),
      beside.filter((node) => place(node)[across] > at[across]),
    ];
    const keys = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"];
    if (this.drawn.down) keys.push(...keys.splice(0, 2));
    const near = (node) => Math.abs(place(node)[across] - at[across]);
    const [next] = (ways[keys.indexOf(event.key)] ?? [])
      .filter(({ element }) => !element.hasAttribute("hidden"))
      .sort((a, b) => near(a) - near(b));
    if (!next) return;
    this.reach(next);
    next.element.focus({ preventScroll: true });
    this.reveal(next.element);
  }

  // With a mouse; touch scrolls by itself.
  dragging() {
    let from = null, moved = false;
    this.canvas.addEventListener("pointerdown", (event) => {
      if (event.pointerType === "mouse" && event.button === 0) from = event;
      moved = false;
    });
    addEventListener("pointermove", (event) => {
      if (!from) return;
      moved ||= Math.hypot(event.clientX - from.clientX, event.clientY - from.clientY) > 4;
      this.canvas.classList.toggle("dragged", moved);
      if (moved) this.canvas.scrollBy(-event.movementX, -event.movementY);
    });
    addEventListener("pointerup", () => {
      from = null;
      this.canvas.classList.remove("dragged");
    });
    this.canvas.addEventListener("dragstart", (event) => event.preventDefault());
    this.canvas.addEventListener("click", (event) => moved && event.preventDefault(), true);
  }
}

// A path downwards that passes the lines of boxes between where there is a gap.
function descent(start, end, lines) {
  let { x, y } = start, path = `M${x} ${y}`;
  const go = (toX, toY) => {
    const half = Math.max(8, (toY - y) / 2);
    path += `C${x} ${y + half} ${toX} ${toY - half} ${toX} ${toY}`;
    [x, y] = [toX, toY];
  };
  for (const { top, bottom, gaps } of lines) {
    if (top < start.y || bottom > end.y) continue;
    const straight = start.x + ((end.x - start.x) * (top - start.y)) / (end.y - start.y);
    go(gaps.reduce((best, gap) => (Math.abs(gap - straight) < Math.abs(best - straight) ? gap : best)), top);
    path += `V${(y = bottom)}`;
  }
  go(end.x, end.y);
  return path;
}

// The model and all that can be reached from it.
function closure(number, next) {
  const reached = new Set([number]);
  for (const one of reached) for (const other of next[one]) reached.add(other);
  return reached;
}
