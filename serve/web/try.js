// The form beside each operation: what to send, as curl too, and what came back.
import { element } from "/docs/page.js";
import { onToken, token } from "/docs/session.js";

export function codeBlock(title, text, json = false) {
  const code = element("code", {}, json ? coloured(text) : text);
  const copy = element("button", { class: "copy", type: "button", onclick: async () => {
    try {
      await navigator.clipboard.writeText(code.textContent);
      copy.textContent = "Copied";
    } catch {
      copy.textContent = "Select it by hand";
    }
    setTimeout(() => (copy.textContent = "Copy"), 1500);
  } }, "Copy");
  const block = element("figure", { class: "block" },
    element("figcaption", {}, element("span", {}, title), copy), element("pre", { tabindex: "0" }, code));
  block.show = (content, isJson) => code.replaceChildren(...(isJson ? coloured(content) : [content]));
  block.entitle = (...content) => block.querySelector("figcaption span").replaceChildren(...content);
  return block;
}

const TOKENS = /("(?:\\.|[^"\\])*")(\s*:)?|\b(true|false|null)\b|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
const MOST_COLOURED = 50_000;

function coloured(text) {
  if (text.length > MOST_COLOURED) return [text];
  const found = [];
  let at = 0;
  for (const match of text.matchAll(TOKENS)) {
    found.push(text.slice(at, match.index));
    const [whole, string, colon, word] = match;
    if (colon !== undefined) found.push(element("span", { class: "k" }, string), colon);
    else found.push(element("span", { class: string ? "s" : word ? "w" : "n" }, whole));
    at = match.index + whole.length;
  }
  return [...found, text.slice(at)];
}

function inputFor(spec, parameter, id) {
  const name = parameter.schema.$ref?.split("/").at(-1) ?? parameter.schema.anyOf?.find((one) => one.$ref)?.$ref.split("/").at(-1);
  const schema = name ? spec.components.schemas[name] : parameter.schema;
  const values = schema.enum ?? (schema.type === "boolean" ? ["true", "false"] : null);
  if (values) {
    const empty = parameter.required ? [] : [element("option", { value: "" }, "—")];
    return element("select", { id, name: parameter.name }, empty, values.map((value) => element("option", { value }, String(value))));
  }
  return element("input", {
    id, name: parameter.name, placeholder: String(parameter.example ?? ""), autocomplete: "off", spellcheck: "false",
    value: parameter.required ? String(parameter.example ?? "") : "",
    inputmode: schema.type === "integer" ? "numeric" : undefined,
  });
}

function fieldsFor(spec, operation) {
  return (operation.parameters ?? []).map((parameter) => {
    const id = `${operation.operationId}-${parameter.name}`;
    const input = inputFor(spec, parameter, id);
    const label = element("label", { for: id }, parameter.name, parameter.required ? element("span", { class: "must" }, "required") : null);
    return { parameter, input, row: element("div", { class: "row" }, label, input) };
  });
}

function requestOf(operation, fields, body) {
  let path = operation.path;
  const query = new URLSearchParams();
  for (const { parameter, input } of fields) {
    if (parameter.in === "path") path = path.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
    else if (input.value !== "") query.set(parameter.name, input.value);
  }
  const headers = {};
  if (operation.security?.length && token()) headers.Authorization = `Bearer ${token()}`;
  if (body) headers["Content-Type"] = "application/json";
  const target = query.size ? `${path}?${query}` : path;
  return { target, init: { method: operation.method.toUpperCase(), headers, body: body?.value } };
}

const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

function curlOf(operation, { target, init }) {
  const lines = [`curl ${init.method === "GET" ? "" : `-X ${init.method} `}${quoted(location.origin + target)}`];
  if (operation.security?.length) lines.push(`-H "Authorization: Bearer $TOKEN"`);
  if (init.body !== undefined) {
    let body = init.body;
    try { body = JSON.stringify(JSON.parse(body)); } catch { /* As it is typed. */ }
    lines.push("-H 'Content-Type: application/json'", `-d ${quoted(body)}`);
  }
  return lines.join(" \\\n  ");
}

async function send({ target, init }, result) {
  const began = performance.now();
  try {
    const answer = await fetch(target, init);
    const text = await answer.text();
    const took = Math.round(performance.now() - began);
    const isJson = /json/.test(answer.headers.get("content-type") ?? "");
    result.entitle(element("span", { class: `status s${String(answer.status)[0]}` }, String(answer.status)), ` ${took} ms`);
    result.show(isJson ? pretty(text) : text || "(no content)", isJson);
  } catch (error) {
    result.entitle("No answer");
    result.show(error.message, false);
  }
  result.hidden = false;
}

// Only white space is added: a number must not change on its way through the browser's floats.
function pretty(text) {
  let depth = 0;
  let inString = false;
  let made = "";
  const line = () => `\n${"  ".repeat(depth)}`;
  for (let at = 0; at < text.length; at++) {
    const sign = text[at];
    if (inString) {
      made += sign;
      if (sign === "\\") made += text[++at] ?? "";
      else if (sign === '"') inString = false;
    } else if (sign === '"') { inString = true; made += sign; }
    else if ("{[".includes(sign)) {
      const empty = "}]".includes(text[at + 1]);
      if (empty) made += sign + text[++at];
      else { depth++; made += sign + line(); }
    } else if ("}]".includes(sign)) { depth--; made += line() + sign; }
    else if (sign === ",") made += sign + line();
    else if (sign === ":") made += ": ";
    else if (!/\s/.test(sign)) made += sign;
  }
  return made;
}

export function tryForm(spec, operation) {
  const fields = fieldsFor(spec, operation);
  const content = operation.requestBody?.content["application/json"];
  const id = `${operation.operationId}-body`;
  const text = content ? JSON.stringify(content.example, null, 2) : "";
  const body = content && element("textarea", { id, spellcheck: "false", autocomplete: "off", rows: String(Math.min(14, text.split("\n").length + 1)), value: text });
  const result = codeBlock("Answer", "");
  result.hidden = true;
  const curl = codeBlock("curl", "");
  const button = element("button", { class: "primary", type: "submit" }, "Send");
  const hint = element("span", { class: "hint" });
  const refresh = () => {
    curl.show(curlOf(operation, requestOf(operation, fields, body)), false);
    hint.textContent = operation.security?.length && !token() ? "Sign in first" : "";
  };
  const submit = async (event) => {
    event.preventDefault();
    button.disabled = true;
    await send(requestOf(operation, fields, body), result);
    button.disabled = false;
  };
  onToken(refresh);
  refresh();
  return [
    curl,
    element("form", { class: "try", oninput: refresh, onsubmit: submit, "aria-label": `Try ${operation.summary}` },
      fields.map((field) => field.row),
      body ? element("div", { class: "row tall" }, element("label", { for: id }, "Body"), body) : null,
      element("div", { class: "actions" }, button, hint)),
    element("div", { "aria-live": "polite" }, result),
  ];
}
