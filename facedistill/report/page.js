"use strict";
// The contents are folded if there is no room for them beside the page.
document.querySelector("nav details").open = matchMedia("(min-width: 76rem)").matches;

// A click on a column's heading sorts its table: best first, then the other way, then as it was.
for (const table of document.querySelectorAll("main table")) {
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const headings = [...table.tHead.rows[0].cells];
  const own = rows.map((row) => row.cells[0].innerHTML);

  // The number that a cell begins with. What follows in brackets or after ± does not count.
  function number(cell) {
    const text = cell.textContent.trim().replaceAll(",", "").replace("−", "-");
    const found = /^(?:[<~] ?)?([+-]?\d+(?:\.\d+)?)/.exec(text);
    return found ? Number(found[1]) - (text.startsWith("<") ? 1e-9 : 0) : NaN;
  }

  // An empty first cell means the same as the cell above it. Sorting moves that one away, so we fill in its text.
  function fill(sorted) {
    let above = "";
    rows.forEach((row, i) => {
      const cell = row.cells[0];
      const empty = own[i] === "";
      if (!empty) above = own[i];
      cell.innerHTML = sorted && empty ? above : own[i];
      cell.classList.toggle("above", sorted && empty);
    });
  }

  function sort(column, direction) {
    headings.forEach((heading, i) => {
      if (i === column && direction) heading.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
      else heading.removeAttribute("aria-sort");
    });
    fill(direction !== 0);
    if (!direction) return body.append(...rows);
    const keys = new Map(rows.map((row) => [row, [number(row.cells[column]), row.cells[column].textContent.trim()]]));
    const words = [...keys.values()].every(([value]) => Number.isNaN(value));
    const known = ([value, text]) => (words ? text !== "" : !Number.isNaN(value));
    body.append(...[...rows].sort((a, b) => {
      const [x, y] = [keys.get(a), keys.get(b)];
      // Rows without a value stay last in both directions.
      if (!known(x) || !known(y)) return known(y) - known(x);
      return direction * (words ? x[1].localeCompare(y[1], "en", { numeric: true }) : x[0] - y[0]);
    }));
  }

  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    const steps = heading.style.textAlign === "right" ? [-1, 1, 0] : [1, -1, 0];
    let step = -1;
    button.addEventListener("click", () => {
      if (!heading.hasAttribute("aria-sort")) step = -1;
      step = (step + 1) % steps.length;
      sort(column, steps[step]);
    });
  });
}
