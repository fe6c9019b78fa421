// The graph: zooming, dragging, highlighting, and drawing only a part of it.
"use strict";

const LARGE = 60; // models; of more, what matters is shown by itself
const FAR = 0.5; // below this scale labels can't be read, and are left out

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
    const size = { width: this.svg.width.baseVal.value, height: this.svg.height.baseVal.value };
    this.layout = new Layout(this.nodes, this.edges, size);
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
    // A large drawing that will not be shown must not be laid out to find the width.
    this.canvas.hidden = this.nodes.length > LARGE;
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
    return views.find((view) => this.layout.of(this.models(view), this.room).fits) ?? usual;
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
    this.drawn = this.layout.of(shown, this.room);
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

// The model and all that can be reached from it.
function closure(number, next) {
  const reached = new Set([number]);
  for (const one of reached) for (const other of next[one]) reached.add(other);
  return reached;
}
