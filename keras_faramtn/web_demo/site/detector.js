// Finds the faces in a photograph with BlazeFace, as keras_faramtn/faces/detector.py does.

import { loadBlazeFace } from "./blazeface.js";
import { round, square } from "./image.js";
import { resizeInTwoSteps } from "./resize.js";
import { mergeDetections, overlap } from "./suppression.js";
import { makeTiles } from "./tiles.js";

const MIN_CANDIDATE_SCORE = 0.3; // low, because each candidate is looked at again
const MIN_SCORE = 0.6;
const CLOSE_UP = 4; // the side of the region that shows a candidate, relative to its box
const MIN_OVERLAP = 0.3; // of a candidate and its close-up
const REDUCING_GAP = 2;
const MAX_BLOCKING = 50; // milliseconds until the page may react

/** @param {string[]} accelerators in order of preference, of "webgpu" and "wasm" */
export async function loadDetector(accelerators) {
  return new FaceDetector(await loadBlazeFace(accelerators));
}

class FaceDetector {
  #network;

  constructor(network) {
    this.#network = network;
  }

  /**
   * The faces in a photograph, largest first.
   * @param {{data: Uint8ClampedArray, width: number, height: number}} photograph RGBA, like ImageData
   * @param {{signal: AbortSignal, onProgress: function(number)}} options `onProgress` is called with
   *   the fraction done
   * @returns {Promise<object[]>} the box as `left`, `top`, `right` and `bottom`, and `leftEye`,
   *   `rightEye` (left and right in the image), `nose` and `mouth` as x and y, in pixels of the
   *   photograph; and the `score` in 0..1
   */
  async detect(photograph, { signal, onProgress } = {}) {
    const pause = makePause(signal, onProgress);
    const detections = [];
    for (const candidate of await this.#findCandidates(photograph, pause)) {
      detections.push(...await this.#lookAgain(photograph, candidate));
      await pause();
    }
    return mergeDetections(detections).map(toFace).sort((a, b) => area(b) - area(a));
  }

  /** All possible faces. */
  async #findCandidates(photograph, pause) {
    const { width, height } = photograph;
    const { size } = this.#network;
    const found = [];
    for (const { image, toPhotograph, showsWhole, done } of makeTiles(photograph, size)) {
      for (const { points, score } of await this.#network.detect(image, MIN_CANDIDATE_SCORE)) {
        const inTile = points.map((point) => point.map((value) => value * size));
        if (showsWhole(inTile)) found.push({ points: inTile.map(toPhotograph), score });
      }
      await pause(done);
    }
    return mergeDetections(found).filter(({ points: [[left, top], [right, bottom]] }) =>
      left < right && top < bottom
      && isInside((left + right) / 2, width) && isInside((top + bottom) / 2, height));
  }

  /** The detections of the same face in a region around a candidate. */
  async #lookAgain(photograph, candidate) {
    const [[left, top], [right, bottom]] = candidate.points;
    const side = CLOSE_UP * Math.sqrt((right - left) * (bottom - top));
    const region = { left: (left + right - side) / 2, top: (top + bottom - side) / 2, side };
    const found = await look(photograph, this.#network, region, MIN_SCORE);
    return found.filter((detection) => overlap(candidate, detection) > MIN_OVERLAP);
  }
}

const isInside = (value, length) => value > 0 && value < length;
const area = ({ left, top, right, bottom }) => (right - left) * (bottom - top);

/** A function that lets the page react now and then, and stops if the search was aborted. */
function makePause(signal, onProgress) {
  let last = performance.now();
  return async (done) => {
    if (performance.now() - last > MAX_BLOCKING) {
      if (done !== undefined) onProgress?.(done);
      await new Promise((resolve) => setTimeout(resolve));
      last = performance.now();
    }
    signal?.throwIfAborted();
  };
}

/** All detections of a network in a square region, in pixels of the photograph. */
async function look(photograph, network, { left, top, side }, minScore) {
  const image = resizeSquare(photograph, left, top, side, network.size);
  const found = await network.detect(image, minScore);
  return found.map(({ points, score }) => (
    { points: points.map(([x, y]) => [left + side * x, top + side * y]), score }));
}

function toFace({ points, score }) {
  const [[left, top], [right, bottom], leftEye, rightEye, nose, mouth] = points;
  return { left, top, right, bottom, score, leftEye, rightEye, nose, mouth };
}

/** A square region of the photograph, resized; black beyond the photograph. */
function resizeSquare(photograph, left, top, side, size) {
  const box = {
    left: Math.max(left, 0),
    top: Math.max(top, 0),
    right: Math.min(left + side, photograph.width),
    bottom: Math.min(top + side, photograph.height),
  };
  const scale = size / side;
  const [width, height] = [box.right - box.left, box.bottom - box.top].map((length) =>
    Math.max(1, round(length * scale)));
  const inside = resizeInTwoSteps(photograph, width, height, box, REDUCING_GAP);
  return square(inside, -round((box.left - left) * scale), -round((box.top - top) * scale), size);
}
