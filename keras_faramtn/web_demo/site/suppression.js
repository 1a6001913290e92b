// Merges repeated detections of the same face: weighted non-maximum suppression, as
// keras_faramtn/faces/blazeface/suppression.py does.

const MAX_OVERLAP = 0.3; // the largest intersection over union of the boxes of two different faces

/**
 * @param {{points: number[][], score: number}[]} detections the first two points are the top left and
 *   bottom right corners of the box
 * @returns the merged detections, highest score first: of those that overlap, the highest score and
 *   the mean of the points, weighted by the scores
 */
export function mergeDetections(detections) {
  let waiting = [...detections].sort((a, b) => b.score - a.score);
  const merged = [];
  while (waiting.length) {
    const [best] = waiting;
    const same = new Set(waiting.filter((other) => other === best || overlap(best, other) > MAX_OVERLAP));
    merged.push({ points: weightedMean([...same]), score: best.score });
    waiting = waiting.filter((other) => !same.has(other));
  }
  return merged;
}

function weightedMean(detections) {
  const total = detections.reduce((sum, { score }) => sum + score, 0);
  return detections[0].points.map((point, index) => point.map((_, axis) =>
    detections.reduce((sum, { points, score }) => sum + points[index][axis] * score, 0) / total));
}

/** The intersection over union of the boxes of two detections. */
export function overlap({ points: [first, firstEnd] }, { points: [second, secondEnd] }) {
  const area = (width, height) => Math.max(0, width) * Math.max(0, height);
  const shared = area(
    Math.min(firstEnd[0], secondEnd[0]) - Math.max(first[0], second[0]),
    Math.min(firstEnd[1], secondEnd[1]) - Math.max(first[1], second[1]),
  );
  const both = area(firstEnd[0] - first[0], firstEnd[1] - first[1])
    + area(secondEnd[0] - second[0], secondEnd[1] - second[1]);
  return shared / Math.max(both - shared, Number.MIN_VALUE);
}
