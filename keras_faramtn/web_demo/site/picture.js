// From a file or a camera to pixels.

// A canvas has a largest size, in some browsers as small as this; no camera's pictures need more.
const MOST_PIXELS = 16e6;

/** Width by height of CelebA's aligned faces, 178 x 218. */
export const PORTRAIT = 178 / 218;

/**
 * Decodes a picture as Pillow does: turned upright, colours as stored.
 * @returns {Promise<HTMLCanvasElement>}
 */
export async function decode(file) {
  const bitmap = await createImageBitmap(file, {
    imageOrientation: "from-image",
    colorSpaceConversion: "none",
    premultiplyAlpha: "none",
  });
  const scale = Math.min(1, Math.sqrt(MOST_PIXELS / (bitmap.width * bitmap.height)));
  const canvas = cut(bitmap, {
    left: 0,
    top: 0,
    width: bitmap.width,
    height: bitmap.height,
  }, scale);
  bitmap.close();
  return canvas;
}

/** A part of a picture or of a video's frame, on a canvas of its own. */
export function cut(source, { left, top, width, height }, scale = 1) {
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.floor(width * scale));
  canvas.height = Math.max(1, Math.floor(height * scale));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(source, left, top, width, height, 0, 0, canvas.width, canvas.height);
  return canvas;
}

/** The pixels of a part of a canvas. */
export function pixels(canvas, { left, top, width, height }) {
  return canvas.getContext("2d").getImageData(left, top, width, height);
}

/**
 * An upright box inside a picture, in whole pixels.
 * @param {number} size share of the largest such box, above 0 to 1
 * @param {number} x where its middle should be, share of the width; y of the height
 */
export function portraitBox(pictureWidth, pictureHeight, size = 1, x = 0.5, y = 0.5) {
  const largest = Math.min(pictureHeight, pictureWidth / PORTRAIT);
  const height = Math.max(1, Math.floor(largest * size));
  const width = Math.min(pictureWidth, Math.max(1, Math.round(height * PORTRAIT)));
  const within = (middle, length, whole) =>
    Math.min(whole - length, Math.max(0, Math.round(middle * whole - length / 2)));
  return {
    left: within(x, width, pictureWidth),
    top: within(y, height, pictureHeight),
    width,
    height,
  };
}
