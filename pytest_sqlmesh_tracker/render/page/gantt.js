// The bars of an invocation: when its models were evaluated, and its critical path.
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function svg(name, attributes = {}) {
  const { namespaceURI } = document.querySelector("svg");
  const made = document.createElementNS(namespaceURI, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function inSeconds(milliseconds) {
  const seconds = milliseconds / 1000;
  if (seconds < 9.995) return `${seconds.toFixed(2)} s`;
  if (seconds < 59.5) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds) / 60;
  const [whole, rest] = [Math.floor(minutes), Math.round(seconds) % 60];
  return whole < 60 ? `${whole} min ${rest} s` : `${Math.floor(whole / 60)} h ${whole % 60} min`;
}

// The chart for {length, bars: [[model, status, start, length, critical, address or null], …]}.
function ganttChart({ length, bars }) {
  const critical = bars.filter((bar) => bar[4]);
  const path = critical.map((bar) => bar[0]);
  if (path.length > 6) path.splice(3, path.length - 5, "…");
  const list = element("ol", { class: "gantt-bars" });
  for (const [model, status, start, took, isCritical, address] of bars) {
    const lane = svg("svg", { viewBox: "0 0 1000 10", preserveAspectRatio: "none", "aria-hidden": "true" });
    const scale = 1000 / Math.max(1, length);
    const x = Math.min(997, start * scale);
    lane.append(svg("rect", { x, width: Math.max(3, took * scale), height: 10 }));
    const name = element(address ? "a" : "span", address ? { href: address } : {}, model);
    const words = `${inSeconds(took)}, from ${inSeconds(start)}`;
    const row = element("li", { class: status + (isCritical ? " critical" : ""), title: `${model}: ${status} in ${words}` });
    row.append(name, lane, element("small", {}, inSeconds(took)));
    if (isCritical) row.append(element("span", { class: "sr" }, ", on the critical path"));
    list.append(row);
  }
  const models = `${critical.length} ${critical.length === 1 ? "model" : "models"}`;
  const sentence = `${inSeconds(length)} from the first model to the last. Critical path of ${models}: ${path.join(" → ")}.`;
  return element("div", { class: "gantt" }, element("p", {}, sentence), list);
}
