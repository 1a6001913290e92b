// The attributes by group, a bar each.

const IN_WORDS = 8;

/** "5_o_Clock_Shadow" as "5 o’clock shadow". */
export function readable(name) {
  const words = name.replaceAll("_", " ").toLowerCase().replace("o clock", "o’clock");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

const percent = (probability) => `${Math.round(100 * probability)} %`;

/**
 * Makes the groups' lists, empty still.
 * @param {Object<string, string[]>} groups from a group's name to its attributes
 * @returns a function that shows probabilities, in the order of `attributes`
 */
export function makeChart(parent, groups, attributes) {
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
  return (probabilities) => attributes.forEach((name, place) => {
    const { row, value } = rows.get(name);
    value.value = probabilities[place];
    value.textContent = percent(probabilities[place]);
    row.style.setProperty("--share", probabilities[place]);
    row.classList.toggle("likely", probabilities[place] > 0.5);
  });
}

/** What a picture most likely shows, in words, the surest first. */
export function summary(probabilities, attributes) {
  const likely = attributes
    .map((name, place) => ({ name: readable(name), probability: probabilities[place] }))
    .filter(({ probability }) => probability > 0.5)
    .sort((one, other) => other.probability - one.probability)
    .map(({ name }, place) => (place ? name.toLowerCase() : name));
  if (!likely.length) return "Nothing above 50 %";
  const more = likely.length - IN_WORDS;
  return likely.slice(0, IN_WORDS).join(", ") + (more > 0 ? `, and ${more} more` : "");
}

function element(tag, properties = {}) {
  return Object.assign(document.createElement(tag), properties);
}
