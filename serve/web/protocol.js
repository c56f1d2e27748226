// The WebSocket protocol: the Markdown beside the server's code, drawn as a page.
import { byId, element, followSections, goToAnchor, markdown, setUpMenu, setUpTheme } from "/docs/page.js";

setUpTheme();
setUpMenu();

const answer = await fetch("/docs/protocol.md");
const content = byId("content");
if (answer.ok) {
  content.replaceChildren(...markdown(await answer.text()));
  const headings = [...content.querySelectorAll("h2, h3")];
  const links = new Map(
    headings.map((one) => [one.id, element("a", { href: `#${one.id}`, class: one.localName }, one.textContent)]),
  );
  byId("nav-list").replaceChildren(element("ul", {}, [...links.values()].map((link) => element("li", {}, link))));
  followSections(headings, links);
  goToAnchor();
} else {
  byId("loading").textContent = "This server carries no description of its WebSocket protocol.";
}
