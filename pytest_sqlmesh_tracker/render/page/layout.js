// Where the boxes of the graph stand, for the width that there is.
"use strict";

const LEGIBLE = 0.8; // the smallest scale at which a drawing is chosen by itself
const LONGEST = 1200; // pixels; so high a drawing is shown whole, and the page scrolls
const ROW = 40, GAP = 64, MARGIN = 18, BOX = 28, TALLEST = 24;

class Layout {
  // nodes: with the place that they have among all, which fills the size.
  constructor(nodes, edges, size) {
    this.nodes = nodes;
    this.edges = edges;
    this.size = size;
  }

  // Some of the models, or all: from left to right where that fits the width, else from top to
  // bottom, else in bands, if that is not too high. Only what does not fit at all must be scrolled.
  of(shown, room) {
    const across = shown ? this.arrange(shown) : this.size;
    const wide = room / across.width;
    const fits = wide >= LEGIBLE && across.height * Math.min(1, wide) <= LONGEST;
    const ways = { size: across, moved: Boolean(shown), fits, curve: (...ends) => this.curve(...ends) };
    if (wide >= LEGIBLE) return ways;
    const models = shown ?? new Set(this.nodes.keys());
    const scale = room < 700 ? LEGIBLE : 1;
    const down = this.stack(models, (room - 2) / scale);
    if (down.height * scale <= LONGEST && down.width * LEGIBLE <= room) {
      return { size: down, moved: true, down: true, fits: true, curve: (...ends) => this.drop(...ends) };
    }
    const bands = this.fold(models, (room - 2) / scale);
    if (bands && bands.height * scale <= LONGEST && bands.width * LEGIBLE <= room) {
      return { size: bands, moved: true, fits: true, curve: (...ends) => this.wrap(bands, ...ends) };
    }
    if (shown) this.arrange(shown);
    return ways;
  }

  layers(shown) {
    const layers = new Map();
    for (const number of shown) {
      const node = this.nodes[number];
      layers.set(node.layer, [...(layers.get(node.layer) ?? []), node]);
    }
    const order = [...layers.keys()].sort((a, b) => a - b);
    return order.map((layer) => layers.get(layer).sort((a, b) => a.y - b.y || a.x - b.x));
  }

  // Give room to the models shown alone, in the columns and the order that they have anyway.
  arrange(shown) {
    const layers = this.layers(shown);
    const rows = Math.max(...layers.map((nodes) => Math.min(nodes.length, TALLEST)));
    let x = MARGIN;
    this.columns = layers.map((nodes) => {
      const split = Math.ceil(nodes.length / TALLEST);
      const top = MARGIN + ((rows - Math.ceil(nodes.length / split)) * ROW) / 2;
      const step = Math.max(...nodes.map((node) => node.width)) + 16;
      nodes.forEach((node, place) => {
        node.at = { x: x + (place % split) * step, y: top + Math.floor(place / split) * ROW };
        node.band = 0;
      });
      const column = { nodes, left: x, right: x + split * step - 16, top, band: 0 };
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
    for (const { left, right, top, band } of this.columns) {
      if (band !== from.band || left <= start.x || right >= end.x) continue;
      const straight = start.y + ((end.y - start.y) * (left - start.x)) / (end.x - start.x);
      const gap = top - (ROW - BOX) / 2;
      go(left, gap + ROW * Math.round((straight - gap) / ROW));
      path += `H${(x = right)}`;
    }
    go(end.x, end.y);
    return path;
  }

  // Layers from top to bottom, each in as many lines as it needs.
  stack(shown, width) {
    this.lines = [];
    let y = MARGIN;
    for (const nodes of this.layers(shown)) {
      const size = Math.max(...nodes.map((node) => node.width)) + 16;
      const most = Math.max(1, Math.floor(width / size));
      const lines = Math.ceil(nodes.length / most), each = Math.ceil(nodes.length / lines);
      for (let first = 0; first < nodes.length; first += each, y += BOX + 18) {
        const line = nodes.slice(first, first + each);
        const left = Math.max(8, (width - line.length * size + 16) / 2);
        line.forEach((node, place) => (node.at = { x: left + place * size, y }));
        const gaps = [left - 5, ...line.map((node) => node.at.x + node.width + 8)];
        this.lines.push({ top: y, bottom: y + BOX, gaps });
      }
      y += 14;
    }
    const rights = [...shown].map((number) => this.nodes[number].at.x + this.nodes[number].width);
    return { width: Math.max(width, Math.max(...rights) + 8), height: y - 32 + MARGIN };
  }

  drop(parent, child) {
    const from = this.nodes[parent], to = this.nodes[child];
    const start = { x: from.at.x + from.width / 2, y: from.at.y + BOX };
    return descent(start, { x: to.at.x + to.width / 2, y: to.at.y }, this.lines);
  }

  // Columns from left to right, in bands below each other as lines of a text: for long chains.
  // Nothing where more than a few edges would have to lead from band to band.
  fold(shown, width) {
    const { height } = this.arrange(shown);
    const step = height - 2 * MARGIN + 44;
    let band = 0, start = MARGIN, right = 0;
    for (const column of this.columns) {
      if (column.right - start > width - 3 * MARGIN && column.left > start) {
        band += 1;
        start = column.left;
      }
      const across = 2 * MARGIN - MARGIN / 2 - start;
      column.left += across;
      column.right += across;
      column.top += band * step;
      column.band = band;
      for (const node of column.nodes) {
        node.at = { x: node.at.x + across, y: node.at.y + band * step };
        node.band = band;
      }
      right = Math.max(right, column.right);
    }
    const crossing = this.edges.filter(
      ({ parent, child }) => shown.has(parent) && shown.has(child) && this.nodes[parent].band !== this.nodes[child].band,
    );
    if (crossing.length > 2 * band) return null;
    return { width: Math.max(width, right + MARGIN), height: height + band * step, right: right + 14, step };
  }

  // To a later band: out at the right, back between the bands, and in from the left.
  wrap({ right, step }, parent, child) {
    const from = this.nodes[parent], to = this.nodes[child];
    if (from.band === to.band) return this.curve(parent, child);
    const y = from.at.y + BOX / 2, toY = to.at.y + BOX / 2;
    const between = MARGIN + to.band * step - 22;
    return `M${from.at.x + from.width} ${y}H${right}V${between}H9V${toY}H${to.at.x}`;
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
