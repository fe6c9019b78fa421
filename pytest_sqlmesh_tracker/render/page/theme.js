// What every page does: it shows what needs scripts, and switches between light and dark.
document.documentElement.classList.add("js");

addEventListener("DOMContentLoaded", () => {
  const root = document.documentElement;
  document.querySelector(".theme").addEventListener("click", () => {
    const dark = root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    root.dataset.theme = dark === "dark" ? "light" : "dark";
  });
});
