"use strict";

/** Up to four channels in colour, as one canvas of the image's own pixels. */
class Composite {
  constructor(width, height) {
    this.canvas = document.createElement("canvas");
    this.canvas.width = width;
    this.canvas.height = height;
  }

  /**
   * Add channels up as light.
   *
   * @param shown  {channel, colour: [red, green, blue]} of each
   * @param scale  "arcsinh" or "linear"
   * @param low, high  percentiles of a channel's pixels that become black and brightest
   */
  draw(shown, { scale, low, high }) {
    const { canvas } = this;
    const context = canvas.getContext("2d");
    const image = context.createImageData(canvas.width, canvas.height);
    const pixels = new Uint32Array(image.data.buffer);
    const layers = shown.map(({ channel, colour }) => {
      const grey = channel.brightness(scale, low, high);
      return { steps: channel.steps, light: colour.map((part) => grey.map((value) => value * part)) };
    });
    for (let i = 0; i < pixels.length; i++) {
      let [red, green, blue] = [0, 0, 0];
      for (const { steps, light } of layers) {
        const step = steps[i];
        red += light[0][step];
        green += light[1][step];
        blue += light[2][step];
      }
      pixels[i] = toPixel(red, green, blue);
    }
    context.putImageData(image, 0, 0);
  }
}

/** Return an opaque pixel as canvases store it on the usual little-endian processors. */
function toPixel(red, green, blue) {
  return ((255 << 24) | (Math.min(blue, 255) << 16) | (Math.min(green, 255) << 8) | Math.min(red, 255)) >>> 0;
}

/** One channel in 256 steps, from 0 to its top on a scale of arcsinh(x / cofactor). */
class Channel {
  constructor(packed) {
    this.name = packed.name;
    this.uri = packed.image;
    this.cofactor = packed.cofactor;
    this.topScaled = Math.asinh(packed.top / packed.cofactor);
    this.steps = null;
    this.counts = new Uint32Array(256);
  }

  /** Decode the image, the first time that the channel is shown. */
  async load(width, height) {
    if (this.steps) return;
    const pixels = await readPixels(this.uri, width, height);
    const steps = new Uint8Array(width * height);
    this.counts.fill(0);
    for (let i = 0; i < steps.length; i++) this.counts[(steps[i] = pixels[4 * i])]++;
    this.steps = steps;
  }

  /** Return the intensity at a step, in the image's units. */
  intensity(step) {
    return this.cofactor * Math.sinh((step / 255) * this.topScaled);
  }

  /** Return the step below which a percentage of the pixels lies. */
  percentile(percent) {
    let left = (percent / 100) * this.steps.length;
    return Math.max(this.counts.findIndex((count) => (left -= count) <= 0), 0);
  }

  /** Return the brightness of each step, 0 … 1. */
  brightness(scale, low, high) {
    const value = scale === "linear" ? (step) => this.intensity(step) : (step) => step;
    const dark = value(this.percentile(low));
    const bright = Math.max(value(this.percentile(high)), value(this.percentile(low) + 1));
    return Float32Array.from({ length: 256 }, (_, step) =>
      Math.min(Math.max((value(step) - dark) / (bright - dark), 0), 1),
    );
  }
}

/**
 * The composite and the outlines on it, in square tiles that Leaflet asks for and keeps.
 *
 * Outlines are drawn anew at every zoom, along the edges between pixels, so that they are thin and
 * sharp at all of them. Where those of several raters coincide, their colours take turns.
 */
const TissueLayer = L.GridLayer.extend({
  initialize(composite, options) {
    this.composite = composite;
    this.outlined = []; // {labels: LabelImage, colour: [red, green, blue]}
    L.GridLayer.prototype.initialize.call(this, options);
  },

  createTile(coords) {
    const density = window.devicePixelRatio || 1;
    const side = Math.round(this.getTileSize().x * density);
    const tile = document.createElement("canvas");
    tile.width = tile.height = side;
    // How many of the screen's pixels one of the image's is wide.
    const scale = (this._map.options.crs.scale(coords.z) * side) / this.getTileSize().x;
    const context = tile.getContext("2d");
    const { canvas } = this.composite;
    context.imageSmoothingEnabled = scale < 1;
    context.setTransform(scale, 0, 0, scale, -coords.x * side, -coords.y * side);
    context.drawImage(canvas, 0, 0);
    if (this.outlined.length) this._drawOutlines(context, side, coords, scale);
    return tile;
  },

  _drawOutlines(context, side, coords, scale) {
    const { width, height } = this.composite.canvas;
    // The image's column, or row, below each of the tile's pixels, one pixel more at either end.
    const below = (start, size) =>
      Int32Array.from({ length: side + 2 }, (_, i) => {
        const at = Math.floor((start * side + i - 0.5) / scale);
        return at < 0 || at >= size ? -1 : at;
      });
    const columns = below(coords.x, width);
    const rows = below(coords.y, height);
    const thick = scale >= 6; // two pixels of the screen, else one
    const met = new Uint32Array(side * side); // bit k: an outline of the k-th rater
    const mark = (x, y, bit) => {
      if (x >= 0 && y >= 0 && x < side && y < side) met[y * side + x] |= bit;
    };
    this.outlined.forEach(({ labels: image }, k) => {
      const { labels } = image;
      const label = (column, row) => (column < 0 || row < 0 ? 0 : labels[row * width + column]);
      for (let x = 0; x <= side; x++) {
        if (columns[x] === columns[x + 1]) continue;
        for (let y = 0; y < side; y++) {
          if (label(columns[x], rows[y + 1]) === label(columns[x + 1], rows[y + 1])) continue;
          mark(x, y, 1 << k);
          if (thick) mark(x - 1, y, 1 << k);
        }
      }
      for (let y = 0; y <= side; y++) {
        if (rows[y] === rows[y + 1]) continue;
        for (let x = 0; x < side; x++) {
          if (label(columns[x + 1], rows[y]) === label(columns[x + 1], rows[y + 1])) continue;
          mark(x, y, 1 << k);
          if (thick) mark(x, y - 1, 1 << k);
        }
      }
    });
    const image = context.getImageData(0, 0, side, side);
    const pixels = new Uint32Array(image.data.buffer);
    const colours = this.outlined.map(({ colour }) => toPixel(...colour));
    for (let at = 0; at < met.length; at++) {
      if (met[at]) pixels[at] = colours[turn(met[at], ((at % side) + Math.floor(at / side)) >> 2)];
    }
    context.putImageData(image, 0, 0);
  },
});

/** Return which of the bits of a number is on at a turn: the first, the second, …, the first. */
function turn(bits, count) {
  const first = 31 - Math.clz32(bits & -bits);
  if (bits === 1 << first) return first;
  const set = [];
  for (let k = 0; k < 32; k++) if (bits & (1 << k)) set.push(k);
  return set[count % set.length];
}
