// Runs the network, a TFLite file, with LiteRT.js: on the GPU if it supports all operations.

import { Tensor, loadAndCompile, loadLiteRt } from "./litert/core.js";

const RUNTIME = "litert/litert_wasm_compat_internal";

/**
 * Loads the runtime and the network.
 * @param {string[]} accelerators in order of preference, of "webgpu" and "wasm"
 */
export async function loadModel(accelerators = ["webgpu", "wasm"]) {
  const [description, wasmBinary] = await Promise.all([
    get("model.json").then((response) => response.json()),
    get(`${RUNTIME}.wasm.gzip`).then(decompress),
  ]);
  const file = new Uint8Array(await (await get(description.file)).arrayBuffer());
  // Emscripten takes its binary from this object, which LiteRT.js passes on.
  self.Module = { wasmBinary };
  await loadLiteRt(`${RUNTIME}.js`);
  const compiled = await compile(file, accelerators);
  return new Model(description, file, compiled);
}

class Model {
  #file;
  #compiled;

  constructor({ attributes, groups, samples, file }, bytes, compiled) {
    Object.assign(this, { attributes, groups, samples, name: file });
    this.#file = bytes;
    this.#compiled = compiled;
    const [, height, width] = compiled.getInputDetails()[0].shape;
    [this.height, this.width] = [height, width];
  }

  get accelerator() {
    return this.#compiled.options.accelerator;
  }

  /**
   * Predicts the attributes of one image. Calls must not overlap.
   * @param {Uint8ClampedArray} pixels (height, width, 3), RGB
   * @returns {Promise<number[]>} probabilities in 0..1, in the order of `attributes`
   */
  async predict(pixels) {
    try {
      return await run(this.#compiled, pixels);
    } catch (error) {
      // GPU drivers may also fail later: the device is lost, or a shader returns NaN.
      if (this.accelerator === "wasm") throw error;
      console.warn("The GPU failed; continuing on the CPU.", error);
      this.#compiled = await compile(this.#file, ["wasm"]);
      return run(this.#compiled, pixels);
    }
  }
}

async function compile(file, accelerators) {
  for (const accelerator of accelerators) {
    try {
      // Half precision would be faster on some phones, but was not compared with the trained model.
      const gpuOptions = { precision: "fp32" };
      const compiled = await loadAndCompile(file, { accelerator, gpuOptions });
      if (accelerator === "wasm" || compiled.isFullyAccelerated) return compiled;
      compiled.delete();
    } catch (error) {
      if (accelerator === accelerators.at(-1)) throw error;
      console.info(`${accelerator} can't be used.`, error);
    }
  }
  throw new Error(`${accelerators.join(" and ")} can't run this network.`);
}

async function run(compiled, pixels) {
  const input = new Tensor(Float32Array.from(pixels), [...compiled.getInputDetails()[0].shape]);
  const [output] = await compiled.run([input]);
  const result = output.accelerator === "wasm" ? output : await output.moveTo("wasm");
  const probabilities = [...result.toTypedArray()];
  input.delete();
  result.delete();
  if (!probabilities.every(Number.isFinite)) throw new Error("The network returned invalid numbers.");
  return probabilities;
}

async function get(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status} ${response.statusText}`);
  return response;
}

function decompress(response) {
  return new Response(response.body.pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}
