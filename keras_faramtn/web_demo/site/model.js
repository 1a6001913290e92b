// The network that predicts the attributes of a face crop, and what model.json records about it.

import { rgb } from "./image.js";
import { download, get, loadRuntime, Network } from "./runtime.js";

/** @param {string[]} accelerators in order of preference, of "webgpu" and "wasm" */
export async function loadModel(accelerators) {
  const description = await (await get("model.json")).json();
  const [file] = await Promise.all([download(description.file), loadRuntime(accelerators)]);
  return new Model(description, await Network.compile(file, accelerators));
}

class Model {
  #network;

  constructor({ attributes, groups, framing, thresholds, samples, file }, network) {
    Object.assign(this, { attributes, groups, framing, samples, name: file });
    this.thresholds = attributes.map((name) => thresholds?.[name] ?? 0.5);
    this.#network = network;
    [this.height, this.width] = [network.height, network.width];
  }

  get accelerator() {
    return this.#network.accelerator;
  }

  /**
   * Predicts the attributes of one image.
   * @param {{data: Uint8ClampedArray}} image RGBA, of the network's size
   * @returns {Promise<number[]>} probabilities in 0..1, in the order of `attributes`
   */
  async predict(image) {
    const [output] = await this.#network.run(rgb(image));
    return [...output.values];
  }
}
