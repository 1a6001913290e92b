// The camera: shows its images in a video element and passes them on one by one.

const MIN_PAUSE = 60; // milliseconds between two images

const PROBLEMS = {
  NotAllowedError: "The browser was not allowed to use the camera. Allow it and try again.",
  NotFoundError: "No camera was found.",
  NotReadableError: "The camera is used by another program.",
};

/** Why `start` failed, in words. */
export function explain(error) {
  return PROBLEMS[error.name] ?? `The camera can’t be used: ${error.message}`;
}

export class Camera {
  #video;
  #stream = null;

  /** @param {HTMLVideoElement} video */
  constructor(video) {
    this.#video = video;
  }

  get isOn() {
    return Boolean(this.#stream);
  }

  async start() {
    if (!navigator.mediaDevices) throw new Error("browsers allow it only on HTTPS pages.");
    const opened = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user" } });
    this.stop(); // started by an earlier click
    this.#stream = this.#video.srcObject = opened;
    await this.#video.play();
  }

  stop() {
    this.#stream?.getTracks().forEach((track) => track.stop());
    this.#stream = this.#video.srcObject = null;
  }

  /** Calls an asynchronous function repeatedly until the camera stops, but not on a hidden page. */
  async each(action) {
    const stream = this.#stream;
    while (stream && this.#stream === stream) {
      const started = performance.now();
      await action();
      const pause = Math.max(MIN_PAUSE, performance.now() - started);
      await new Promise((resolve) => setTimeout(() => requestAnimationFrame(resolve), pause));
    }
  }
}
