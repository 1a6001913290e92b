// The faces found in an image: boxes on it, and a list of radio buttons to choose one.

const THUMBNAIL = { width: 44, height: 54 }; // CSS pixels
const MARGIN = 0.3; // around the box in the thumbnail, as a fraction of the box

/**
 * @param {SVGElement} boxes lies over the image
 * @param {HTMLFieldSetElement} list
 * @param {function(number)} onChoose is called with the index of a face that the user chooses
 * @returns `show(source, faces, index)`, which shows the faces in a canvas or video, of which one is
 *   chosen, and `clear()`
 */
export function makeFaceList(boxes, list, onChoose) {
  let faces = [];
  boxes.addEventListener("click", ({ clientX, clientY }) => {
    if (!faces.length) return;
    // Also where the image is shown mirrored.
    const toImage = boxes.getScreenCTM().inverse();
    const { x, y } = new DOMPoint(clientX, clientY).matrixTransform(toImage);
    onChoose(nearestFace(faces, { x, y }));
  });
  list.addEventListener("change", ({ target }) => onChoose(Number(target.value)));

  const keep = (count) => ({
    rectangles: keepChildren(boxes, "rect", count, makeBox),
    buttons: keepChildren(list, "label", count, makeButton),
  });

  function show(source, found, chosen) {
    faces = found;
    const width = source.videoWidth ?? source.width;
    const height = source.videoHeight ?? source.height;
    boxes.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const texts = { 0: "No face found", 1: "1 face found" };
    list.querySelector("legend").textContent = texts[faces.length] ?? `${faces.length} faces found`;
    const { rectangles, buttons } = keep(faces.length);
    for (const [index, face] of faces.entries()) {
      placeBox(rectangles[index], face, index === chosen);
      drawThumbnail(buttons[index].querySelector("canvas"), source, face);
      buttons[index].querySelector("input").checked = index === chosen;
      buttons[index].querySelector("span").textContent = `Face ${index + 1} of ${faces.length}`;
    }
  }

  function clear() {
    faces = [];
    list.querySelector("legend").textContent = "Faces found appear here";
    keep(0);
  }

  return { show, clear };
}

/** The index of the face whose centre is nearest to a point of the image. */
export function nearestFace(faces, { x, y }) {
  const distances = faces.map((face) => Math.hypot(centre(face).x - x, centre(face).y - y));
  return distances.indexOf(Math.min(...distances));
}

export function centre({ left, top, right, bottom }) {
  return { x: (left + right) / 2, y: (top + bottom) / 2 };
}

/** Makes or removes children of a kind, so that there are `count`; those that remain keep the focus. */
function keepChildren(parent, tag, count, make) {
  const children = [...parent.querySelectorAll(`:scope > ${tag}`)];
  for (const child of children.splice(count)) child.remove();
  while (children.length < count) {
    const child = make(children.length);
    parent.append(child);
    children.push(child);
  }
  return children;
}

function makeBox() {
  const box = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  box.setAttribute("vector-effect", "non-scaling-stroke");
  return box;
}

function placeBox(box, { left, top, right, bottom }, isChosen) {
  const attributes = { x: left, y: top, width: right - left, height: bottom - top };
  for (const [name, value] of Object.entries(attributes)) box.setAttribute(name, value);
  box.classList.toggle("chosen", isChosen);
}

function makeButton(index) {
  const button = document.createElement("label");
  const input = Object.assign(document.createElement("input"), {
    type: "radio", name: "face", value: index, className: "visually-hidden",
  });
  const text = Object.assign(document.createElement("span"), { className: "visually-hidden" });
  button.append(input, document.createElement("canvas"), text);
  return button;
}

function drawThumbnail(canvas, source, face) {
  const height = (face.bottom - face.top) * (1 + 2 * MARGIN);
  const width = height * THUMBNAIL.width / THUMBNAIL.height;
  const { x, y } = centre(face);
  canvas.width = THUMBNAIL.width * devicePixelRatio;
  canvas.height = THUMBNAIL.height * devicePixelRatio;
  canvas.getContext("2d").drawImage(
    source, x - width / 2, y - height / 2, width, height, 0, 0, canvas.width, canvas.height,
  );
}
