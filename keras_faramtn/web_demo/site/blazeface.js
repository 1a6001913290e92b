// Runs BlazeFace on a square image and decodes its outputs, as
// keras_faramtn/faces/blazeface/network.py does.

import { rgb } from "./image.js";
import { download, Network } from "./runtime.js";

const FILE = "blazeface/full_range.tflite";
const STRIDE = 4; // pixels, between anchors
const NUMBERS = 16; // per anchor: centre, width and height of the box, and six landmarks

export async function loadBlazeFace(accelerators) {
  return new BlazeFace(await Network.compile(await download(FILE), accelerators));
}

class BlazeFace {
  #network;
  #anchors;

  constructor(network) {
    this.#network = network;
    this.size = network.width;
    this.#anchors = anchorCentres(this.size);
  }

  /**
   * Detects faces, before the suppression of repeated detections.
   * @param {{data: Uint8ClampedArray}} image RGBA, `size` x `size`
   * @param {number} minScore detections of a lower score are ignored
   * @returns {Promise<{points: number[][], score: number}[]>} points as x and y in fractions of the
   *   image: the box's top left and bottom right corners, the eyes (left and right in the image), the
   *   nose, the mouth and the ears
   */
  async detect(image, minScore) {
    const outputs = await this.#network.run(rgb(image).map((value) => value / 127.5 - 1));
    const [logits, numbers] = [1, NUMBERS].map((length) =>
      outputs.find(({ shape }) => shape.at(-1) === length).values);
    const detections = [];
    for (const [index, logit] of logits.entries()) {
      const score = 1 / (1 + Math.exp(-logit));
      if (score >= minScore) {
        const own = numbers.subarray(NUMBERS * index, NUMBERS * (index + 1));
        detections.push({ points: decode(own, this.#anchors[index], this.size), score });
      }
    }
    return detections;
  }
}

function decode(numbers, [x, y], size) {
  const [across, down, width, height, ...landmarks] = [...numbers].map((value) => value / size);
  const [left, top] = [x + across - width / 2, y + down - height / 2];
  const points = [[left, top], [left + width, top + height]];
  for (let k = 0; k < landmarks.length; k += 2) points.push([x + landmarks[k], y + landmarks[k + 1]]);
  return points;
}

/** The centres of the anchors, x and y as fractions of the image. */
function anchorCentres(size) {
  const steps = Array.from({ length: size / STRIDE }, (_, k) => (k + 0.5) * STRIDE / size);
  return steps.flatMap((y) => steps.map((x) => [x, y]));
}
