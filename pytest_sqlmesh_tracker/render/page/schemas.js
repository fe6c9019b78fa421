// The overview by schema: lines between its boxes, wherever the width of the page puts them.
class Schemas {
  constructor(root) {
    this.root = root;
    this.svg = root.querySelector(".links");
    this.boxes = [...root.querySelectorAll(".schema")];
    this.links = this.boxes.flatMap((box, child) =>
      numbers(box.dataset.reads).map((parent) => {
        const element = this.svg.appendChild(this.svg.querySelector("path").cloneNode());
        element.classList.toggle("minor", !numbers(box.dataset.mainly).includes(parent));
        return { element, parent, child };
      }),
    );
    this.items = new Map();
    for (const item of root.querySelectorAll("li")) this.items.set(item.firstElementChild.getAttribute("href"), item);
    this.boxes.forEach((box, number) => {
      for (const on of ["pointerenter", "focusin"]) box.addEventListener(on, () => this.light(number));
      for (const off of ["pointerleave", "focusout"]) box.addEventListener(off, () => this.light(null));
    });
    const observer = new ResizeObserver(() => this.draw());
    for (const element of [root, ...this.boxes]) observer.observe(element);
  }

  show(shown) {
    this.root.hidden = !shown;
    if (shown) this.draw();
  }

  draw() {
    const all = this.root.getBoundingClientRect();
    if (!all.width) return;
    const boxes = this.boxes.map((box) => {
      const { left, top, width, height } = box.getBoundingClientRect();
      return { x: left - all.left, y: top - all.top, width, height, middle: left - all.left + width / 2 };
    });
    // What leaves a box, and what enters it, is spread over its width.
    const port = (number, other, links) => {
      const near = links.sort((a, b) => boxes[a].middle - boxes[b].middle);
      const { x, width } = boxes[number];
      return x + width * (0.25 + (0.5 * (near.indexOf(other) + 0.5)) / near.length);
    };
    const lines = [];
    for (const { x, y, width, height } of [...boxes].sort((a, b) => a.y - b.y || a.x - b.x)) {
      if (lines.at(-1)?.top !== y) lines.push({ top: y, bottom: 0, gaps: [x - 5] });
      const line = lines.at(-1);
      line.bottom = Math.max(line.bottom, y + height);
      line.gaps.push(x + width + 5);
    }
    for (const { element, parent, child } of this.links) {
      const from = boxes[parent], to = boxes[child];
      const x = port(parent, child, this.links.filter((link) => link.parent === parent).map((link) => link.child));
      const toX = port(child, parent, this.links.filter((link) => link.child === child).map((link) => link.parent));
      const down = to.y >= from.y + from.height;
      const [y, toY] = down ? [from.y + from.height, to.y] : [from.y, to.y + to.height];
      element.setAttribute("d", descent({ x, y }, { x: toX, y: toY }, down ? lines : []));
    }
  }

  light(number) {
    for (const { element, parent, child } of this.links) {
      element.classList.toggle("on", parent === number || child === number);
    }
  }

  select(selected) {
    for (const [address, item] of this.items) item.classList.toggle("self", address === selected);
  }

  filter(listed) {
    for (const [address, item] of this.items) item.classList.toggle("out", !listed.has(address));
    for (const box of this.boxes) box.classList.toggle("out", !box.querySelector("li:not(.out)"));
  }
}
