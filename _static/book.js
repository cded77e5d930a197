// Tables that sort, fold and show that they scroll; hover texts that a keyboard reaches as well.
// Without this script every page still shows all of its text, rows and numbers.

"use strict";

const MOST_ROWS = 12; // a longer table is folded to SHOWN_ROWS, the same number as in book.css
const SHOWN_ROWS = 10;

// The number at the start of a cell, or its text: "1,234", "0.512 to 0.733", "45 %", "–".
function valueOf(row, column) {
  const text = row.cells[column].textContent.trim();
  const number = parseFloat(text.replace(/,(?=\d{3})/g, "").replace("−", "-"));
  return Number.isNaN(number) ? text : number;
}

function compare(a, b) {
  if (typeof a === typeof b) {
    return typeof a === "number" ? a - b : a.localeCompare(b);
  }
  return typeof a === "number" ? -1 : 1; // a dash comes after every number
}

function makeSortable(table) {
  const body = table.tBodies[0];
  if (!table.tHead || body.rows.length < 3) return;
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.className = "sort";
    button.title = "Sort by this column";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...body.rows].sort((one, two) => {
        const [a, b] = [valueOf(one, column), valueOf(two, column)];
        return down && typeof a === typeof b ? compare(b, a) : compare(a, b);
      });
      body.append(...rows);
    });
  });
}

function makeFoldable(table, after) {
  const rows = table.tBodies[0].rows.length;
  if (rows <= MOST_ROWS) return;
  const button = document.createElement("button");
  button.className = "fold";
  function fold(folded) {
    table.classList.toggle("folded", folded);
    button.setAttribute("aria-expanded", String(!folded));
    button.textContent = folded ? `Show all ${rows} rows` : `Show ${SHOWN_ROWS} rows`;
  }
  fold(true);
  button.addEventListener("click", () => fold(!table.classList.contains("folded")));
  after.after(button);
}

// A fade at the edge says that a table goes on there; the keyboard scrolls what has the focus.
function showThatItScrolls(box) {
  function look() {
    const more = box.scrollWidth - box.clientWidth - box.scrollLeft;
    box.classList.toggle("more-right", more > 2);
    box.classList.toggle("more-left", box.scrollLeft > 2);
    if (box.scrollWidth > box.clientWidth + 2) {
      box.tabIndex = 0;
      box.setAttribute("role", "region");
      const number = box.querySelector(".caption-number")?.textContent.trim() ?? "Table";
      box.setAttribute("aria-label", `${number}, scrolls sideways`);
    }
  }
  box.addEventListener("scroll", look, { passive: true });
  new ResizeObserver(look).observe(box);
}

// One bubble for all terms: the browser's own appears late, and never for a keyboard or a finger.
function showMeanings() {
  const bubble = document.createElement("div");
  bubble.className = "meaning";
  bubble.id = "meaning";
  bubble.setAttribute("role", "tooltip");
  bubble.hidden = true;
  document.body.append(bubble);
  function show(link) {
    bubble.textContent = link.dataset.meaning;
    bubble.hidden = false;
    const place = link.getBoundingClientRect();
    const left = Math.min(place.left, document.documentElement.clientWidth - bubble.offsetWidth - 8);
    const above = place.bottom + bubble.offsetHeight + 8 > window.innerHeight;
    bubble.style.left = `${Math.max(8, left)}px`;
    bubble.style.top = `${above ? place.top - bubble.offsetHeight - 4 : place.bottom + 4}px`;
    link.setAttribute("aria-describedby", bubble.id);
  }
  function hide() {
    bubble.hidden = true;
  }
  for (const link of document.querySelectorAll("a.term[title]")) {
    link.dataset.meaning = link.title;
    link.removeAttribute("title");
    for (const event of ["mouseenter", "focus"]) link.addEventListener(event, () => show(link));
    for (const event of ["mouseleave", "blur"]) link.addEventListener(event, hide);
  }
  document.addEventListener("keydown", (event) => event.key === "Escape" && hide());
  document.addEventListener("scroll", hide, { passive: true });
}

document.addEventListener("DOMContentLoaded", () => {
  for (const table of document.querySelectorAll(".bd-article table.table")) {
    const box = table.closest(".pst-scrollable-table-container") ?? table;
    makeSortable(table);
    makeFoldable(table, box);
    if (box !== table) showThatItScrolls(box);
  }
  showMeanings();
});
