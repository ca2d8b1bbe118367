"use strict";
// Sort a table by the column whose head is clicked: numbers from the largest, text from A.
function worth(cell) {
  const number = parseFloat(cell.textContent.replace(/,/g, ""));
  return Number.isNaN(number) ? -Infinity : number;
}
for (const table of document.querySelectorAll("table.sort")) {
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const numeric = head.classList.contains("n");
    const sort = () => {
      const down = head.ariaSort ? head.ariaSort === "ascending" : numeric;
      const sign = down ? -1 : 1;
      const rows = [...table.tBodies[0].rows];
      rows.sort((a, b) => {
        const [x, y] = [a.cells[column], b.cells[column]];
        if (!numeric) return sign * x.textContent.localeCompare(y.textContent);
        const [p, q] = [worth(x), worth(y)];
        if (p === q) return 0;
        if (p === -Infinity || q === -Infinity) return p < q ? 1 : -1; // no number: last
        return sign * (p - q);
      });
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.ariaSort = down ? "descending" : "ascending";
      table.tBodies[0].append(...rows);
    };
    head.tabIndex = 0;
    head.addEventListener("click", sort);
    head.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        sort();
      }
    });
  });
}
