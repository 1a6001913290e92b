// Cuts face crops out of photographs, framed as the network's training images, as
// keras_faramtn/faces/alignment.py does.

import { CUBIC, LINEAR, transform } from "./affine.js";
import { reduce } from "./reduce.js";
import { resize } from "./resize.js";

const REDUCING_GAP = 3;
const MARGIN = 2; // pixels around the crop that its interpolation needs
const ROUNDING = 1e-6; // pixels: an exact length may come out of the matrix slightly larger

/**
 * The crop of a face. Beyond the edges of the photograph, its pixels at the edges are repeated.
 * @param photograph RGBA, like ImageData
 * @param face as `detect` in detector.js returns it
 * @param framing of model.json
 * @returns an image like `photograph`, of `width` x `height`
 */
export function cropFace(photograph, face, framing, width, height) {
  const matrix = SOURCES[framing.kind](face, framing);
  const size = [width, height];
  const lengths = [0, 1].map((axis) => Math.hypot(matrix[0][axis], matrix[1][axis]));
  const step = Math.max(
    1, Math.floor(Math.min(lengths[0] / width, lengths[1] / height) / REDUCING_GAP),
  );
  const { region, corner } = regionAround(photograph, matrix, step);
  const cut = size.map((length, axis) =>
    Math.max(length, Math.ceil(lengths[axis] / step - ROUNDING)));
  const finer = cut[0] > width || cut[1] > height;
  const toRegion = matrix.map(([x, y, shift], axis) =>
    [x / cut[0] / step, y / cut[1] / step, (shift - corner[axis]) / step]);
  const crop = transform(region, toRegion, ...cut, finer ? CUBIC : LINEAR);
  return finer ? resize(crop, width, height) : crop;
}

/**
 * The least-squares similarity transform from eyes and mouth in the crop to those in the photograph.
 * @returns {number[][]} from the crop, in fractions of its sides, to the photograph in pixels: two
 *   rows of three
 */
function alignedSource(face, { aspect, left_eye: leftEye, right_eye: rightEye, mouth }) {
  const target = [leftEye, rightEye, mouth].map(([x, y]) => [x * aspect, y]);
  const source = [face.leftEye, face.rightEye, face.mouth];
  const [targetCentre, sourceCentre] = [mean(target), mean(source)];
  let [real, imaginary, norm] = [0, 0, 0];
  for (const index of target.keys()) {
    const [tx, ty] = minus(target[index], targetCentre);
    const [sx, sy] = minus(source[index], sourceCentre);
    real += tx * sx + ty * sy;
    imaginary += tx * sy - ty * sx;
    norm += tx * tx + ty * ty;
  }
  const [cos, sin] = [real / norm, imaginary / norm]; // times the scale
  return [
    [cos * aspect, -sin, sourceCentre[0] - cos * targetCentre[0] + sin * targetCentre[1]],
    [sin * aspect, cos, sourceCentre[1] - sin * targetCentre[0] - cos * targetCentre[1]],
  ];
}

/** As `alignedSource`, without rotation; the scale is that of the box's area. */
function boxSource(face, { aspect, top_left: [x0, y0], bottom_right: [x1, y1] }) {
  const area = (face.right - face.left) * (face.bottom - face.top);
  const scale = Math.sqrt(area / ((x1 - x0) * aspect * (y1 - y0)));
  const left = (face.left + face.right) / 2 - scale * aspect * (x0 + x1) / 2;
  const top = (face.top + face.bottom) / 2 - scale * (y0 + y1) / 2;
  return [[scale * aspect, 0, left], [0, scale, top]];
}

const SOURCES = { aligned: alignedSource, box: boxSource };

const minus = ([x, y], [u, v]) => [x - u, y - v];
const mean = (points) =>
  [0, 1].map((axis) => points.reduce((sum, point) => sum + point[axis], 0) / points.length);

/**
 * The rectangle of the photograph around the crop, its resolution divided by `step`, and its top left
 * corner.
 */
function regionAround({ width, height, data }, matrix, step) {
  const [[left, right], [top, bottom]] = [width, height].map((length, axis) => {
    const [x, y, shift] = matrix[axis];
    const ends = [shift, shift + x, shift + y, shift + x + y];
    const first = Math.floor(Math.min(...ends)) - MARGIN * step;
    const last = Math.ceil(Math.max(...ends)) + MARGIN * step;
    return [Math.min(Math.max(first, 0), length - 1), Math.min(Math.max(last, 1), length)];
  });
  const region = reduce({ width, height, data }, step, step, { left, top, right, bottom });
  return { region, corner: [left, top] };
}
