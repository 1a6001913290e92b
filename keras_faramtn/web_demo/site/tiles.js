// Square tiles of a photograph at several scales, as keras_faramtn/faces/tiles.py makes them.

import { round, square } from "./image.js";
import { resizeInTwoSteps, whole } from "./resize.js";

const COARSEST = 1 / 2; // the photograph's longer side in the coarsest tile; the rest is a black border
const FINEST_SCALE = 2 / 3; // at a higher one, small faces are no easier to detect
const MAX_ZOOM = 16; // from the coarsest to the finest scale; it limits the number of tiles
const MAX_STEP = 2.2; // from each scale to the next
const OVERLAP = 0.25; // of neighbouring tiles, as a fraction of their side
const REDUCING_GAP = 2;

/**
 * Yields the tiles of a photograph, from the finest scale to the coarsest.
 * @param {{data: Uint8ClampedArray, width: number, height: number}} photograph RGBA, like ImageData
 * @param {number} size height and width of the tiles in pixels
 * @returns {Generator} for each tile its `image`; functions `toPhotograph(point)` and
 *   `showsWhole(box)`, which is whether a box in pixels of the tile is not cut by the tile's edges;
 *   and the fraction `done` of all tiles, it included
 */
export function* makeTiles(photograph, size) {
  const levels = findScales(Math.max(photograph.width, photograph.height), size).map((scale) => {
    const [width, height] = [photograph.width, photograph.height].map((side) =>
      Math.max(1, round(side * scale)));
    return { width, height, columns: starts(width, size), rows: starts(height, size) };
  });
  const count = levels.reduce((sum, { columns, rows }) => sum + columns.length * rows.length, 0);
  let level = photograph;
  let number = 0;
  for (const { width, height, columns, rows } of levels) {
    // Each scale is made from the previous one.
    level = resizeInTwoSteps(level, width, height, whole(level), REDUCING_GAP);
    const scale = [width / photograph.width, height / photograph.height];
    for (const top of rows) {
      for (const left of columns) {
        const corner = [left, top];
        yield {
          image: square(level, left, top, size),
          toPhotograph: (point) => point.map((value, axis) => (corner[axis] + value) / scale[axis]),
          // Where the photograph ends, its edge cuts a face, not the tile's.
          showsWhole: ([start, end]) => [width, height].every((length, axis) =>
            (corner[axis] <= 0 || start[axis] >= 0)
            && (corner[axis] + size >= length || end[axis] <= size)),
          done: ++number / count,
        };
      }
    }
  }
}

/** The scales for a photograph whose longer side is given, finest first. */
function findScales(longer, size) {
  const coarsest = COARSEST * size / longer;
  const zoom = Math.min(Math.max(FINEST_SCALE / coarsest, 1), MAX_ZOOM);
  const steps = Math.ceil(Math.log(zoom) / Math.log(MAX_STEP));
  return Array.from({ length: steps + 1 }, (_, k) =>
    coarsest * zoom ** (1 - k / Math.max(steps, 1)));
}

/** Where tiles start so that they cover a length; a single one is centred. */
function starts(length, size) {
  if (length <= size) return [Math.floor((length - size) / 2)];
  const steps = Math.ceil((length - size) / (size * (1 - OVERLAP)));
  return Array.from({ length: steps + 1 }, (_, k) => round(k * (length - size) / steps));
}
