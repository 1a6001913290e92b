// A frame that the user moves over the image, by pointer or arrow keys.

import { portraitBox } from "./image.js";

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const STEP = 0.02; // of the image, per press of an arrow key

/**
 * @param {HTMLElement} element the frame, inside the element that shows the image
 * @param {HTMLInputElement} size
 * @param {function()} onChange is called when the user moves or resizes the frame
 * @returns `reset()`, which makes the frame as large as possible, and `place(width, height)`, which
 *   places it in an image of this size and returns its box in the image
 */
export function makeFrame(element, size, onChange) {
  let centre = { x: 0.5, y: 0.5 }; // as fractions of the image

  function move(x, y) {
    centre = { x, y };
    onChange();
  }

  element.addEventListener("keydown", (event) => {
    if (!(event.key in ARROWS)) return;
    event.preventDefault();
    const [x, y] = ARROWS[event.key];
    move(centre.x + STEP * x, centre.y + STEP * y);
  });

  element.addEventListener("pointerdown", (start) => {
    element.setPointerCapture(start.pointerId);
    const from = { ...centre };
    const { clientWidth, clientHeight } = element.parentElement;
    const follow = (event) => move(
      from.x + (event.clientX - start.clientX) / clientWidth,
      from.y + (event.clientY - start.clientY) / clientHeight,
    );
    element.addEventListener("pointermove", follow);
    element.addEventListener("lostpointercapture", () =>
      element.removeEventListener("pointermove", follow), { once: true });
  });

  size.addEventListener("input", onChange);

  return {
    reset() {
      centre = { x: 0.5, y: 0.5 };
      size.value = 1;
    },

    place(width, height) {
      const box = portraitBox(width, height, size.valueAsNumber, centre.x, centre.y);
      // The frame may have been stopped by an edge of the image.
      centre = { x: (box.left + box.width / 2) / width, y: (box.top + box.height / 2) / height };
      const fractions = { left: box.left / width, top: box.top / height };
      [fractions.width, fractions.height] = [box.width / width, box.height / height];
      for (const [side, value] of Object.entries(fractions)) {
        element.style[side] = `${100 * value}%`;
      }
      return box;
    },
  };
}
