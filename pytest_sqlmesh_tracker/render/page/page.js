// Choosing an invocation, filtering and sorting its models, and their details in a drawer. The page
// is complete without: everything is in the document already.
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const numbers = (text) => (text ? text.split(" ").map(Number) : []);


class Invocation {
  constructor(section) {
    this.section = section;
    this.rows = all("tbody tr[data-s]", section);
    this.details = all("article", section);
    this.current = null;
    section.querySelector("h2").append(copyButton(section.id));
    section.querySelector(".times")?.addEventListener("toggle", ({ target }) => {
      if (target.children.length === 1) target.append(ganttChart(JSON.parse(target.dataset.gantt)));
    });
    if (!this.rows.length) return;
    this.links = this.rows.map((row) => row.querySelector("th a"));
    this.names = this.details.map((article) => article.querySelector("h3").textContent.toLowerCase());
    this.up = this.rows.map((row) => numbers(row.dataset.up));
    this.down = this.rows.map(() => []);
    this.up.forEach((parents, number) => parents.forEach((parent) => this.down[parent].push(number)));
    this.blockers = this.rows.map((row) => numbers(row.dataset.by));
    this.graph = new Graph(section.querySelector(".graph"), this.up, this.down, this.causes());
    this.filters();
    this.sorting();
    const body = section.querySelector(".models tbody");
    body.addEventListener("click", (event) => {
      const row = event.target.closest("tr");
      if (!event.target.closest("a") && !String(getSelection())) row.querySelector("th a").click();
    });
    body.addEventListener("keydown", (event) => this.step(event));
  }

  // The root causes, what they block and what lies between, and what the root causes read.
  causes() {
    const shown = new Set();
    const blocked = this.blockers.map((_, number) => number).filter((n) => this.blockers[n].length);
    const after = new Map();
    for (const number of blocked) {
      const above = closure(number, this.up);
      for (const root of this.blockers[number]) {
        if (!after.has(root)) after.set(root, closure(root, this.down));
        for (const one of above) if (after.get(root).has(one)) shown.add(one);
        shown.add(root).add(number);
      }
    }
    all(".n", this.section).forEach((node, number) => {
      if (!node.matches(".root")) return;
      shown.add(number);
      this.up[number].forEach((parent) => shown.add(parent));
    });
    return shown;
  }

  // Put the details of a model into the drawer; null closes it.
  open(number) {
    if (!this.rows.length || number === this.current) return;
    if (this.current === null) this.opener = document.activeElement;
    for (const [index, row] of this.rows.entries()) {
      row.classList.toggle("self", index === number);
      this.details[index].classList.toggle("open", index === number);
    }
    const closed = this.current;
    this.details[closed]?.querySelector(".copy").remove();
    this.current = number;
    this.graph.select(number, number === null ? [] : this.blockers[number]);
    if (number !== null) {
      this.details[number].setAttribute("aria-label", this.links[number].textContent);
      this.details[number].prepend(copyButton(this.details[number].id), closeButton);
      this.details[number].scrollTop = 0;
      this.details[number].focus({ preventScroll: true });
    } else {
      const back = this.opener?.isConnected && this.opener.matches("a") ? this.opener : this.links[closed];
      back.focus({ preventScroll: true });
    }
  }

  filters() {
    const bar = this.section.querySelector(".models");
    this.search = bar.querySelector("input");
    this.chips = all(".chips button", bar);
    this.output = bar.querySelector("output");
    this.clear = bar.querySelector(".clear");
    this.none = bar.querySelector(".none");
    this.search.addEventListener("input", () => this.filter());
    for (const chip of this.chips) {
      chip.addEventListener("click", () => {
        chip.setAttribute("aria-pressed", String(chip.ariaPressed !== "true"));
        this.filter();
      });
    }
    this.clear.addEventListener("click", () => {
      this.search.value = "";
      for (const chip of this.chips) chip.setAttribute("aria-pressed", "false");
      this.filter();
      this.search.focus();
    });
    this.filter();
  }

  // Any of the statuses pressed, of the reasons and of the causes, and the text in the name. External
  // and embedded models without audits are not counted: they are listed only where they are asked for.
  filter() {
    const pressed = this.chips.filter((chip) => chip.ariaPressed === "true");
    const statuses = pressed.map((chip) => chip.dataset.status).filter(Boolean);
    const reasons = pressed.map((chip) => chip.dataset.reason).filter(Boolean);
    const causes = pressed.map((chip) => chip.dataset.cause).filter(Boolean);
    const flagged = pressed.some((chip) => "flagged" in chip.dataset);
    const text = this.search.value.trim().toLowerCase();
    const any = (words, its = "") => !words.length || words.some((word) => its.split(" ").includes(word));
    const narrowed = pressed.length > 0 || text !== "";
    const listed = new Set();
    let every = 0;
    this.rows.forEach((row, number) => {
      const extra = "extra" in row.dataset;
      const fits =
        (!extra || reasons.length > 0 || flagged || text !== "") &&
        (!extra || !statuses.length) &&
        any(statuses, row.dataset.s) &&
        any(reasons, row.dataset.r) &&
        any(causes, row.dataset.c) &&
        (!flagged || "flagged" in row.dataset) &&
        this.names[number].includes(text);
      if (fits) listed.add(number);
      if (fits || !extra) every += 1;
      row.hidden = !fits;
      this.details[number].classList.toggle("out", !fits);
    });
    const counted = `${every} ${every === 1 ? "model" : "models"}`;
    this.output.textContent = listed.size < every ? `${listed.size} of ${counted}` : counted;
    this.clear.hidden = !narrowed;
    this.none.hidden = listed.size > 0;
    this.graph.filter(narrowed ? listed : new Set(this.rows.keys()));
  }

  // A click on a heading sorts up, then down, then as listed: in topological order.
  sorting() {
    all(".models thead th", this.section).forEach((heading, column) => {
      const button = document.createElement("button");
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", () => {
        const next = { ascending: "descending", descending: null }[heading.ariaSort];
        const order = next === undefined ? "ascending" : next;
        for (const other of all(".models thead th", this.section)) other.removeAttribute("aria-sort");
        if (order) heading.setAttribute("aria-sort", order);
        this.sort(column, heading.matches(".num"), order);
      });
    });
  }

  sort(column, numeric, order) {
    const value = ({ cells }) => cells[column].dataset.v ?? cells[column].textContent.trim();
    const amount = (row) => (value(row) ? Number(value(row).replaceAll(",", "")) : -1);
    const sorted = [...this.rows];
    const up = numeric
      ? (a, b) => amount(a) - amount(b)
      : (a, b) => value(a).localeCompare(value(b), "en");
    if (order) sorted.sort(order === "ascending" ? up : (a, b) => up(b, a));
    this.section.querySelector(".models tbody").append(...sorted);
  }

  step(event) {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    const side = event.key === "ArrowDown" ? "nextElementSibling" : "previousElementSibling";
    let row = event.target.closest("tr")[side];
    while (row?.hidden) row = row[side];
    row?.querySelector("th a").focus();
    event.preventDefault();
  }
}

const invocations = new Map();
let chosen = null;
let closeButton = null;

// Show what the address names: #3f2a9c1b an invocation, #3f2a9c1b/sales.orders a model of it, or a
// model by its name alone.
function route() {
  const address = location.hash.slice(1);
  const named = all(".invocation").find(({ id }) => id === address.split("/")[0]);
  const section = named ?? chosen?.section ?? document.querySelector(".chosen");
  if (!section) return;
  if (section !== chosen?.section) choose(section);
  const wanted = named
    ? chosen.details.findIndex(({ id }) => id === address)
    : chosen.names?.indexOf(decoded(address).toLowerCase());
  chosen.open(wanted >= 0 ? wanted : null);
}

// Copies the address of an invocation or a model.
function copyButton(id) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy link";
  button.setAttribute("aria-live", "polite");
  button.addEventListener("click", async () => {
    const address = `${location.href.split("#")[0]}#${id}`;
    try {
      await navigator.clipboard.writeText(address);
      button.textContent = "Copied";
    } catch {
      // Pages without a secure origin have no clipboard: the address is there to be copied by hand.
      history.replaceState(null, "", `#${id}`);
      button.textContent = "The link is in the address bar";
    }
    setTimeout(() => (button.textContent = "Copy link"), 2500);
  });
  return button;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function choose(section) {
  chosen?.open(null);
  for (const other of all(".invocation.chosen")) other.classList.remove("chosen");
  section.classList.add("chosen");
  for (const link of all(".invocations a")) {
    const current = link.hash === `#${section.id}`;
    link.toggleAttribute("aria-current", current);
    if (!current) continue;
    link.setAttribute("aria-current", "true");
    const list = [link.closest("ol"), link.closest(".invocations")].find((one) => one.scrollHeight > one.clientHeight);
    if (list) list.scrollTop += link.getBoundingClientRect().top - list.getBoundingClientRect().top - list.clientHeight / 2;
  }
  if (!invocations.has(section)) invocations.set(section, new Invocation(section));
  chosen = invocations.get(section);
}

function closeDrawer() {
  history.pushState(null, "", `#${chosen.section.id}`);
  route();
}

function navigation() {
  const search = document.querySelector(".invocations input[type=search]");
  const trouble = document.querySelector(".invocations input[type=checkbox]");
  const narrow = () => {
    const text = search.value.trim().toLowerCase();
    for (const item of all(".invocations li")) {
      const fits = item.textContent.toLowerCase().includes(text);
      item.hidden = !fits || (trouble.checked && !item.matches(".trouble"));
    }
  };
  search?.addEventListener("input", narrow);
  trouble?.addEventListener("change", narrow);
}

addEventListener("DOMContentLoaded", () => {
  closeButton = document.createElement("button");
  closeButton.className = "close";
  closeButton.textContent = "×";
  closeButton.setAttribute("aria-label", "Close");
  closeButton.addEventListener("click", closeDrawer);
  navigation();
  route();
});
addEventListener("hashchange", route);
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && chosen?.current != null) closeDrawer();
  if (event.key === "/" && !event.target.matches("input") && chosen?.search) {
    event.preventDefault();
    chosen.search.focus();
  }
});
