// Searching the models of a calendar, and light and dark. The page is complete without.

function narrowing() {
  const rows = [...document.querySelectorAll(".calendar tbody tr")];
  if (!rows.length) return;
  const texts = rows.map(({ cells }) => `${cells[0].textContent} ${cells[1].textContent}`.toLowerCase());
  const search = document.querySelector(".bar input[type=search]");
  const busy = document.querySelector(".bar input[type=checkbox]");
  const narrow = () => {
    const text = search.value.trim().toLowerCase();
    let shown = 0;
    rows.forEach((row, number) => {
      row.hidden = !texts[number].includes(text) || (busy.checked && !row.matches(".busy"));
      shown += !row.hidden;
    });
    const every = `${rows.length} ${rows.length === 1 ? "model" : "models"}`;
    document.querySelector(".bar output").textContent =
      shown < rows.length ? `${shown} of ${every}` : every;
  };
  search.addEventListener("input", narrow);
  busy.addEventListener("change", narrow);
  narrow();
}

addEventListener("DOMContentLoaded", narrowing);
