// The page's controls: sends faces in files, samples and camera images to the network.

import { cropFace } from "./alignment.js";
import { Camera, explain } from "./camera.js";
import { makeChart, summary } from "./chart.js";
import { loadDetector } from "./detector.js";
import { centre, makeFaceList, nearestFace } from "./faces.js";
import { makeFrame } from "./frame.js";
import { crop, decode, pixels, portraitBox, wholeBox } from "./image.js";
import { loadModel } from "./model.js";
import { resize } from "./resize.js";

const byId = (id) => document.getElementById(id);
const [view, image, video, region] = ["view", "image", "video", "region"].map(byId);

// The accelerators to try: ?accelerator=wasm avoids the GPU.
const requested = new URLSearchParams(location.search).getAll("accelerator");
const accelerators = requested.length ? requested : ["webgpu", "wasm"];
const ready = loadModel(accelerators).then((model) => {
  const chart = makeChart(byId("groups"), model);
  if (!model.framing) explainMissingFraming();
  addSamples(model.samples);
  showEngine(model);
  return { model, chart };
});
const detector = ready.then(({ model }) => model.framing && loadDetector(accelerators));
ready.catch((error) => {
  byId("engine").textContent = "The network could not be loaded.";
  showProblem(`The network could not be loaded: ${error.message}`);
});
detector.catch(() => {}); // it is reported when a face is searched

function explainMissingFraming() {
  region.querySelector("[value=faces]").remove();
  byId("faces").hidden = true;
  byId("note").hidden = false;
}

// --- Analysis ------------------------------------------------------------------------------------

let running = { abort: new AbortController(), end: Promise.resolve() };
// The photograph in which faces were found, those faces, and the index of the chosen one.
let found = { photograph: null, faces: [], index: 0 };

/** Runs an analysis in place of the running one; shows an error on the page. */
function start(analyse) {
  running.abort.abort();
  const abort = new AbortController();
  const end = running.end.then(() => attempt(
    async () => {
      abort.signal.throwIfAborted();
      await analyse(abort.signal);
    },
    (error) => `The network failed: ${error.message}`,
  ));
  running = { abort, end };
}

async function analyseNewImage(signal) {
  const { model } = await ready;
  // A face fills only a small area of a wide image, and would be distorted by resizing all of it.
  if (!model.framing) region.value = image.width > 1.1 * image.height ? "frame" : "image";
  return analyseImage(signal);
}

async function analyseImage(signal) {
  showRegion();
  if (region.value === "faces") return analyseFaces(image, signal, showProgress);
  const box = region.value === "frame" ? frame.place(image.width, image.height) : wholeBox(image);
  return predictBox(image, box, signal);
}

async function analyseCameraImage(signal) {
  const canvas = cameraImage();
  return region.value === "faces"
    ? analyseFaces(canvas, signal)
    : predictBox(canvas, wholeBox(canvas), signal);
}

/** Finds the faces in a canvas and predicts the attributes of the chosen one. */
async function analyseFaces(canvas, signal, onProgress) {
  const photograph = pixels(canvas, wholeBox(canvas));
  if (onProgress) byId("summary").textContent = "Looking for faces…";
  const before = found.faces[found.index];
  const faces = await (await detector).detect(photograph, { signal, onProgress });
  // The camera follows the chosen face.
  const index = camera.isOn && before && faces.length ? nearestFace(faces, centre(before)) : 0;
  found = { photograph, faces, index };
  faceList.show(canvas, faces, index);
  return predictFace(signal);
}

async function predictFace(signal) {
  const { photograph, faces, index } = found;
  if (!faces.length) return showNoFace();
  const { model } = await ready;
  const face = cropFace(photograph, faces[index], model.framing, model.width, model.height);
  return predict(face, signal);
}

async function predictBox(canvas, box, signal) {
  const { model } = await ready;
  return predict(resize(pixels(canvas, box), model.width, model.height), signal);
}

/** Predicts the attributes of an image of the network's size, and shows them. */
async function predict(face, signal) {
  const { model, chart } = await ready;
  const started = performance.now();
  const probabilities = await model.predict(face);
  signal.throwIfAborted();
  chart.show(probabilities);
  byId("summary").textContent = summary(probabilities, model);
  showEngine(model, performance.now() - started);
}

/** Runs an action; shows an error on the page. */
async function attempt(action, explainError) {
  showProblem("");
  try {
    await action();
  } catch (error) {
    if (error.name === "AbortError") return;
    console.error(error);
    showProblem(explainError(error));
  } finally {
    showProgress(1);
  }
}

// --- What the page shows -------------------------------------------------------------------------

const faceList = makeFaceList(byId("boxes"), byId("faces"), (index) => {
  found.index = index;
  faceList.show(camera.isOn ? video : image, found.faces, index);
  if (!camera.isOn) start(predictFace); // the next camera image follows the face
});
const frame = makeFrame(byId("frame"), byId("size"), () => start(analyseImage));

async function showNoFace() {
  (await ready).chart.clear();
  byId("summary").textContent =
    "No face was found in this image. If it shows one, set a frame around it.";
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

function showProgress(fraction) {
  byId("progress").hidden = fraction === 1;
  byId("progress").value = fraction;
}

function showImage(canvas) {
  [image.width, image.height] = [canvas.width, canvas.height];
  image.getContext("2d", { willReadFrequently: true }).drawImage(canvas, 0, 0);
  showRegion();
  start(analyseNewImage);
}

/** Shows the image or the camera, with the faces or the frame. */
function showRegion() {
  const { width, height } = camera.isOn ? cameraBox() : image;
  view.style.setProperty("--aspect", width / height);
  view.hidden = false;
  byId("empty").hidden = true;
  [image.hidden, video.hidden] = [camera.isOn, !camera.isOn];
  const framed = region.value === "frame" && !camera.isOn;
  [byId("frame").hidden, byId("sizing").hidden] = [!framed, !framed];
  found = { photograph: null, faces: [], index: 0 };
  faceList.clear();
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
  frame.reset();
  showImage(canvas);
}

region.addEventListener("change", () => {
  frame.reset();
  if (camera.isOn) showRegion();
  else if (!view.hidden) start(analyseImage);
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
  for (const { url, name } of samples) {
    const thumbnail = Object.assign(new Image(), { src: url, alt: name });
    const button = Object.assign(document.createElement("button"), { type: "button" });
    button.append(thumbnail);
    button.addEventListener("click", async () => open(await (await fetch(url)).blob(), name));
    byId("samples").append(button);
  }
}

// --- The camera ----------------------------------------------------------------------------------

const camera = new Camera(video);

byId("camera").addEventListener("click", async () => {
  if (camera.isOn) return keepCameraImage();
  await attempt(() => camera.start(), explain);
  if (!camera.isOn) return;
  byId("camera").textContent = "Keep this image";
  // A screen reader would read without a pause.
  byId("summary").ariaLive = "off";
  showRegion();
  start((signal) => camera.each(() => analyseCameraImage(signal)));
});

/** The box of the video that is analysed. */
function cameraBox() {
  const { videoWidth: width, videoHeight: height } = video;
  return region.value === "faces" ? wholeBox({ width, height }) : portraitBox(width, height);
}

function cameraImage() {
  return crop(video, cameraBox());
}

function keepCameraImage() {
  const kept = cameraImage();
  stopCamera();
  showImage(kept);
}

function stopCamera() {
  camera.stop();
  byId("camera").textContent = "Use the camera";
  byId("summary").ariaLive = "polite";
}
