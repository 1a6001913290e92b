// Affine transforms of images, bit for bit as Pillow's Image.transform(size, AFFINE, ...) inside the
// image, in src/libImaging/Geometry.c.

/**
 * @param {{data: Uint8ClampedArray, width: number, height: number}} image RGBA, like ImageData
 * @param {number[][]} matrix two rows of three: from output to input coordinates, in pixels
 * @param interpolation LINEAR or CUBIC
 * @returns an opaque image like `image`, of `width` x `height`; beyond the edges of the input, its
 *   pixels at the edges are repeated
 */
export function transform(image, [[xx, xy, x0], [yx, yy, y0]], width, height, { count, interpolate }) {
  const data = new Uint8ClampedArray(4 * width * height).fill(255);
  const columns = new Int32Array(count);
  const rows = new Int32Array(count);
  for (let row = 0, index = 0; row < height; row++) {
    for (let column = 0; column < width; column++, index += 4) {
      const x = xx * (column + 0.5) + xy * (row + 0.5) + x0 - 0.5;
      const y = yx * (column + 0.5) + yy * (row + 0.5) + y0 - 0.5;
      findNeighbours(columns, x, image.width, 4);
      findNeighbours(rows, y, image.height, 4 * image.width);
      const [across, down] = [x - Math.floor(x), y - Math.floor(y)];
      for (let channel = 0; channel < 3; channel++) {
        data[index + channel] = Math.trunc(
          interpolate(image.data, channel, columns, rows, across, down),
        );
      }
    }
  }
  return { data, width, height };
}

/** Writes the positions in an array of the pixels around a coordinate on one axis. */
function findNeighbours(positions, coordinate, length, step) {
  const first = Math.floor(coordinate) + 1 - positions.length / 2;
  for (let k = 0; k < positions.length; k++) {
    positions[k] = step * Math.min(Math.max(first + k, 0), length - 1);
  }
}

const mix = (a, b, t) => a + (b - a) * t;

function bilinear(data, channel, columns, rows, across, down) {
  const along = (row) => mix(data[row + columns[0] + channel], data[row + columns[1] + channel], across);
  return mix(along(rows[0]), along(rows[1]), down);
}

/** Between `b` and `c`, at the fraction `t`. */
const cubic = (a, b, c, d, t) => b + t * (c - a + t * (2 * (a - b) + c - d + t * (b - a + d - c)));

function bicubic(data, channel, columns, rows, across, down) {
  const along = (row) => cubic(
    data[row + columns[0] + channel], data[row + columns[1] + channel],
    data[row + columns[2] + channel], data[row + columns[3] + channel], across,
  );
  return cubic(along(rows[0]), along(rows[1]), along(rows[2]), along(rows[3]), down);
}

export const LINEAR = { count: 2, interpolate: bilinear };
export const CUBIC = { count: 4, interpolate: bicubic };
