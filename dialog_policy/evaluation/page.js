for (const table of document.querySelectorAll("table.sortable")) {
  table.querySelectorAll("th").forEach((th, column) => {
    const button = document.createElement("button");
    button.textContent = th.textContent; th.replaceChildren(button);
    button.addEventListener("click", () => {
      const up = th.getAttribute("aria-sort") === "descending", body = table.tBodies[0];
      table.querySelectorAll("th").forEach(other => other.removeAttribute("aria-sort"));
      th.setAttribute("aria-sort", up ? "ascending" : "descending");
      const value = row => row.cells[column].textContent.trim();
      const order = (a, b) => { const x = parseFloat(value(a)), y = parseFloat(value(b)); return isNaN(x) || isNaN(y) ? value(a).localeCompare(value(b)) : x - y; };
      [...body.rows].sort((a, b) => up ? order(a, b) : order(b, a)).forEach(row => body.append(row));
    });
  });
}
