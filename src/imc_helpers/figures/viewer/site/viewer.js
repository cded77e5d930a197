"use strict";

/** A page of the viewer: its controls, and what they do. */

const MATCH_IOU = 0.5;
const STEPS_PER_DOUBLING = 2;
const CLOSEST = 7; // of the steps of zoom, for a cell that is stepped to: its neighbours stay in view
const CELL_FILLS = 4; // a cell that is stepped to takes a quarter of the view
// Outlines are light, so that they stand out from tissue in saturated colours.
const COLOURS = [
  "#ffffff", "#ffa42e", "#ff8ac4", "#fff066", "#74e4ff", "#c8ff5e",
  "#ff7a66", "#c9b3ff", "#8affc1", "#e0c097", "#a8b8c8", "#ff66ff",
];
const LIGHTS = ["#3355ff", "#159a3c", "#e0263f", "#b000d8"];
const ORDERS = {
  kind: { title: "Kind", of: (row) => row.kind, down: false },
  first: { title: "", of: (row) => row.firstIds[0] ?? Infinity, down: false },
  second: { title: "", of: (row) => row.secondIds[0] ?? Infinity, down: false },
  iou: { title: "IoU", of: (row) => row.iou, down: false },
  disputed: { title: "Disputed", of: (row) => row.disputed, down: true },
};

const element = (id) => document.getElementById(id);

function make(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function toRgb(hex) {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
}

function fillSelect(select, options, chosen) {
  select.replaceChildren(
    ...options.map(([value, text]) => make("option", { value, textContent: text })),
  );
  select.value = chosen;
}

class Viewer {
  constructor(content, raters, channels) {
    Object.assign(this, { content, raters, channels });
    const { width, height } = content;
    this.composite = new Composite(width, height);
    this.on = new Set(raters.slice(0, 2).keys());
    this.colours = raters.map((_, k) => COLOURS[k % COLOURS.length]);
    this.slots = LIGHTS.map((colour, k) => ({ channel: k < 2 && k < channels.length ? k : -1, colour }));
    this.order = "disputed";
    this.down = true;
    this.rows = [];
    this.at = -1;
    this.kept = null; // {rater, label} of the cell that was clicked or stepped to
    this.makeMap();
    this.makeOutlines();
    this.makeDisagreements();
    this.makeChannels();
    this.listenToKeys();
    this.showCell(null);
    element("sample").addEventListener("change", (event) => (location.href = event.target.value));
    window.addEventListener("hashchange", () => this.openHash());
  }

  // ---- the tissue

  makeMap() {
    const { width, height, um_per_px: umPerPx } = this.content;
    const crs = L.extend({}, L.CRS.Simple, {
      transformation: new L.Transformation(1, 0, 1, 0), // rows count downwards, as in the image
      scale: (zoom) => 2 ** (zoom / STEPS_PER_DOUBLING),
      zoom: (scale) => STEPS_PER_DOUBLING * Math.log2(scale),
    });
    this.moves = !matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.map = L.map("map", {
      crs,
      minZoom: -8,
      maxZoom: 12,
      attributionControl: false,
      zoomAnimation: this.moves,
      fadeAnimation: false,
      inertia: this.moves,
    });
    this.whole = L.latLngBounds([0, 0], [height, width]);
    this.map.setMaxBounds(this.whole.pad(0.5));
    this.map.fitBounds(this.whole, { animate: false });
    this.layer = new TissueLayer(this.composite, {
      bounds: this.whole,
      minZoom: -8,
      maxZoom: 12,
      updateInterval: 60,
      keepBuffer: 2,
    });
    this.hovered = L.polyline([], { color: "#ffffff", weight: 2, interactive: false }).addTo(this.map);
    this.chosen = L.layerGroup().addTo(this.map);
    this.bar = new ScaleBar(umPerPx).addTo(this.map);
    this.map.on("mousemove", (event) => this.hover(event.latlng));
    this.map.on("mouseout", () => this.showCell(this.kept));
    this.map.on("click", (event) => {
      this.kept = this.cellAt(event.latlng);
      this.chosen.clearLayers();
      this.showCell(this.kept);
      this.writeHash();
    });
  }

  fit() {
    this.map.fitBounds(this.whole, { animate: this.moves });
  }

  /** Bring some cells, {rater, labels}, into the middle of the view. */
  moveTo(groups) {
    const boxes = groups
      .filter(({ labels }) => labels.length)
      .map(({ rater, labels }) => this.raters[rater].bounds(labels));
    const [left, top] = [0, 1].map((at) => Math.min(...boxes.map((box) => box[at])));
    const [right, bottom] = [2, 3].map((at) => Math.max(...boxes.map((box) => box[at])));
    const around = L.latLngBounds([top, left], [bottom, right]).pad((CELL_FILLS - 1) / 2);
    this.map.fitBounds(around, { animate: false, maxZoom: CLOSEST });
  }

  redraw() {
    this.layer.outlined = [...this.on]
      .sort((one, two) => one - two)
      .map((k) => ({ labels: this.raters[k], colour: toRgb(this.colours[k]) }));
    if (this.map.hasLayer(this.layer)) this.layer.redraw();
    else this.layer.addTo(this.map);
  }

  // ---- the cell below the pointer

  /** Return the cell at a place: of the first rater compared, else of the second, else of any. */
  cellAt({ lat, lng }) {
    const [x, y] = [Math.floor(lng), Math.floor(lat)];
    const order = [...new Set([this.first, this.second, ...this.on, ...this.raters.keys()])];
    for (const rater of order) {
      const label = rater < 0 ? 0 : this.raters[rater].at(x, y);
      if (label) return { rater, label };
    }
    return null;
  }

  hover(place) {
    if (this.map.dragging.moving()) return;
    const cell = this.cellAt(place);
    if (cell?.rater === this.shown?.rater && cell?.label === this.shown?.label) return;
    this.showCell(cell ?? this.kept);
  }

  /** Say in the list of raters what each of them drew where one of them drew a cell. */
  showCell(cell) {
    this.shown = cell;
    const own = cell && this.raters[cell.rater];
    this.hovered.setLatLngs(cell ? own.outline([cell.label]) : []);
    element("where").textContent = cell
      ? `Cell ${own.ids[cell.label]} of ${own.title}, and each other rater’s best match to it: bold from an ` +
        `IoU of ${MATCH_IOU}.`
      : "Point at a cell, or click it to keep it.";
    this.raters.forEach((rater, k) => {
      const row = element("raters").tBodies[0].rows[k];
      const best = !cell ? null : k === cell.rater ? { label: cell.label } : own.bestMatch(cell.label, rater);
      row.classList.toggle("match", best?.iou >= MATCH_IOU);
      row.classList.toggle("own", k === cell?.rater);
      const texts = best ? [rater.ids[best.label], best.iou?.toFixed(2) ?? "", this.area(rater.areas[best.label])] : [];
      for (const at of [0, 1, 2]) row.cells[at + 2].textContent = texts[at] ?? (cell ? "–" : "");
    });
  }

  area(pixels) {
    return (pixels * this.content.um_per_px ** 2).toFixed(0);
  }

  // ---- outlines

  makeOutlines() {
    element("raters").tBodies[0].replaceChildren(
      ...this.raters.map((rater, k) => {
        const box = make("input", { type: "checkbox", id: `rater-${k}`, checked: this.on.has(k) });
        box.addEventListener("change", () => this.switchOutline(k, box.checked));
        const colour = make("input", { type: "color", value: this.colours[k] });
        colour.setAttribute("aria-label", `Colour of ${rater.title}`);
        colour.addEventListener("input", () => {
          this.colours[k] = colour.value;
          this.redraw();
        });
        const name = make("label", { title: rater.kind }, box, ` ${rater.title}`);
        const cells = make("td", { textContent: rater.ids.length - 1 });
        return make(
          "tr",
          {},
          make("th", { scope: "row" }, make("div", { className: "slot" }, colour, name)),
          cells,
          ...[1, 2, 3].map(() => make("td")),
        );
      }),
    );
    element("none").addEventListener("click", () => this.setOutlines([]));
    element("every").addEventListener("click", () => this.setOutlines(this.raters.keys()));
  }

  switchOutline(rater, on) {
    if (on) this.on.add(rater);
    else this.on.delete(rater);
    element(`rater-${rater}`).checked = on;
    this.redraw();
  }

  setOutlines(raters) {
    this.on = new Set(raters);
    this.raters.forEach((_, k) => (element(`rater-${k}`).checked = this.on.has(k)));
    this.redraw();
  }

  // ---- disagreements

  makeDisagreements() {
    const names = this.raters.map((rater, k) => [k, rater.title]);
    this.first = this.raters.length > 1 ? 0 : -1;
    this.second = this.raters.length > 1 ? 1 : -1;
    fillSelect(element("first"), names, this.first);
    fillSelect(element("second"), names, this.second);
    for (const side of ["first", "second"]) {
      element(side).addEventListener("change", (event) => this.compare(side, Number(event.target.value)));
    }
    element("kind").addEventListener("change", () => this.listRows());
    element("previous").addEventListener("click", () => this.step(-1));
    element("next").addEventListener("click", () => this.step(1));
    this.loadPair();
  }

  /** Choose a rater to compare; a rater is never compared with itself. */
  compare(side, rater) {
    const other = side === "first" ? "second" : "first";
    if (this[other] === rater) this[other] = this[side];
    this[side] = rater;
    element("first").value = this.first;
    element("second").value = this.second;
    this.setOutlines([this.first, this.second]);
    this.loadPair();
  }

  /** Take the list of the two raters, turned so that the one chosen first comes first. */
  loadPair() {
    const turned = this.first > this.second;
    const [low, high] = turned ? [this.second, this.first] : [this.first, this.second];
    const pair = low < 0 ? null : this.content.pairs[pairNumber(low, high, this.raters.length)];
    const name = (kind) => (turned ? (OPPOSITE[kind] ?? kind) : kind);
    this.pair = (pair?.rows ?? []).map(([kind, trueIds, predIds, iou, disputed]) => ({
      kind: name(kind),
      firstIds: turned ? predIds : trueIds,
      secondIds: turned ? trueIds : predIds,
      iou,
      disputed,
    }));
    const counts = Object.entries(pair?.counts ?? {}).map(([kind, count]) => [name(kind), count]);
    const wrong = counts.filter(([kind, count]) => kind !== "matched" && count);
    const total = wrong.reduce((sum, [, count]) => sum + count, 0);
    const matched = counts.find(([kind]) => kind === "matched")?.[1] ?? 0;
    fillSelect(
      element("kind"),
      [["", `all (${total})`], ...wrong.map(([kind, count]) => [kind, `${kind} (${count})`])],
      "",
    );
    const listed = this.pair.length < total ? ` Of each kind, those with the largest disputed area are listed.` : "";
    for (const part of document.querySelectorAll("[data-needs=pair]")) part.hidden = !pair;
    element("about").textContent = pair
      ? `Pairs of cells that match, with an IoU of 0.6 or more: ${matched}. Groups that do not: ${total}.${listed}`
      : "There are not two masks of this image to compare.";
    this.listRows();
  }

  listRows() {
    const kind = element("kind").value;
    const { of } = ORDERS[this.order];
    const sign = this.down ? -1 : 1;
    this.rows = this.pair
      .filter((row) => !kind || row.kind === kind)
      .sort((one, two) => sign * (of(one) < of(two) ? -1 : of(one) > of(two) ? 1 : 0));
    this.at = -1;
    this.showOrders();
    element("rows").tBodies[0].replaceChildren(
      ...this.rows.map((row, at) => {
        const line = make(
          "tr",
          {},
          make("td", {}, make("span", { className: `kind ${row.kind}`, textContent: row.kind })),
          ...[row.firstIds, row.secondIds].map((ids) => make("td", { textContent: inShort(ids), title: ids.join(", ") })),
          make("td", { textContent: row.iou ? row.iou.toFixed(2) : "–" }),
          make("td", { textContent: `${this.area(row.disputed)} µm²` }),
        );
        line.addEventListener("click", () => this.goTo(at));
        return line;
      }),
    );
    element("next").disabled = element("previous").disabled = !this.rows.length;
    element("position").textContent = this.rows.length ? `${this.rows.length} listed` : "none";
  }

  showOrders() {
    element("rows").tHead.rows[0].replaceChildren(
      ...Object.entries(ORDERS).map(([key, order]) => {
        const title = order.title || this.raters[this[key]]?.title || "";
        const arrow = key === this.order ? (this.down ? " ↓" : " ↑") : "";
        const button = make("button", { type: "button", textContent: title + arrow });
        button.dataset.order = key;
        button.addEventListener("click", () => {
          this.down = key === this.order ? !this.down : order.down;
          this.order = key;
          this.listRows();
          element("rows").querySelector(`[data-order=${key}]`).focus();
        });
        const head = make("th", { scope: "col" }, button);
        head.ariaSort = key !== this.order ? "none" : this.down ? "descending" : "ascending";
        return head;
      }),
    );
  }

  step(by) {
    if (!this.rows.length) return;
    this.goTo(this.at < 0 && by < 0 ? this.rows.length - 1 : (this.at + by + this.rows.length) % this.rows.length);
  }

  /** Show one disagreement of the list, and keep one of its cells: the first, or {rater, label}. */
  goTo(at, cell = null) {
    const lines = element("rows").tBodies[0].rows;
    lines[this.at]?.removeAttribute("aria-current");
    this.at = at;
    const row = this.rows[at];
    const groups = [
      { rater: this.first, labels: row.firstIds.map((id) => this.raters[this.first].labelOf(id)) },
      { rater: this.second, labels: row.secondIds.map((id) => this.raters[this.second].labelOf(id)) },
    ];
    const { rater, labels } = groups.find((group) => group.labels.length);
    this.kept = cell ?? { rater, label: labels[0] };
    this.choose(groups);
    lines[at].setAttribute("aria-current", "true");
    // The list scrolls, and never the page: on a phone that would hide the controls.
    const list = element("rows").parentElement;
    list.scrollTop = lines[at].offsetTop - (list.clientHeight - lines[at].offsetHeight) / 2;
    element("position").textContent = `${at + 1} of ${this.rows.length}`;
  }

  /** Move to some cells and draw them boldly. */
  choose(groups) {
    this.chosen.clearLayers();
    groups.forEach(({ rater, labels }, k) => {
      const style = { color: this.colours[rater], weight: 4, dashArray: k ? "6 6" : null, interactive: false };
      L.polyline(this.raters[rater].outline(labels), style).addTo(this.chosen);
    });
    this.moveTo(groups);
    this.showCell(this.kept);
    this.writeHash();
  }

  // ---- addresses

  writeHash() {
    if (!this.kept) return;
    const { name, ids } = this.raters[this.kept.rater];
    const other = this.kept.rater === this.first ? this.second : this.first;
    const hash = new URLSearchParams({ rater: name, cell: ids[this.kept.label] });
    if (other >= 0 && other !== this.kept.rater) hash.set("with", this.raters[other].name);
    history.replaceState(null, "", `#${hash}`);
  }

  /** Open the cell that the address names; say so when there is none. */
  openHash() {
    const hash = new URLSearchParams(location.hash.slice(1));
    if (!hash.has("rater")) return;
    const find = (name) => this.raters.findIndex((rater) => rater.name === name);
    const rater = find(hash.get("rater"));
    const other = find(hash.get("with"));
    if (rater < 0) {
      element("where").textContent = `There is no rater ${hash.get("rater")} here.`;
      return;
    }
    if (this.raters.length > 1 && rater !== this.first) this.compare("first", rater);
    if (other >= 0 && other !== rater && other !== this.second) this.compare("second", other);
    if (!hash.has("cell")) return;
    const label = this.raters[rater].labelOf(Number(hash.get("cell")));
    if (!label) {
      element("where").textContent = `${this.raters[rater].title} has no cell ${hash.get("cell")} here.`;
      return;
    }
    this.kept = { rater, label };
    const id = this.raters[rater].ids[label];
    const row = this.rows.findIndex((one) => one.firstIds.includes(id));
    if (row >= 0) this.goTo(row, this.kept);
    else this.choose([{ rater, labels: [label] }]);
  }

  // ---- channels

  makeChannels() {
    const names = [[-1, "none"], ...this.channels.map((channel, k) => [k, channel.name])];
    element("slots").replaceChildren(
      ...this.slots.map((slot, k) => {
        const select = make("select", { id: `slot-${k}` });
        fillSelect(select, names, slot.channel);
        select.setAttribute("aria-label", `Channel ${k + 1}`);
        select.addEventListener("change", () => {
          slot.channel = Number(select.value);
          this.drawComposite();
        });
        const colour = make("input", { type: "color", value: slot.colour });
        colour.setAttribute("aria-label", `Colour of channel ${k + 1}`);
        colour.addEventListener("input", () => {
          slot.colour = colour.value;
          this.drawComposite();
        });
        return make("div", { className: "slot" }, colour, select);
      }),
    );
    for (const input of document.querySelectorAll("fieldset input")) {
      input.addEventListener("input", () => this.drawComposite());
    }
    const { left_out: leftOut } = this.content;
    element("left-out").textContent =
      "A page holds the means of the nuclear and of the membrane channels, and of the others those that vary " +
      "most, eight in all or as many as fit into 3 MB" +
      (leftOut.length ? `; left out: ${leftOut.join(", ")}.` : ". All are here.");
  }

  async drawComposite() {
    const low = Number(element("low").value);
    const high = Number(element("high").value);
    element("low-value").textContent = low;
    element("high-value").textContent = high;
    const scale = document.querySelector("input[name=scale]:checked").value;
    const shown = this.slots
      .filter((slot) => slot.channel >= 0)
      .map((slot) => ({ channel: this.channels[slot.channel], colour: toRgb(slot.colour) }));
    const { width, height } = this.content;
    await Promise.all(shown.map(({ channel }) => channel.load(width, height)));
    this.composite.draw(shown, { scale, low, high });
    this.redraw();
  }

  // ---- keys

  listenToKeys() {
    let before = [];
    document.addEventListener("keydown", (event) => {
      const typing = event.target.closest("select, input:not([type=checkbox], [type=radio])");
      if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "n") this.step(1);
      else if (event.key === "p") this.step(-1);
      else if (event.key === "f") this.fit();
      else if (event.key === "o") {
        if (this.on.size) before = [...this.on];
        this.setOutlines(this.on.size ? [] : before);
      } else if (/^[1-9]$/.test(event.key) && Number(event.key) <= this.raters.length) {
        const rater = Number(event.key) - 1;
        this.switchOutline(rater, !this.on.has(rater));
      }
    });
  }
}

/** Write some ids, the first three of many. */
function inShort(ids) {
  return ids.slice(0, 3).join(", ") + (ids.length > 3 ? ` + ${ids.length - 3}` : "") || "–";
}

/** What a kind is called when the two raters change places. */
const OPPOSITE = { missed: "spurious", spurious: "missed", split: "merged", merged: "split" };

/** Return the position of a pair among all pairs (0, 1), (0, 2), …, (1, 2), … of some raters. */
function pairNumber(low, high, count) {
  return low * count - (low * (low + 1)) / 2 + (high - low - 1);
}

/** A bar of round length in micrometres: Leaflet's own knows metres alone. */
const ScaleBar = L.Control.extend({
  options: { position: "bottomleft" },

  initialize(umPerPx) {
    this.umPerPx = umPerPx;
  },

  onAdd(map) {
    this.bar = L.DomUtil.create("div", "scale-bar");
    map.on("zoomend", this.update, this);
    map.whenReady(this.update, this);
    return this.bar;
  },

  update() {
    const map = this._map;
    const screenPerUm = map.options.crs.scale(map.getZoom()) / this.umPerPx;
    const most = 120 / screenPerUm;
    const power = 10 ** Math.floor(Math.log10(most));
    const length = [5, 2, 1].find((step) => step * power <= most) * power;
    this.bar.style.width = `${length * screenPerUm}px`;
    this.bar.textContent = `${length} µm`;
  },
});

/** Follow the book's own choice between light and dark, where it made one. */
function followTheme() {
  let theme = "auto";
  try {
    theme = localStorage.getItem("mode") ?? "auto";
  } catch {
    // Pages in a folder may have no storage: then the system decides.
  }
  const dark = theme === "dark" || (theme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
}

/** Wait until the screen has what was drawn. */
function painted() {
  return new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
}

/** Note how far the page has come, with the time: "shown", then "complete". */
function reach(state) {
  document.documentElement.dataset.ready = state;
  performance.mark(state);
}

async function open() {
  followTheme();
  const content = JSON.parse(element("content").textContent);
  const { width, height } = content;
  const raters = content.raters.map((rater) => new LabelImage(rater, width, height));
  const load = (some) => Promise.all(some.map((rater) => rater.load()));
  const channels = content.channels.map((channel) => new Channel(channel));
  const first = await load(raters.slice(0, 2)); // those whose outlines are shown first
  window.viewer = new Viewer(content, raters, channels);
  await window.viewer.drawComposite();
  await painted();
  reach("shown");
  const others = await load(raters.slice(2));
  element("altered").hidden = [...first, ...others].every((asPacked) => asPacked);
  window.viewer.redraw();
  window.viewer.openHash();
  reach("complete");
}

open();
