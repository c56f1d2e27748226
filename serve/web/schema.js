// JSON schemas as tables: one row per field, nested objects folded under theirs.
import { element, inline } from "/docs/page.js";

const REF = "#/components/schemas/";
const DEEPEST = 6;

export const nameOf = (schema) => schema.$ref?.slice(REF.length) ?? schema.title;
const resolve = (spec, schema) => (schema.$ref ? spec.components.schemas[nameOf(schema)] : schema);
const choices = (schema) => schema.anyOf ?? schema.oneOf;
const withoutNull = (schema) => (choices(schema) ?? []).filter((one) => one.type !== "null");

export function typeOf(spec, schema) {
  const target = resolve(spec, schema);
  if (choices(target)) return choices(target).map((one) => typeOf(spec, one)).join(" | ");
  if (target.enum) return nameOf(schema) ?? "enum";
  if (target.type === "array") return target.prefixItems
    ? `[${target.prefixItems.map((one) => typeOf(spec, one)).join(", ")}]`
    : `${typeOf(spec, target.items ?? {})}[]`;
  if (target.type === "object") return nameOf(schema) ?? (target.additionalProperties ? `map of ${typeOf(spec, target.additionalProperties)}` : "object");
  return target.format ? `${target.type} · ${target.format}` : target.type ?? "any";
}

const LIMITS = [
  ["minLength", (value) => `≥ ${value} chars`], ["maxLength", (value) => `≤ ${value} chars`],
  ["minItems", (value) => `≥ ${value} items`], ["maxItems", (value) => `≤ ${value} items`],
  ["minimum", (value) => `≥ ${value}`], ["maximum", (value) => `≤ ${value}`],
  ["exclusiveMinimum", (value) => `> ${value}`], ["exclusiveMaximum", (value) => `< ${value}`],
];
const LONG_PATTERN = 36;

function patternOf(pattern) {
  if (pattern.length <= LONG_PATTERN) return element("code", { class: "limit" }, pattern);
  return element("details", { class: "pattern" }, element("summary", {}, "pattern"), element("code", {}, pattern));
}

function limits(spec, schema) {
  const own = { ...resolve(spec, withoutNull(schema)[0] ?? schema), ...schema };
  const found = LIMITS.filter(([key]) => own[key] !== undefined).map(([key, text]) =>
    element("span", { class: "limit" }, text(own[key])));
  if (own.pattern) found.push(patternOf(own.pattern));
  const values = own.enum ?? own.items?.enum;
  if (values) found.push(...values.map((value) => element("code", { class: "value" }, String(value))));
  if (schema.default !== undefined && schema.default !== null) {
    found.push(element("span", { class: "limit" }, `default ${JSON.stringify(schema.default)}`));
  }
  return found.length ? element("div", { class: "limits" }, found) : null;
}

// The object inside an optional, an array or a map.
function innerObject(spec, schema) {
  const target = resolve(spec, schema);
  if (target.type === "object" && target.properties) return { ...target, name: nameOf(schema) };
  if (target.type === "array" && target.items) return innerObject(spec, target.items);
  if (target.type === "object" && target.additionalProperties) return innerObject(spec, target.additionalProperties);
  const options = withoutNull(target);
  return options.length === 1 ? innerObject(spec, options[0]) : null;
}

function descriptionOf(schema) {
  return schema.description ?? withoutNull(schema)[0]?.description ?? "";
}

// In a request it matters what must be there; in an answer, what may be missing.
function presence(required, answer) {
  if (answer) return required ? null : element("span", { class: "must may" }, "may be absent");
  return required ? element("span", { class: "must" }, "required") : null;
}

function fieldRow(spec, name, schema, required, answer, depth) {
  const inner = depth < DEEPEST ? innerObject(spec, schema) : null;
  const rows = [
    element("tr", {},
      element("th", { scope: "row" }, element("code", {}, name), presence(required, answer)),
      element("td", {}, element("span", { class: "type" }, typeOf(spec, schema))),
      element("td", {}, inline(descriptionOf(schema)), limits(spec, schema)),
    ),
  ];
  if (inner) {
    const fold = element("details", { class: "inner" }, element("summary", {}, inner.name ?? "Fields"));
    // Drawn when opened: structures may contain each other.
    fold.addEventListener("toggle", () => fold.append(fieldTable(spec, inner, answer, depth + 1)), { once: true });
    rows.push(element("tr", { class: "nested" }, element("td", { colspan: "3" }, fold)));
  }
  return rows;
}

function fieldTable(spec, target, answer, depth) {
  const required = new Set(target.required ?? []);
  const rows = Object.entries(target.properties).map(([name, schema]) => fieldRow(spec, name, schema, required.has(name), answer, depth));
  return element("table", { class: "fields" }, element("tbody", {}, rows));
}

export function schemaTable(spec, schema, answer = false) {
  const target = innerObject(spec, schema);
  if (!target) return element("p", {}, element("span", { class: "type" }, typeOf(spec, schema)));
  const list = resolve(spec, schema).type === "array";
  return element("div", {}, list ? element("p", { class: "soft" }, `A list of ${target.name ?? "objects"}:`) : null,
    fieldTable(spec, target, answer, 0));
}
