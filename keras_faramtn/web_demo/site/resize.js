// Bilinear resizing with antialiasing, bit for bit as Pillow's Image.resize(size, BILINEAR), which
// `faramtn predict` uses. A canvas resizes differently, which would change the probabilities.
// As in Pillow's src/libImaging/Resample.c: fixed-point weights, rows first, rounded after each
// pass. (From version 13 Pillow resizes tall images by columns first, which differs by 1 at most.)

const BITS = 22;

/** For each of `to` output pixels: the first of its input pixels among `from`, and their weights. */
function inputWeights(from, to) {
  const scale = from / to;
  const support = Math.max(scale, 1);
  const inverse = 1 / support;
  return Array.from({ length: to }, (_, position) => {
    const centre = (position + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support + 0.5));
    const end = Math.min(from, Math.trunc(centre + support + 0.5));
    const raw = Float64Array.from({ length: end - first }, (_, k) =>
      Math.max(0, 1 - Math.abs((k + first - centre + 0.5) * inverse)));
    const normal = 1 / raw.reduce((sum, weight) => sum + weight, 0);
    const weights = Int32Array.from(raw, (weight) => 0.5 + weight * normal * 2 ** BITS);
    return { first, weights };
  });
}

/**
 * Resizes along one axis. A step is the distance in the array between neighbours on that axis, and a
 * line is the distance between neighbours on the other axis.
 */
function resizeAxis(
  source, sourceStep, lines, sourceLine, target, targetStep, targetLine, outputs,
) {
  outputs.forEach(({ first, weights }, position) => {
    for (let line = 0; line < lines; line++) {
      const start = line * sourceLine + first * sourceStep;
      for (let channel = 0; channel < 3; channel++) {
        let sum = 1 << (BITS - 1);
        for (let k = 0, index = start + channel; k < weights.length; k++, index += sourceStep) {
          sum += source[index] * weights[k];
        }
        target[line * targetLine + position * targetStep + channel] = sum >> BITS;
      }
    }
  });
}

/**
 * @param {ImageData} image its alpha channel is ignored
 * @returns {Uint8ClampedArray} (height, width, 3), RGB
 */
export function resize(image, width, height) {
  const rows = new Uint8ClampedArray(image.height * width * 3);
  resizeAxis(
    image.data, 4, image.height, image.width * 4, rows, 3, width * 3,
    inputWeights(image.width, width),
  );
  const result = new Uint8ClampedArray(height * width * 3);
  resizeAxis(rows, width * 3, width, 3, result, width * 3, 3, inputWeights(image.height, height));
  return result;
}
