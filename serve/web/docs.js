// Draws /openapi.json: operations by tag, their parameters, bodies, answers and errors, and a form to try each.
import {
  byId, element, followSections, goToAnchor, inline, markdown, setUpMenu, setUpTheme,
} from "/docs/page.js";
import { setUpSession } from "/docs/session.js";
import { schemaTable, typeOf } from "/docs/schema.js";
import { codeBlock, tryForm } from "/docs/try.js";

const METHODS = ["get", "post", "put", "patch", "delete"];

export const anchorOf = (operation) => `op-${operation.operationId}`;

function operationsOf(spec) {
  return Object.entries(spec.paths).flatMap(([path, methods]) =>
    METHODS.filter((method) => methods[method]).map((method) => ({ path, method, ...methods[method] })),
  );
}

const badge = (method) => element("span", { class: `method ${method}` }, method.toUpperCase());

function pathText(path) {
  return path.split(/(\{[^}]+\})/).map((part) => (part.startsWith("{") ? element("var", {}, part) : part));
}

function parameterTable(spec, parameters) {
  const rows = parameters.map((one) =>
    element("tr", {},
      element("th", { scope: "row" }, element("code", {}, one.name), one.required ? element("span", { class: "must" }, "required") : null),
      element("td", {}, element("span", { class: "type" }, typeOf(spec, one.schema)), " ", element("span", { class: "tag" }, one.in)),
      element("td", {}, one.description ? inline(one.description) : "", limitsOf(one.schema)),
    ),
  );
  return element("table", { class: "fields" }, element("tbody", {}, rows));
}

function limitsOf(schema) {
  const known = [
    ["minimum", "≥"], ["maximum", "≤"], ["exclusiveMinimum", ">"], ["exclusiveMaximum", "<"], ["default", "default"],
  ];
  const found = known
    .filter(([key]) => schema[key] !== undefined && schema[key] !== null)
    .map(([key, sign]) => element("span", { class: "limit" }, `${sign} ${JSON.stringify(schema[key])}`));
  return found.length ? element("div", { class: "limits" }, found) : null;
}

function errorTable(spec, operation) {
  const rows = Object.entries(operation.responses).flatMap(([status, answer]) =>
    Object.keys(answer.content?.["application/problem+json"]?.examples ?? {}).map((code) =>
      element("tr", {},
        element("td", {}, element("span", { class: `status s${status[0]}` }, status)),
        element("th", { scope: "row" }, element("a", { href: `#error-${code}` }, element("code", {}, code))),
        element("td", {}, inline(spec.components.examples[code].value.detail)),
      ),
    ),
  );
  if (!rows.length) return null;
  return element("details", { class: "fold" },
    element("summary", {}, `Errors`, element("span", { class: "count" }, String(rows.length))),
    element("div", { class: "scroll" }, element("table", { class: "errors" }, element("tbody", {}, rows))),
  );
}

const success = (operation) => Object.entries(operation.responses).find(([status]) => status.startsWith("2"));

function documentation(spec, operation) {
  const parts = [];
  const aliases = operation["x-aliases"] ?? [];
  if (operation.description) parts.push(...markdown(operation.description));
  if (aliases.length) parts.push(element("p", { class: "soft" }, "Also at ", aliases.map((alias) => element("code", {}, alias))));
  if (operation.parameters) parts.push(element("h4", {}, "Parameters"), parameterTable(spec, operation.parameters));
  const body = operation.requestBody?.content["application/json"];
  if (body) parts.push(element("h4", {}, "Body"), schemaTable(spec, body.schema));
  const [status, answer] = success(operation);
  parts.push(element("h4", {}, "Answer ", element("span", { class: "status s2" }, status)));
  const types = Object.keys(answer.content ?? {});
  const schema = answer.content?.["application/json"]?.schema;
  if (schema) parts.push(schemaTable(spec, schema, true));
  else parts.push(element("p", { class: "soft" }, types.length ? `As ${types.join(", ")}.` : "No content."));
  parts.push(errorTable(spec, operation));
  return parts;
}

function operationSection(spec, operation) {
  const id = anchorOf(operation);
  const [, answer] = success(operation);
  const example = answer.content?.["application/json"]?.example;
  return element("section", { class: "operation", id, "aria-labelledby": `${id}-title` },
    element("header", {},
      element("h3", { id: `${id}-title` }, element("a", { class: "anchor", href: `#${id}` }, operation.summary || operation.operationId)),
      element("div", { class: "address" }, badge(operation.method), element("code", {}, pathText(operation.path)),
        operation.security?.length ? element("span", { class: "lock" }, "token") : null),
    ),
    element("div", { class: "columns" },
      element("div", { class: "words" }, documentation(spec, operation)),
      element("div", { class: "code" }, tryForm(spec, operation),
        example === undefined ? null : codeBlock("Example answer", JSON.stringify(example, null, 2), true)),
    ),
  );
}

function errorCatalogue(spec) {
  const rows = Object.entries(spec.components.examples).map(([code, example]) =>
    element("tr", { id: `error-${code}` },
      element("td", {}, element("span", { class: `status s${String(example.value.status)[0]}` }, String(example.value.status))),
      element("th", { scope: "row" }, element("code", {}, code)),
      element("td", {}, inline(example.value.detail)),
    ),
  );
  return element("section", { id: "errors", class: "group", "aria-labelledby": "errors-title" },
    element("h2", { id: "errors-title" }, "Errors"),
    element("p", {}, "Every error has the same body. Act on ", element("code", {}, "code"), "; ",
      element("code", {}, "field"), " names the bad field where there is one."),
    codeBlock("Example", JSON.stringify(spec.components.examples.VALIDATION?.value ?? {}, null, 2), true),
    element("div", { class: "scroll" }, element("table", { class: "errors" }, element("tbody", {}, rows))),
  );
}

function introduction(spec) {
  // The table of errors has its own section here.
  const text = spec.info.description.split("\n| Code |")[0];
  return element("section", { class: "intro", id: "introduction" },
    element("h1", {}, `${spec.info.title} API`), markdown(text));
}

function draw(spec) {
  const operations = operationsOf(spec);
  const links = new Map();
  const groups = [];
  const lists = [];
  const linkTo = (id, ...content) => {
    const link = element("a", { href: `#${id}` }, ...content);
    links.set(id, link);
    return element("li", {}, link);
  };
  lists.push(element("ul", {}, linkTo("introduction", "Introduction"), linkTo("errors", "Errors"),
    element("li", {}, element("a", { href: "/docs/protocol" }, "WebSocket protocol"))));
  for (const { name } of spec.tags) {
    const members = operations.filter((operation) => operation.tags.includes(name));
    if (!members.length) continue;
    groups.push(
      element("section", { class: "group", id: `tag-${name}`, "aria-labelledby": `tag-${name}-title` },
        element("h2", { id: `tag-${name}-title` }, name), members.map((one) => operationSection(spec, one))),
    );
    const items = members.map((one) => linkTo(anchorOf(one), badge(one.method), element("span", {}, one.summary || one.path)));
    lists.push(element("h2", {}, name), element("ul", {}, items));
  }
  byId("content").replaceChildren(introduction(spec), ...groups, errorCatalogue(spec));
  byId("nav-list").replaceChildren(...lists);
  byId("version").textContent = spec.info.version;
  followSections([...document.querySelectorAll(".intro, .operation, #errors")], links);
  setUpFind(operations, links);
}

function setUpFind(operations, links) {
  const find = byId("find");
  const texts = new Map(operations.map((one) => [anchorOf(one), `${one.method} ${one.path} ${one.summary}`.toLowerCase()]));
  find.addEventListener("input", () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const [id, link] of links) {
      const text = texts.get(id) ?? link.textContent.toLowerCase();
      const fits = words.every((word) => text.includes(word));
      link.parentElement.hidden = !fits;
      shown += fits;
    }
    for (const title of byId("nav-list").querySelectorAll("h2")) {
      title.hidden = ![...title.nextElementSibling.children].some((item) => !item.hidden);
    }
    byId("nav-nothing").hidden = shown > 0;
  });
  find.addEventListener("keydown", (event) => {
    const first = [...links.values()].find((link) => !link.parentElement.hidden);
    if (event.key === "Enter" && first) first.click();
    if (event.key === "Escape") { find.value = ""; find.dispatchEvent(new Event("input")); find.blur(); }
  });
  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName) || byId("sign-in-box").open;
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) { event.preventDefault(); find.focus(); }
  });
}

setUpTheme();
setUpMenu();
setUpSession();
try {
  const answer = await fetch("/openapi.json");
  if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
  draw(await answer.json());
  goToAnchor();
  addEventListener("hashchange", goToAnchor);
} catch (error) {
  byId("loading").textContent = `The description could not be read: ${error.message}.`;
}
