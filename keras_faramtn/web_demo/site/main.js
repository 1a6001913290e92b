// Wires the page: a picture from a file, a drop, a sample or the camera goes to the network.

import { makeChart, summary } from "./chart.js";
import { loadModel } from "./model.js";
import { cut, decode, pixels, portraitBox, PORTRAIT } from "./picture.js";
import { resize } from "./resize.js";

const part = (id) => document.getElementById(id);
const [view, picture, video, frame] = ["view", "picture", "video", "frame"].map(part);
const [framed, size, camera] = ["framed", "size", "camera"].map(part);

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const STEP = 0.02; // of the picture, for a press of an arrow key
const REST = 60; // milliseconds between two of the camera's frames, at least

let place = { x: 0.5, y: 0.5 }; // of the frame's middle, in shares of the picture
let stream = null;

// Which accelerators to try: ?accelerator=wasm leaves the graphics card alone.
const asked = new URLSearchParams(location.search).getAll("accelerator");
const ready = loadModel(asked.length ? asked : undefined).then((model) => {
  const show = makeChart(part("groups"), model.groups, model.attributes);
  return { model, show };
});
ready.then(
  ({ model }) => {
    tellEngine(model);
    addSamples(model.samples);
  },
  (error) => {
    part("engine").textContent = "The network could not be loaded.";
    tellProblem(`The network could not be loaded: ${error.message}`);
  },
);

// --- From pixels to bars -------------------------------------------------------------------------

let newest = 0;
let running = null;

/** Shows what the network says of some pixels, unless newer ones have come meanwhile. */
async function look(image) {
  const mine = ++newest;
  const { model, show } = await ready;
  while (running) await running.catch(() => {});
  if (mine !== newest) return;
  const started = performance.now();
  running = model.predict(resize(image, model.width, model.height));
  const probabilities = await running.finally(() => (running = null));
  if (mine !== newest) return;
  show(probabilities);
  part("summary").textContent = summary(probabilities, model.attributes);
  tellEngine(model, performance.now() - started);
}

function tellEngine({ accelerator, name }, milliseconds) {
  const where = { webgpu: "your graphics card (WebGPU)", wasm: "your processor (WebAssembly)" };
  const time = milliseconds === undefined ? "" : ` · ${Math.round(milliseconds)} ms`;
  part("engine").textContent = `${name} on ${where[accelerator]}${time}`;
  part("engine").dataset.accelerator = accelerator;
}

function tellProblem(text) {
  part("problem").textContent = text;
  part("problem").hidden = !text;
}

/** Runs what a person asked for; what goes wrong is said on the page. */
async function attempt(action, explain) {
  tellProblem("");
  try {
    await action();
  } catch (error) {
    console.error(error);
    tellProblem(explain(error));
  }
}

// --- Still pictures ------------------------------------------------------------------------------

async function open(file, name) {
  let canvas;
  await attempt(
    async () => (canvas = await decode(file)),
    () => `${name} can’t be read as a picture. Try a JPEG or PNG file.`,
  );
  if (!canvas) return;
  stopCamera();
  // A face fills little of a wide picture, and squeezed to the network's shape is no face.
  framed.checked = canvas.width > 1.1 * canvas.height;
  size.value = 1;
  place = { x: 0.5, y: 0.5 };
  showPicture(canvas);
  lookAgain();
}

function showPicture(canvas) {
  [picture.width, picture.height] = [canvas.width, canvas.height];
  picture.getContext("2d", { willReadFrequently: true }).drawImage(canvas, 0, 0);
  showView(picture.width / picture.height);
}

function showView(aspect) {
  view.style.setProperty("--aspect", aspect);
  view.hidden = false;
  part("empty").hidden = true;
  part("framing").hidden = Boolean(stream);
  [picture.hidden, video.hidden] = [Boolean(stream), !stream];
  frame.hidden = Boolean(stream) || !framed.checked;
}

/** The network sees the whole picture, or what is in the frame. */
function lookAtPicture() {
  const { width, height } = picture;
  const box = framed.checked
    ? portraitBox(width, height, size.valueAsNumber, place.x, place.y)
    : { left: 0, top: 0, width, height };
  [frame.hidden, part("sizing").hidden] = [!framed.checked, !framed.checked];
  // Where the frame came to stand, at the edges not where it was wanted.
  place = { x: (box.left + box.width / 2) / width, y: (box.top + box.height / 2) / height };
  const share = { left: box.left / width, top: box.top / height };
  [share.width, share.height] = [box.width / width, box.height / height];
  for (const [side, value] of Object.entries(share)) frame.style[side] = `${100 * value}%`;
  return look(pixels(picture, box));
}

function lookAgain() {
  attempt(lookAtPicture, (error) => `The network failed: ${error.message}`);
}

function moveFrame(x, y) {
  place = { x, y };
  lookAgain();
}

framed.addEventListener("change", () => {
  if (framed.checked) size.value = 1;
  lookAgain();
});
size.addEventListener("input", lookAgain);

frame.addEventListener("keydown", (event) => {
  if (!(event.key in ARROWS)) return;
  event.preventDefault();
  const [x, y] = ARROWS[event.key];
  moveFrame(place.x + STEP * x, place.y + STEP * y);
});

frame.addEventListener("pointerdown", (start) => {
  frame.setPointerCapture(start.pointerId);
  const from = { ...place };
  const move = (event) => moveFrame(
    from.x + (event.clientX - start.clientX) / view.clientWidth,
    from.y + (event.clientY - start.clientY) / view.clientHeight,
  );
  frame.addEventListener("pointermove", move);
  frame.addEventListener("lostpointercapture", () =>
    frame.removeEventListener("pointermove", move), { once: true });
});

part("file").addEventListener("change", ({ target }) => {
  const [file] = target.files;
  if (file) open(file, file.name);
  target.value = ""; // so that the same file can be chosen again
});

for (const type of ["dragenter", "dragover"]) {
  addEventListener(type, (event) => {
    event.preventDefault();
    part("stage").classList.add("over");
  });
}
addEventListener("dragleave", ({ relatedTarget }) => {
  if (!relatedTarget) part("stage").classList.remove("over");
});
addEventListener("drop", (event) => {
  event.preventDefault();
  part("stage").classList.remove("over");
  const [file] = event.dataTransfer.files;
  if (file) open(file, file.name);
});

function addSamples(samples) {
  for (const [index, address] of samples.entries()) {
    const image = Object.assign(new Image(), { src: address, alt: `Drawn face ${index + 1}` });
    const button = Object.assign(document.createElement("button"), { type: "button" });
    button.append(image);
    button.addEventListener("click", async () =>
      open(await (await fetch(address)).blob(), image.alt));
    part("samples").append(button);
  }
  part("samples").hidden = !samples.length;
}

// --- The camera ----------------------------------------------------------------------------------

const CAMERA_PROBLEMS = {
  NotAllowedError: "The browser was not allowed to use the camera. Allow it, and try again.",
  NotFoundError: "No camera was found.",
  NotReadableError: "The camera is used by another program.",
};

camera.addEventListener("click", () => {
  if (stream) return keepCameraPicture();
  return attempt(
    startCamera,
    (error) => CAMERA_PROBLEMS[error.name] ?? `The camera can’t be used: ${error.message}`,
  );
});

async function startCamera() {
  if (!navigator.mediaDevices) throw new Error("browsers allow it on https pages only.");
  const opened = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user" } });
  stopCamera(); // of an impatient second click
  stream = opened;
  video.srcObject = stream;
  await video.play();
  camera.textContent = "Keep this picture";
  // A screen reader would read without end.
  part("summary").ariaLive = "off";
  showView(PORTRAIT);
  await follow(stream);
}

/** Looks at the camera's newest frame, again and again; not while the page is out of sight. */
async function follow(mine) {
  while (stream === mine) {
    const started = performance.now();
    const seen = cameraPicture();
    await look(pixels(seen, { left: 0, top: 0, width: seen.width, height: seen.height }));
    const rest = Math.max(REST, performance.now() - started);
    await new Promise((resolve) => setTimeout(() => requestAnimationFrame(resolve), rest));
  }
}

function cameraPicture() {
  return cut(video, portraitBox(video.videoWidth, video.videoHeight));
}

function keepCameraPicture() {
  const kept = cameraPicture();
  stopCamera();
  framed.checked = false;
  showPicture(kept);
  lookAgain();
}

function stopCamera() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = video.srcObject = null;
  camera.textContent = "Use the camera";
  part("summary").ariaLive = "polite";
}
