// Reduces an image by whole numbers, bit for bit as Pillow's Image.reduce(factor, box): each output
// pixel is the mean of a rectangle, as in Pillow's src/libImaging/Reduce.c in fixed-point numbers.

const BITS = 24;

/**
 * @param {{data: Uint8ClampedArray, width: number, height: number}} image RGBA, like ImageData
 * @param {number} across how many columns become one
 * @param {number} down how many rows become one
 * @param {{left: number, top: number, right: number, bottom: number}} box in whole pixels; the last
 *   output column and row may be means of fewer pixels
 * @returns an opaque image like `image`
 */
export function reduce({ data: source, width: sourceWidth }, across, down, box) {
  const { left, top, right, bottom } = box;
  const width = Math.ceil((right - left) / across);
  const height = Math.ceil((bottom - top) / down);
  const data = new Uint8ClampedArray(4 * width * height).fill(255);
  for (let row = 0, index = 0; row < height; row++) {
    const firstRow = top + row * down;
    const endRow = Math.min(bottom, firstRow + down);
    for (let column = 0; column < width; column++, index += 4) {
      const first = left + column * across;
      const columns = Math.min(right, first + across) - first;
      const count = (endRow - firstRow) * columns;
      let red = count >> 1; // so that the mean is rounded
      let green = red;
      let blue = red;
      for (let y = firstRow; y < endRow; y++) {
        const start = 4 * (y * sourceWidth + first);
        for (let at = start; at < start + 4 * columns; at += 4) {
          red += source[at];
          green += source[at + 1];
          blue += source[at + 2];
        }
      }
      const factor = meanFactor(count);
      data[index] = Math.floor(red * factor);
      data[index + 1] = Math.floor(green * factor);
      data[index + 2] = Math.floor(blue * factor);
    }
  }
  return { data, width, height };
}

/** What a sum of `count` values is multiplied by, for their mean. */
function meanFactor(count) {
  return Math.trunc(Math.fround(2 ** BITS / count)) / 2 ** BITS;
}
