"use strict";
const slots = [...document.querySelectorAll(".slot")];
const photographs = [null, null];
const part = (id) => document.getElementById(id);
const NAMES = ["First", "Second"];
let asking = null;
let shown = null;

function drawn(kind, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", kind);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text) made.textContent = text;
  return made;
}

// A photograph, with the outline of what the model saw and the five points, if they are known.
function show(slot, image, label, outline = [], points = []) {
  const svg = slot.querySelector("svg");
  const whole = { x: 0, y: 0, width: 480, height: 480 };
  svg.replaceChildren(drawn("image", { href: image, ...whole }));
  if (outline.length) {
    const corners = outline.map(([x, y]) => `${x + 0.5},${y + 0.5}`).join(" ");
    for (const kind of ["edge", "line"]) svg.append(drawn("polygon", { class: `outline ${kind}`, points: corners }));
  }
  for (const [x, y] of points) svg.append(drawn("circle", { class: "point", cx: x + 0.5, cy: y + 0.5, r: 6 }));
  svg.setAttribute("aria-label", label);
  svg.toggleAttribute("hidden", false);
  slot.querySelector(".hint").hidden = true;
  slot.classList.add("full");
}

function say(status, error = "") {
  part("status").textContent = status;
  part("error").textContent = error;
}

function read(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(new Error(`${file.name} cannot be read`));
    reader.readAsDataURL(file);
  });
}

async function take(i, file) {
  if (!file) return;
  part("more").hidden = true;
  for (const name of ["answer", "compared", "warning"]) part(name).textContent = "";
  photographs[i] = null;
  if (file.size > Number(slots[i].dataset.largest)) {
    return say("", `${file.name}: a photograph of more than 20 MB; make it smaller`);
  }
  try {
    const url = await read(file);
    show(slots[i], url, `${NAMES[i]} photograph: ${file.name}`);
    slots[i].querySelector(".found").textContent = file.name;
    photographs[i] = { name: file.name, data: url.slice(url.indexOf(",") + 1) };
    await compare();
  } catch (error) {
    say("", error.message);
  }
}

async function compare() {
  asking?.abort();
  if (!photographs.every(Boolean)) return say(photographs.some(Boolean) ? "One more photograph." : "");
  const own = (asking = new AbortController());
  say("Comparing …");
  try {
    const [a, b] = photographs.map((photograph) => photograph.data);
    const headers = { "Content-Type": "application/json" };
    const sent = { method: "POST", headers, body: JSON.stringify({ a, b }), signal: own.signal };
    const found = await (await fetch("/verify", sent)).json();
    if (found.error) return say("", `${found.error[0].toUpperCase()}${found.error.slice(1)}.`);
    answer(found);
    say("");
  } catch (error) {
    if (error.name !== "AbortError") say("", "The program does not answer. Was it stopped?");
  }
}

function answer(found) {
  found.faces.forEach((face, i) => {
    const name = photographs[i].name;
    show(slots[i], face.image, `${NAMES[i]} face, ${name}. ${face.found}`, face.outline, face.points);
    slots[i].querySelector(".found").textContent = `${name}. ${face.found}`;
  });
  for (const name of ["answer", "compared", "limits", "took", "dataset"]) part(name).textContent = found[name];
  part("warning").textContent = found.warning ? `${found.warning[0].toUpperCase()}${found.warning.slice(1)}.` : "";
  part("sure").replaceChildren(...found.sure.map((sentence) => {
    const line = document.createElement("p");
    line.textContent = sentence;
    return line;
  }));
  part("more").hidden = false;
  shown = found;
  scale();
}

// Both histograms, the threshold and the distance, on as many pixels as there are.
function scale() {
  if (!shown) return;
  const svg = part("scale");
  const [width, height] = [svg.clientWidth, 220];
  const { end, genuine, impostor } = shown.scale;
  const [top, bottom] = [56, height - 26];
  const highest = Math.max(...genuine, ...impostor);
  const x = (distance) => (distance / end) * width;
  const y = (share) => bottom - (share / highest) * (bottom - top);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("aria-label", `${shown.compared} The scale shows 0 to ${end.toFixed(2)}. ${shown.sure[1]}`);
  svg.replaceChildren();
  for (const [kind, shares] of [["genuine", genuine], ["impostor", impostor]]) {
    const step = width / shares.length;
    const path = shares.map((share, i) => `V${y(share)}H${(i + 1) * step}`).join("");
    svg.append(drawn("path", { class: kind, d: `M0 ${bottom}${path}V${bottom}` }));
  }
  svg.append(drawn("line", { class: "base", x1: 0, x2: width, y1: bottom, y2: bottom }));
  const apart = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1].find((step) => x(step) >= 60) ?? 1;
  for (let i = 0; i * apart <= end + 1e-9; i += 1) {
    const place = x(i * apart);
    const anchor = i === 0 ? "start" : place > width - 12 ? "end" : "middle";
    svg.append(drawn("text", { x: place, y: height - 6, "text-anchor": anchor }, (i * apart).toFixed(apart < 0.1 ? 2 : 1)));
  }
  const kind = shown.same ? "genuine" : "impostor";
  const marks = [[shown.threshold, "threshold", "threshold", 14], [shown.distance, "these two", `distance ${kind}`, 36]];
  for (const [distance, name, look, above] of marks) {
    const place = x(distance);
    const left = place < 0.7 * width;
    svg.append(drawn("line", { class: look, x1: place, x2: place, y1: above - 10, y2: bottom }));
    const text = { class: look, x: place + (left ? 6 : -6), y: above, "text-anchor": left ? "start" : "end" };
    svg.append(drawn("text", text, `${name} ${distance.toFixed(3)}`));
  }
}
addEventListener("resize", scale);

slots.forEach((slot, i) => {
  const input = slot.querySelector("input");
  input.addEventListener("change", () => take(i, input.files[0]));
});

// Wherever files are dropped: two fill both places, one the place under it, or else the first that is empty.
addEventListener("dragover", (event) => {
  event.preventDefault();
  slots.forEach((slot) => slot.classList.toggle("over", slot.contains(event.target)));
});
addEventListener("dragleave", () => slots.forEach((slot) => slot.classList.remove("over")));
addEventListener("drop", async (event) => {
  event.preventDefault();
  slots.forEach((slot) => slot.classList.remove("over"));
  const files = [...event.dataTransfer.files];
  const under = slots.findIndex((slot) => slot.contains(event.target));
  const empty = photographs.indexOf(null);
  if (files.length > 1) await Promise.all(files.slice(0, 2).map((file, i) => take(i, file)));
  else await take(under >= 0 ? under : Math.max(empty, 0), files[0]);
});
