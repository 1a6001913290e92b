// The page's controls: sends images from files, samples and the camera to the network.

import { makeChart, summary } from "./chart.js";
import { loadModel } from "./model.js";
import { crop, decode, pixels, portraitBox, PORTRAIT } from "./image.js";
import { resize } from "./resize.js";

const byId = (id) => document.getElementById(id);
const [view, image, video, frame] = ["view", "image", "video", "frame"].map(byId);
const [framed, size, camera] = ["framed", "size", "camera"].map(byId);

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const STEP = 0.02; // of the image, per press of an arrow key
const MIN_PAUSE = 60; // milliseconds between two camera frames

let centre = { x: 0.5, y: 0.5 }; // of the frame, as fractions of the image
let stream = null;

// The accelerators to try: ?accelerator=wasm avoids the GPU.
const accelerators = new URLSearchParams(location.search).getAll("accelerator");
const ready = loadModel(accelerators.length ? accelerators : undefined).then((model) => {
  const show = makeChart(byId("groups"), model.groups, model.attributes);
  return { model, show };
});
ready.then(
  ({ model }) => {
    showEngine(model);
    addSamples(model.samples);
  },
  (error) => {
    byId("engine").textContent = "The network could not be loaded.";
    showProblem(`The network could not be loaded: ${error.message}`);
  },
);

// --- Prediction ----------------------------------------------------------------------------------

let latestRequest = 0;
let running = null;

/** Predicts the attributes of an ImageData and shows them, unless a newer request has arrived. */
async function predict(imageData) {
  const request = ++latestRequest;
  const { model, show } = await ready;
  while (running) await running.catch(() => {});
  if (request !== latestRequest) return;
  const started = performance.now();
  running = model.predict(resize(imageData, model.width, model.height));
  const probabilities = await running.finally(() => (running = null));
  if (request !== latestRequest) return;
  show(probabilities);
  byId("summary").textContent = summary(probabilities, model.attributes);
  showEngine(model, performance.now() - started);
}

function showEngine({ accelerator, name }, milliseconds) {
  const devices = { webgpu: "your GPU (WebGPU)", wasm: "your CPU (WebAssembly)" };
  const time = milliseconds === undefined ? "" : ` · ${Math.round(milliseconds)} ms`;
  byId("engine").textContent = `${name} on ${devices[accelerator]}${time}`;
  byId("engine").dataset.accelerator = accelerator;
}

function showProblem(text) {
  byId("problem").textContent = text;
  byId("problem").hidden = !text;
}

/** Runs an action; shows an error on the page. */
async function attempt(action, explain) {
  showProblem("");
  try {
    await action();
  } catch (error) {
    console.error(error);
    showProblem(explain(error));
  }
}

// --- Image files ---------------------------------------------------------------------------------

async function open(file, name) {
  let canvas;
  await attempt(
    async () => (canvas = await decode(file)),
    () => `${name} can’t be read as an image. Try a JPEG or PNG file.`,
  );
  if (!canvas) return;
  stopCamera();
  // A face fills only a small area of a wide image, and would be distorted by resizing all of it.
  framed.checked = canvas.width > 1.1 * canvas.height;
  size.value = 1;
  centre = { x: 0.5, y: 0.5 };
  showImage(canvas);
  update();
}

function showImage(canvas) {
  [image.width, image.height] = [canvas.width, canvas.height];
  image.getContext("2d", { willReadFrequently: true }).drawImage(canvas, 0, 0);
  showView(image.width / image.height);
}

function showView(aspect) {
  view.style.setProperty("--aspect", aspect);
  view.hidden = false;
  byId("empty").hidden = true;
  byId("framing").hidden = Boolean(stream);
  [image.hidden, video.hidden] = [Boolean(stream), !stream];
  frame.hidden = Boolean(stream) || !framed.checked;
}

/** Predicts the whole image, or the content of the frame. */
function predictImage() {
  const { width, height } = image;
  const box = framed.checked
    ? portraitBox(width, height, size.valueAsNumber, centre.x, centre.y)
    : { left: 0, top: 0, width, height };
  [frame.hidden, byId("sizing").hidden] = [!framed.checked, !framed.checked];
  // The frame may have been stopped by an edge of the image.
  centre = { x: (box.left + box.width / 2) / width, y: (box.top + box.height / 2) / height };
  const fractions = { left: box.left / width, top: box.top / height };
  [fractions.width, fractions.height] = [box.width / width, box.height / height];
  for (const [side, value] of Object.entries(fractions)) frame.style[side] = `${100 * value}%`;
  return predict(pixels(image, box));
}

function update() {
  attempt(predictImage, (error) => `The network failed: ${error.message}`);
}

function moveFrame(x, y) {
  centre = { x, y };
  update();
}

framed.addEventListener("change", () => {
  if (framed.checked) size.value = 1;
  update();
});
size.addEventListener("input", update);

frame.addEventListener("keydown", (event) => {
  if (!(event.key in ARROWS)) return;
  event.preventDefault();
  const [x, y] = ARROWS[event.key];
  moveFrame(centre.x + STEP * x, centre.y + STEP * y);
});

frame.addEventListener("pointerdown", (start) => {
  frame.setPointerCapture(start.pointerId);
  const from = { ...centre };
  const move = (event) => moveFrame(
    from.x + (event.clientX - start.clientX) / view.clientWidth,
    from.y + (event.clientY - start.clientY) / view.clientHeight,
  );
  frame.addEventListener("pointermove", move);
  frame.addEventListener("lostpointercapture", () =>
    frame.removeEventListener("pointermove", move), { once: true });
});

byId("file").addEventListener("change", ({ target }) => {
  const [file] = target.files;
  if (file) open(file, file.name);
  target.value = ""; // so that choosing the same file again triggers a change
});

for (const type of ["dragenter", "dragover"]) {
  addEventListener(type, (event) => {
    event.preventDefault();
    byId("stage").classList.add("dragover");
  });
}
addEventListener("dragleave", ({ relatedTarget }) => {
  if (!relatedTarget) byId("stage").classList.remove("dragover");
});
addEventListener("drop", (event) => {
  event.preventDefault();
  byId("stage").classList.remove("dragover");
  const [file] = event.dataTransfer.files;
  if (file) open(file, file.name);
});

function addSamples(samples) {
  for (const [index, url] of samples.entries()) {
    const thumbnail = Object.assign(new Image(), { src: url, alt: `Drawn face ${index + 1}` });
    const button = Object.assign(document.createElement("button"), { type: "button" });
    button.append(thumbnail);
    button.addEventListener("click", async () =>
      open(await (await fetch(url)).blob(), thumbnail.alt));
    byId("samples").append(button);
  }
  byId("samples").hidden = !samples.length;
}

// --- The camera ----------------------------------------------------------------------------------

const CAMERA_PROBLEMS = {
  NotAllowedError: "The browser was not allowed to use the camera. Allow it and try again.",
  NotFoundError: "No camera was found.",
  NotReadableError: "The camera is used by another program.",
};

camera.addEventListener("click", () => {
  if (stream) return keepCameraImage();
  return attempt(
    startCamera,
    (error) => CAMERA_PROBLEMS[error.name] ?? `The camera can’t be used: ${error.message}`,
  );
});

async function startCamera() {
  if (!navigator.mediaDevices) throw new Error("browsers allow it only on HTTPS pages.");
  const opened = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user" } });
  stopCamera(); // started by an earlier click
  stream = opened;
  video.srcObject = stream;
  await video.play();
  camera.textContent = "Keep this image";
  // A screen reader would read without a pause.
  byId("summary").ariaLive = "off";
  showView(PORTRAIT);
  await predictCamera(stream);
}

/** Predicts the latest camera frame repeatedly, but not while the page is hidden. */
async function predictCamera(source) {
  while (stream === source) {
    const started = performance.now();
    const canvas = cameraImage();
    const { width, height } = canvas;
    await predict(pixels(canvas, { left: 0, top: 0, width, height }));
    const pause = Math.max(MIN_PAUSE, performance.now() - started);
    await new Promise((resolve) => setTimeout(() => requestAnimationFrame(resolve), pause));
  }
}

function cameraImage() {
  return crop(video, portraitBox(video.videoWidth, video.videoHeight));
}

function keepCameraImage() {
  const kept = cameraImage();
  stopCamera();
  framed.checked = false;
  showImage(kept);
  update();
}

function stopCamera() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = video.srcObject = null;
  camera.textContent = "Use the camera";
  byId("summary").ariaLive = "polite";
}
