// Reads pixels from image files and the camera.

// Browsers limit the size of a canvas, some to as little as this; camera images are smaller.
const MAX_PIXELS = 16e6;

// Width divided by height of CelebA's aligned faces, 178 x 218.
const PORTRAIT = 178 / 218;

/**
 * Decodes an image file as Pillow does: upright, with colours as stored.
 * @param {Blob} file
 * @returns {Promise<HTMLCanvasElement>}
 */
export async function decode(file) {
  const bitmap = await createImageBitmap(file, {
    imageOrientation: "from-image",
    colorSpaceConversion: "none",
    premultiplyAlpha: "none",
  });
  const scale = Math.min(1, Math.sqrt(MAX_PIXELS / (bitmap.width * bitmap.height)));
  const canvas = crop(bitmap, wholeBox(bitmap), scale);
  bitmap.close();
  return canvas;
}

/** The box of a whole image. */
export function wholeBox({ width, height }) {
  return { left: 0, top: 0, width, height };
}

/** Crops a box from an image or a video frame to a new canvas. */
export function crop(source, { left, top, width, height }, scale = 1) {
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.floor(width * scale));
  canvas.height = Math.max(1, Math.floor(height * scale));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(source, left, top, width, height, 0, 0, canvas.width, canvas.height);
  return canvas;
}

/** The pixels of a box in a canvas, as ImageData. */
export function pixels(canvas, { left, top, width, height }) {
  return canvas.getContext("2d").getImageData(left, top, width, height);
}

/** The pixels of an image like ImageData as floats in 0..255, without alpha. */
export function rgb({ data }) {
  const values = new Float32Array(data.length / 4 * 3);
  for (let to = 0, from = 0; to < values.length; from++) {
    for (const end = to + 3; to < end; to++, from++) values[to] = data[from];
  }
  return values;
}

/**
 * An upright box inside an image, in whole pixels.
 * @param {number} size relative to the largest such box, in (0, 1]
 * @param {number} x horizontal position of the centre, as a fraction of the width
 * @param {number} y vertical position of the centre, as a fraction of the height
 */
export function portraitBox(imageWidth, imageHeight, size = 1, x = 0.5, y = 0.5) {
  const largest = Math.min(imageHeight, imageWidth / PORTRAIT);
  const height = Math.max(1, Math.floor(largest * size));
  const width = Math.min(imageWidth, Math.max(1, Math.round(height * PORTRAIT)));
  const start = (centre, length, total) =>
    Math.min(total - length, Math.max(0, Math.round(centre * total - length / 2)));
  return { left: start(x, width, imageWidth), top: start(y, height, imageHeight), width, height };
}

/** A square of an image like ImageData from a position on, black beyond the image; opaque. */
export function square(image, left, top, size) {
  const data = new Uint8ClampedArray(4 * size * size);
  for (let alpha = 3; alpha < data.length; alpha += 4) data[alpha] = 255;
  const [start, end] = [Math.max(left, 0), Math.min(left + size, image.width)];
  for (let y = Math.max(top, 0); y < Math.min(top + size, image.height); y++) {
    const line = image.data.subarray(4 * (y * image.width + start), 4 * (y * image.width + end));
    data.set(line, 4 * ((y - top) * size + start - left));
  }
  return { data, width: size, height: size };
}

/** Rounds to a whole number, halves to the even one, as Python does. */
export function round(value) {
  const nearest = Math.round(value);
  return nearest - value === 0.5 && nearest % 2 ? nearest - 1 : nearest;
}
