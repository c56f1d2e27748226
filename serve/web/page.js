// What both documentation pages share: making elements, the theme, the menu, and a small Markdown.
// Text becomes text nodes, never markup: nothing from a description can run.

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key === "value") made.value = value;
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

export const byId = (id) => document.getElementById(id);

export function remember(store, key, value) {
  try {
    if (value === null) store.removeItem(key);
    else store.setItem(key, value);
  } catch {
    // A browser may forbid it; then this tab forgets.
  }
}

export function recall(store, key) {
  try {
    return store.getItem(key);
  } catch {
    return null;
  }
}

export function setUpTheme() {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const shown = () => root.dataset.theme ?? (system.matches ? "dark" : "light");
  const label = () => (byId("theme").textContent = shown() === "dark" ? "Light" : "Dark");
  const kept = recall(localStorage, "raypit-theme");
  if (kept) root.dataset.theme = kept;
  byId("theme").addEventListener("click", () => {
    root.dataset.theme = shown() === "dark" ? "light" : "dark";
    remember(localStorage, "raypit-theme", root.dataset.theme);
    label();
  });
  system.addEventListener("change", label);
  label();
}

export function setUpMenu() {
  const open = (yes) => {
    document.body.classList.toggle("menu-open", yes);
    byId("menu").setAttribute("aria-expanded", String(yes));
  };
  byId("menu").addEventListener("click", () => open(!document.body.classList.contains("menu-open")));
  byId("nav").addEventListener("click", (event) => event.target.closest("a") && open(false));
  document.addEventListener("keydown", (event) => event.key === "Escape" && open(false));
}

// Marks in the side list which section one reads.
export function followSections(sections, links) {
  const inView = new Set();
  const mark = () => {
    const first = sections.find((section) => inView.has(section));
    if (!first) return;
    for (const [id, link] of links) {
      if (id === first.id) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  };
  const watcher = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) entry.isIntersecting ? inView.add(entry.target) : inView.delete(entry.target);
      mark();
    },
    { rootMargin: "-120px 0px -50% 0px" },
  );
  for (const section of sections) watcher.observe(section);
}

export function goToAnchor() {
  const target = location.hash && byId(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  // A class, for :target does not see what is drawn after the page was loaded.
  for (const earlier of document.querySelectorAll(".target")) earlier.classList.remove("target");
  target.classList.add("target");
  for (let outer = target.closest("details"); outer; outer = outer.parentElement.closest("details")) outer.open = true;
  target.scrollIntoView({ behavior: "instant" });
}

const INLINE = /`([^`]+)`|\*\*([^*]+)\*\*|\[([^\]]+)\]\(([^)\s]+)\)|(?<![\w*])\*([^*\s][^*]*)\*(?![\w*])/g;

export function inline(text) {
  const found = [];
  let at = 0;
  for (const match of text.matchAll(INLINE)) {
    found.push(text.slice(at, match.index));
    const [whole, code, strong, label, target, soft] = match;
    if (code !== undefined) found.push(element("code", {}, code));
    else if (strong !== undefined) found.push(element("strong", {}, inline(strong)));
    else if (soft !== undefined) found.push(element("em", {}, inline(soft)));
    else if (/^(https?:|\/|#|\.)/.test(target)) found.push(element("a", { href: target }, inline(label)));
    else found.push(whole);
    at = match.index + whole.length;
  }
  found.push(text.slice(at));
  return found.filter((part) => part !== "");
}

export const slug = (text) => text.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "");

const cells = (line) =>
  line.trim().replace(/^\||\|$/g, "").split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|"));

function tableOf(lines) {
  const [head, , ...rows] = lines.map(cells);
  const titles = head.map((cell) => element("th", { scope: "col" }, inline(cell)));
  const body = rows.map((row) => element("tr", {}, row.map((cell) => element("td", {}, inline(cell)))));
  const table = element("table", {}, element("thead", {}, element("tr", {}, titles)), element("tbody", {}, body));
  return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table" }, table);
}

function listOf(lines) {
  const ordered = /^\s*\d+[.)]/.test(lines[0]);
  const items = [];
  const indent = lines[0].search(/\S/);
  for (const line of lines) {
    const match = /^(\s*)(?:[-*+]|\d+[.)])\s+(.*)$/.exec(line);
    if (match && match[1].length <= indent) items.push({ text: match[2], inner: [] });
    else if (match || items.at(-1).inner.length) items.at(-1).inner.push(line);
    else items.at(-1).text += ` ${line.trim()}`;
  }
  const made = items.map(({ text, inner }) => element("li", {}, inline(text), inner.length ? listOf(inner) : null));
  return element(ordered ? "ol" : "ul", {}, made);
}

const STARTS = [
  [/^```/, "fence"],
  [/^#{1,6}\s/, "heading"],
  [/^\s*\|/, "table"],
  [/^\s*([-*+]|\d+[.)])\s/, "list"],
  [/^>/, "quote"],
  [/^\s*(-{3,}|\*{3,})\s*$/, "rule"],
];
const kindOf = (line) => STARTS.find(([pattern]) => pattern.test(line))?.[1] ?? "text";

// Headings, paragraphs, lists, tables, code, quotes: what our own documents use.
export function markdown(source) {
  const lines = source.replaceAll("\r", "").split("\n");
  const found = [];
  let at = 0;
  const take = (more) => {
    const from = at++;
    while (at < lines.length && more(lines[at])) at++;
    return lines.slice(from, at);
  };
  while (at < lines.length) {
    const line = lines[at];
    const kind = line.trim() ? kindOf(line) : "blank";
    if (kind === "blank" || kind === "rule") at++;
    if (kind === "rule") found.push(element("hr"));
    if (kind === "fence") {
      const code = take((next) => !next.startsWith("```")).slice(1);
      at++;
      found.push(element("pre", { tabindex: "0" }, element("code", {}, code.join("\n"))));
    }
    if (kind === "heading") {
      const [, marks, text] = /^(#+)\s+(.*?)\s*#*$/.exec(lines[at++]);
      found.push(element(`h${marks.length}`, { id: slug(text) }, inline(text)));
    }
    if (kind === "table") found.push(tableOf(take((next) => kindOf(next) === "table")));
    if (kind === "list") found.push(listOf(take((next) => next.trim() && (kindOf(next) === "list" || /^\s/.test(next)))));
    if (kind === "quote") {
      const quoted = take((next) => next.startsWith(">")).map((next) => next.replace(/^>\s?/, ""));
      found.push(element("blockquote", {}, markdown(quoted.join("\n"))));
    }
    if (kind === "text") {
      const text = take((next) => next.trim() && kindOf(next) === "text").join(" ");
      found.push(element("p", {}, inline(text)));
    }
  }
  return found;
}
