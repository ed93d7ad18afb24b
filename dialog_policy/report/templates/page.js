"use strict";
const text = row => column => row.cells[column].textContent.trim();
// An interval counts by its lower end, "< 0.0001" as less than what is written out.
const number = value => {
  const digits = value.replace(/^\[/, "").replace("−", "-");
  return digits.startsWith("<") ? 0 : /^[-+]?[\d.]/.test(digits) ? parseFloat(digits) : NaN;
};

for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const rows = [...body.rows], value = row => text(row)(column);
      const filled = rows.filter(row => value(row) !== "");
      const numeric = filled.every(row => !isNaN(number(value(row))));
      const sorted = head.getAttribute("aria-sort");
      // Numbers: the greatest first; names: from A.
      const down = sorted ? sorted === "ascending" : numeric;
      heads.forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const order = numeric ? (a, b) => number(value(a)) - number(value(b)) : (a, b) => value(a).localeCompare(value(b));
      filled.sort((a, b) => down ? order(b, a) : order(a, b));
      // What is empty comes last either way.
      body.append(...filled, ...rows.filter(row => value(row) === ""));
    });
  });
}

const save = (name, type, content) => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], {type}));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
};
const saver = (label, act) => {
  const button = document.createElement("button");
  button.type = "button"; button.className = "save"; button.textContent = label;
  button.addEventListener("click", act);
  return button;
};
const quoted = cell => /[",\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;

for (const area of document.querySelectorAll(".tall")) {
  const rows = () => [...area.querySelectorAll("tr")].map(row => [...row.cells].map(cell => quoted(cell.textContent.trim())).join(","));
  const name = area.getAttribute("aria-label").toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "");
  area.after(saver("Save as CSV", () => save(`${name}.csv`, "text/csv", rows().join("\n") + "\n")));
}

const widths = new ResizeObserver(entries => {
  for (const {target} of entries) target.classList.toggle("wide", target.scrollWidth > target.clientWidth + 1);
});
for (const area of document.querySelectorAll(".scroll")) widths.observe(area);

for (const area of document.querySelectorAll(".filter")) {
  const rows = [...area.querySelectorAll("tbody tr")];
  if (rows.length < 15) continue;
  const field = document.createElement("input");
  field.type = "search"; field.placeholder = `Find among ${rows.length}`;
  field.setAttribute("aria-label", `Find in the table: ${area.getAttribute("aria-label")}`);
  field.addEventListener("input", () => {
    const wanted = field.value.trim().toLowerCase();
    for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
  });
  area.before(field);
}

const numbers = document.getElementById("numbers");
if (numbers) {
  const place = document.createElement("p");
  place.append(saver("Save all numbers as JSON", () => save("report.json", "application/json", numbers.textContent)));
  document.querySelector("main").append(place);
}

// Paper cannot unfold anything.
const folded = [];
addEventListener("beforeprint", () => {
  folded.push(...document.querySelectorAll("details:not([open]):not(.numbers)"));
  for (const part of folded) part.open = true;
});
addEventListener("afterprint", () => { for (const part of folded.splice(0)) part.open = false; });
