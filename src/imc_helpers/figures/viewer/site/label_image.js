"use strict";

/** Return the pixels of a data URI's image: red, green, blue and alpha of each, row by row. */
async function readPixels(uri, width, height) {
  const image = new Image();
  image.src = uri;
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, width, height).data;
}

/**
 * One rater's cells. A label is 0 for background, or k for the k-th id; all numbers that the viewer
 * shows of cells are counted from the labels, which are exact.
 */
class LabelImage {
  constructor(rater, width, height) {
    this.name = rater.name;
    this.title = rater.title;
    this.kind = rater.kind;
    this.uri = rater.image;
    this.total = rater.total;
    this.width = width;
    this.height = height;
    this.ids = [0];
    for (const [first, length] of rater.id_runs) for (let k = 0; k < length; k++) this.ids.push(first + k);
    this.labels = new Uint32Array(width * height); // until they are loaded, background alone
    this.areas = new Uint32Array(this.ids.length);
    this.boxes = Array.from(this.ids, () => [width, height, -1, -1]);
  }

  /** Decode the labels, find where each cell lies, and return whether they are as they were packed. */
  async load() {
    const { width, height } = this;
    let total = 0;
    const pixels = await readPixels(this.uri, width, height);
    for (let y = 0, at = 0; y < height; y++) {
      for (let x = 0; x < width; x++, at++) {
        const label = pixels[4 * at] | (pixels[4 * at + 1] << 8) | (pixels[4 * at + 2] << 16);
        if (!label) continue;
        total += label;
        if (label >= this.ids.length) continue; // an altered pixel, which the total tells of
        this.labels[at] = label;
        this.areas[label]++;
        const box = this.boxes[label];
        if (x < box[0]) box[0] = x;
        if (y < box[1]) box[1] = y;
        if (x > box[2]) box[2] = x;
        if (y > box[3]) box[3] = y;
      }
    }
    return total === this.total;
  }

  /** Return the label of a pixel, 0 outside the image. */
  at(x, y) {
    const inside = x >= 0 && y >= 0 && x < this.width && y < this.height;
    return inside ? this.labels[y * this.width + x] : 0;
  }

  /** Return the label of an id, 0 for an id that is not there. */
  labelOf(id) {
    return Math.max(this.ids.indexOf(id), 0);
  }

  /** Return [left, top, right, bottom] of some cells, in pixels; right and bottom lie outside. */
  bounds(labels) {
    const boxes = labels.map((label) => this.boxes[label]);
    return [
      Math.min(...boxes.map((box) => box[0])),
      Math.min(...boxes.map((box) => box[1])),
      Math.max(...boxes.map((box) => box[2])) + 1,
      Math.max(...boxes.map((box) => box[3])) + 1,
    ];
  }

  /** Return the cell of another rater with the largest IoU with a cell of this one, or null. */
  bestMatch(label, other) {
    const shared = new Map();
    const [left, top, right, bottom] = this.bounds([label]);
    for (let y = top; y < bottom; y++) {
      for (let at = y * this.width + left; at < y * this.width + right; at++) {
        const met = other.labels[at];
        if (met && this.labels[at] === label) shared.set(met, (shared.get(met) ?? 0) + 1);
      }
    }
    let best = null;
    for (const [met, pixels] of shared) {
      const iou = pixels / (this.areas[label] + other.areas[met] - pixels);
      if (!best || iou > best.iou) best = { label: met, iou };
    }
    return best;
  }

  /** Return the outlines of some cells: the edges between pixels, each as [[y, x], [y, x]]. */
  outline(labels) {
    const edges = [];
    for (const label of labels) {
      const [left, top, right, bottom] = this.bounds([label]);
      for (let y = top; y < bottom; y++) {
        for (let x = left; x < right; x++) {
          if (this.at(x, y) !== label) continue;
          if (this.at(x - 1, y) !== label) edges.push([[y, x], [y + 1, x]]);
          if (this.at(x + 1, y) !== label) edges.push([[y, x + 1], [y + 1, x + 1]]);
          if (this.at(x, y - 1) !== label) edges.push([[y, x], [y, x + 1]]);
          if (this.at(x, y + 1) !== label) edges.push([[y + 1, x], [y + 1, x + 1]]);
        }
      }
    }
    return edges;
  }
}
