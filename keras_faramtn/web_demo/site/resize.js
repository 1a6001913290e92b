// Bilinear resizing with antialiasing, bit for bit as Pillow's Image.resize(size, BILINEAR, box),
// which `faramtn predict` uses. A canvas resizes differently, which would change the probabilities.
// As in Pillow's src/libImaging/Resample.c: fixed-point weights, rows first, rounded after each
// pass. (From version 13 Pillow resizes tall images by columns first, which differs by 1 at most.)

import { reduce } from "./reduce.js";

const BITS = 22;

/**
 * For each of `to` output pixels between the input coordinates `start` and `end`: the first of its
 * input pixels among `length`, and their weights.
 */
function inputWeights(length, start, end, to) {
  const [from, until] = [Math.fround(start), Math.fround(end)]; // as in Pillow
  const scale = Math.fround(until - from) / to;
  const support = Math.max(scale, 1);
  const inverse = 1 / support;
  return Array.from({ length: to }, (_, position) => {
    const centre = from + (position + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support + 0.5));
    const last = Math.min(length, Math.trunc(centre + support + 0.5));
    const raw = Float64Array.from({ length: last - first }, (_, k) =>
      Math.max(0, 1 - Math.abs((k + first - centre + 0.5) * inverse)));
    const normal = 1 / raw.reduce((sum, weight) => sum + weight, 0);
    const weights = Int32Array.from(raw, (weight) => 0.5 + weight * normal * 2 ** BITS);
    return { first, weights };
  });
}

/** The sum of weighted pixels, rounded: opaque RGBA, written to `target` at `to`. */
function mix(source, start, step, weights, target, to) {
  let red = 1 << (BITS - 1); // so that the sums are rounded
  let green = red;
  let blue = red;
  for (let k = 0, at = start; k < weights.length; k++, at += step) {
    const weight = weights[k];
    red += source[at] * weight;
    green += source[at + 1] * weight;
    blue += source[at + 2] * weight;
  }
  target[to] = red >> BITS;
  target[to + 1] = green >> BITS;
  target[to + 2] = blue >> BITS;
  target[to + 3] = 255;
}

/** The box of a whole image. */
export const whole = ({ width, height }) => ({ left: 0, top: 0, right: width, bottom: height });

/**
 * Resizes a box of an image.
 * @param {{data: Uint8ClampedArray, width: number, height: number}} image RGBA, like ImageData
 * @param {{left: number, top: number, right: number, bottom: number}} box in pixels, inside the image
 * @returns an opaque image like `image`, of `width` x `height`
 */
export function resize(image, width, height, box = whole(image)) {
  const columns = inputWeights(image.width, box.left, box.right, width);
  const rows = inputWeights(image.height, box.top, box.bottom, height);
  const [top, last] = [rows[0].first, rows.at(-1)];
  const needed = last.first + last.weights.length - top;
  const narrow = new Uint8ClampedArray(4 * needed * width);
  for (let y = 0, to = 0; y < needed; y++) {
    const line = 4 * (top + y) * image.width;
    for (const { first, weights } of columns) {
      mix(image.data, line + 4 * first, 4, weights, narrow, to);
      to += 4;
    }
  }
  const data = new Uint8ClampedArray(4 * height * width);
  let to = 0;
  for (const { first, weights } of rows) {
    const line = 4 * (first - top) * width;
    for (let x = 0; x < width; x++, to += 4) {
      mix(narrow, line + 4 * x, 4 * width, weights, data, to);
    }
  }
  return { data, width, height };
}

/**
 * As `resize`, but first reduces an image that is more than `gap` times too large, which is faster:
 * Pillow's `reducing_gap`.
 */
export function resizeInTwoSteps(image, width, height, box, gap) {
  const across = Math.max(1, Math.trunc((box.right - box.left) / width / gap));
  const down = Math.max(1, Math.trunc((box.bottom - box.top) / height / gap));
  if (across === 1 && down === 1) return resize(image, width, height, box);
  // Beside the box, its resizing needs half an output pixel.
  const besideX = (box.right - box.left) / width / 2;
  const besideY = (box.bottom - box.top) / height / 2;
  const safe = {
    left: Math.max(0, Math.trunc(box.left - besideX)),
    top: Math.max(0, Math.trunc(box.top - besideY)),
    right: Math.min(image.width, Math.ceil(box.right + besideX)),
    bottom: Math.min(image.height, Math.ceil(box.bottom + besideY)),
  };
  return resize(reduce(image, across, down, safe), width, height, {
    left: (box.left - safe.left) / across,
    top: (box.top - safe.top) / down,
    right: (box.right - safe.left) / across,
    bottom: (box.bottom - safe.top) / down,
  });
}
