// Shows the attributes by group, each with a bar.

const SUMMARY_LENGTH = 8; // attributes

/** Turns an attribute's name into words: "5_o_Clock_Shadow" into "5 o’clock shadow". */
export function readable(name) {
  const words = name.replaceAll("_", " ").toLowerCase().replace("o clock", "o’clock");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

const percent = (probability) => `${Math.round(100 * probability)} %`;

/**
 * Creates the lists of attributes, without probabilities yet.
 * @param {{groups: Object<string, string[]>, attributes: string[], thresholds: number[]}} model
 * @returns `show(probabilities)`, in the order of `attributes`, and `clear()`
 */
export function makeChart(parent, { groups, attributes, thresholds }) {
  const rows = new Map();
  const sections = Object.entries(groups).map(([group, members]) => {
    const section = element("section", { className: "group" });
    const heading = element("h3", { textContent: readable(group) });
    const list = element("ul");
    for (const name of members) {
      const value = element("data", { textContent: "–" });
      const bar = element("span", { className: "bar" });
      bar.setAttribute("aria-hidden", "true");
      const row = element("li");
      row.dataset.attribute = name;
      row.append(element("span", { className: "name", textContent: readable(name) }), value, bar);
      list.append(row);
      rows.set(name, { row, value });
    }
    section.append(heading, list);
    return section;
  });
  parent.replaceChildren(...sections);

  function show(probabilities) {
    for (const [index, name] of attributes.entries()) {
      const { row, value } = rows.get(name);
      value.value = probabilities[index];
      value.textContent = percent(probabilities[index]);
      row.style.setProperty("--fraction", probabilities[index]);
      row.classList.toggle("positive", probabilities[index] > thresholds[index]);
    }
  }

  function clear() {
    for (const { row, value } of rows.values()) {
      value.removeAttribute("value");
      value.textContent = "–";
      row.style.removeProperty("--fraction");
      row.classList.remove("positive");
    }
  }

  return { show, clear };
}

/** Lists the attributes above their thresholds in words, most probable first. */
export function summary(probabilities, { attributes, thresholds }) {
  const positive = attributes
    .map((name, index) => ({ name: readable(name), index, probability: probabilities[index] }))
    .filter(({ index, probability }) => probability > thresholds[index])
    .sort((a, b) => b.probability - a.probability)
    .map(({ name }, index) => (index ? name.toLowerCase() : name));
  if (!positive.length) return "No attribute above its threshold";
  const more = positive.length - SUMMARY_LENGTH;
  return positive.slice(0, SUMMARY_LENGTH).join(", ") + (more > 0 ? `, and ${more} more` : "");
}

function element(tag, properties = {}) {
  return Object.assign(document.createElement(tag), properties);
}
