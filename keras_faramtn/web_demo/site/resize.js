// Bilinear resizing with antialiasing, bit for bit as Pillow's Image.resize(size, BILINEAR), which
// `faramtn predict` uses: a canvas would shrink pictures in another way, and probabilities with it.
// As in Pillow's src/libImaging/Resample.c: fixed-point weights, rows first, rounded after each
// pass. (From version 13 Pillow takes the columns of tall pictures first: off by 1 of 255 at most.)

const BITS = 22;

/** For each of `to` places: the first of the `from` places that it is made of, and their weights. */
function taps(from, to) {
  const scale = from / to;
  const support = Math.max(scale, 1);
  const inverse = 1 / support;
  return Array.from({ length: to }, (_, place) => {
    const centre = (place + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support + 0.5));
    const end = Math.min(from, Math.trunc(centre + support + 0.5));
    const raw = Float64Array.from({ length: end - first }, (_, k) =>
      Math.max(0, 1 - Math.abs((k + first - centre + 0.5) * inverse)));
    const normal = 1 / raw.reduce((sum, weight) => sum + weight, 0);
    const weights = Int32Array.from(raw, (weight) => 0.5 + weight * normal * 2 ** BITS);
    return { first, weights };
  });
}

/** Resizes along one axis; steps are distances in the arrays between neighbours of that axis. */
function pass(source, sourceStep, lines, sourceLine, target, targetStep, targetLine, places) {
  places.forEach(({ first, weights }, place) => {
    for (let line = 0; line < lines; line++) {
      const start = line * sourceLine + first * sourceStep;
      for (let channel = 0; channel < 3; channel++) {
        let sum = 1 << (BITS - 1);
        for (let k = 0, at = start + channel; k < weights.length; k++, at += sourceStep) {
          sum += source[at] * weights[k];
        }
        target[line * targetLine + place * targetStep + channel] = sum >> BITS;
      }
    }
  });
}

/**
 * @param {ImageData} image its alpha is left out
 * @returns {Uint8ClampedArray} (height, width, 3), RGB
 */
export function resize(image, width, height) {
  const rows = new Uint8ClampedArray(image.height * width * 3);
  pass(image.data, 4, image.height, image.width * 4, rows, 3, width * 3, taps(image.width, width));
  const result = new Uint8ClampedArray(height * width * 3);
  pass(rows, width * 3, width, 3, result, width * 3, 3, taps(image.height, height));
  return result;
}
