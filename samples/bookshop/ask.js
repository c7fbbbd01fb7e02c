// In the browser: asks /api/page some times and shows each answer as a dot, coloured by the version of reviews.
const dots = document.querySelector("#dots");
const tally = document.querySelector("#tally");
const buttons = document.querySelectorAll("[data-ask]");
const counts = new Map();

const askOnce = async () => {
  try {
    const response = await fetch(`/api/page${location.search}`);
    if (!response.ok) return { version: "none", where: `the page answered ${response.status}` };
    const { reviews } = await response.json();
    if (reviews.error !== undefined) return { version: "none", where: reviews.error };
    return { version: reviews.version, where: `${reviews.pod} in ${reviews.cluster}` };
  } catch (error) {
    return { version: "none", where: String(error) };
  }
};

const show = ({ version, where }) => {
  const dot = document.createElement("span");
  dot.className = version;
  dot.title = `${version}: ${where}`;
  dots.append(dot);
  while (dots.childElementCount > 400) dots.firstChild.remove();
  counts.set(version, (counts.get(version) ?? 0) + 1);
  const sum = [...counts.values()].reduce((all, count) => all + count, 0);
  const share = (name) => `${name}: ${counts.get(name)} (${Math.round((100 * counts.get(name)) / sum)} %)`;
  tally.textContent = ["v1", "v2", "v3", "none"]
    .filter((name) => counts.has(name))
    .map(share)
    .join(", ");
};

const ask = async (times) => {
  for (const button of buttons) button.disabled = true;
  let left = times;
  const worker = async () => {
    for (; left > 0;) {
      left -= 1;
      show(await askOnce());
    }
  };
  await Promise.all([worker(), worker(), worker(), worker()]);
  for (const button of buttons) button.disabled = false;
};

for (const button of buttons) button.addEventListener("click", () => void ask(Number(button.dataset.ask)));
