// Loads TFLite files and runs them with LiteRT.js: on the GPU if it supports all operations.

import { Tensor, loadAndCompile, loadLiteRt } from "./litert/core.js";

const RUNTIME = "litert/litert_wasm_compat_internal";

/**
 * Loads LiteRT.js, before the first network.
 * @param {string[]} accelerators as those of the networks; a GPU is requested for "webgpu" only
 */
export async function loadRuntime(accelerators) {
  const wasmBinary = await decompress(await get(`${RUNTIME}.wasm.gzip`));
  // Emscripten takes its binary from this object, which LiteRT.js passes on.
  self.Module = { wasmBinary };
  const environment = accelerators.includes("webgpu") ? {} : { webGpuDevice: null };
  await loadLiteRt(`${RUNTIME}.js`, { environment });
}

/** A network of a TFLite file, with one float32 input. */
export class Network {
  #file;
  #compiled;

  /**
   * @param {Uint8Array} file
   * @param {string[]} accelerators in order of preference, of "webgpu" and "wasm"
   */
  static async compile(file, accelerators) {
    return new Network(file, await compile(file, accelerators));
  }

  constructor(file, compiled) {
    this.#file = file;
    this.#compiled = compiled;
    [, this.height, this.width] = compiled.getInputDetails()[0].shape;
  }

  get accelerator() {
    return this.#compiled.options.accelerator;
  }

  /**
   * Runs the network. Calls must not overlap.
   * @param {Float32Array} values the input
   * @returns {Promise<{shape: number[], values: Float32Array}[]>} the outputs
   */
  async run(values) {
    try {
      return await run(this.#compiled, values);
    } catch (error) {
      // GPU drivers may also fail later: the device is lost, or a shader returns NaN.
      if (this.accelerator === "wasm") throw error;
      console.warn("The GPU failed; continuing on the CPU.", error);
      this.#compiled = await compile(this.#file, ["wasm"]);
      return run(this.#compiled, values);
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

async function run(compiled, values) {
  const input = new Tensor(values, [...compiled.getInputDetails()[0].shape]);
  const details = compiled.getOutputDetails();
  const outputs = await compiled.run([input]);
  input.delete();
  const results = [];
  for (const [index, output] of outputs.entries()) {
    const result = output.accelerator === "wasm" ? output : await output.moveTo("wasm");
    results.push({ shape: [...details[index].shape], values: result.toTypedArray().slice() });
    result.delete();
  }
  if (!results.every((each) => each.values.every(Number.isFinite))) {
    throw new Error("The network returned invalid numbers.");
  }
  return results;
}

export async function get(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status} ${response.statusText}`);
  return response;
}

/** The content of a file. */
export async function download(url) {
  return new Uint8Array(await (await get(url)).arrayBuffer());
}

function decompress(response) {
  return new Response(response.body.pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}
