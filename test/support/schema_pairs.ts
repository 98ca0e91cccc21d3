/**
 * Pairs of a schema and its successor for comparisons, drawn from a seed, with every event of a small world to judge them by.
 * Schemas use the numbers, texts and names of the events, so that schemas that differ mostly differ for one event. Each level
 * has names of its own, and no text of a value is a name. So a name in a schema tells the level that it is for.
 */
import { type SeededRandom, seededRandom } from "./seeded_random.ts";

export type Schema = { readonly [keyword: string]: unknown };

const SIMPLE = [null, true, false, -1, 0, 0.5, 1, 1.5, 2, 3, 4, "", "a", "b", "ab", "ca", "abc"] as const;
const LISTS = [[], [0], [1], ["a"], [1, 1], [0, "a"], ["a", 0], [0, 1, 2], [null], [0.5]] as const;
const INNER = [{}, { c: 0 }, { c: "a" }, { c: 3, d: 1 }, { d: "ab" }, { d: 0 }] as const;
const MEMBERS = [undefined, 0, 2, 0.5, "a", "ab", null] as const;

const withoutUndefined = (fields: Schema): Schema =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));

/** Every event of the world. Each stands once more below `p`, as the value of a property. */
export const EVENTS: readonly unknown[] = [
  ...SIMPLE,
  ...LISTS,
  ...INNER,
  ...MEMBERS.flatMap((p) => MEMBERS.flatMap((q) => [undefined, 1, "a"].map((z) => withoutUndefined({ p, q, z })))),
  ...[...LISTS, ...INNER].flatMap((p) => [{ p }, { p, q: 0 }]),
];

/** Names of the outer map, of a map under `p`, and of any deeper map, which no event has. */
const NAMES = [
  ["p", "q", "z"],
  ["c", "d"],
  ["e", "f"],
] as const;
const namesOf = (level: number): readonly string[] => NAMES[level] ?? NAMES[2];
/** The level of the values that a name or a pattern judges. */
const within = (level: number, name: string): number => (level === 0 && (name === "p" || name === "^p") ? 1 : 2);
const PATTERNS = ["^a", "b$", "^[ab]*$", "^..$", "^.+$"];

class SchemaDraw {
  readonly #random: SeededRandom;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  #pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.#random.next() * list.length)] as T;
  }

  #isChance(share: number): boolean {
    return this.#random.next() < share;
  }

  #some(parts: Readonly<Record<string, () => unknown>>, share = 0.35): Schema {
    return Object.fromEntries(
      Object.entries(parts).flatMap(([keyword, make]) => (this.#isChance(share) ? [[keyword, make()]] : [])),
    );
  }

  #few<T>(list: readonly T[]): readonly T[] {
    const found = list.filter(() => this.#isChance(0.3));
    return found.length > 0 ? found : [this.#pick(list)];
  }

  schema(level: number): Schema | boolean {
    const kinds = ["number", "number", "text", "text", "enum", "simple", "any", "mixed"];
    if (level < 2) kinds.push("map", "map", "map", "list", "list", "union", "union", "closed");
    return this.#ofKind(this.#pick(kinds), level);
  }

  #ofKind(kind: string, level: number): Schema | boolean {
    switch (kind) {
      case "number":
        return { type: this.#pick(["number", "integer"]), ...this.#numeric() };
      case "text":
        return { type: "string", ...this.#textual() };
      case "enum":
        return this.#isChance(0.3) ? { const: this.#pick(SIMPLE) } : { enum: this.#few(SIMPLE) };
      case "simple":
        return { type: this.#pick(["boolean", "null", "string", "number", "integer"]) };
      case "any":
        return this.#pick([true, {}, {}, { not: this.schema(2) }, false]);
      case "mixed":
        return { ...this.#numeric(), ...this.#textual(), type: this.#few(["string", "integer", "number", "null"]) };
      case "list":
        return { ...(this.#isChance(0.8) ? { type: "array" } : {}), ...this.#ofList(level) };
      case "map":
        return { ...(this.#isChance(0.8) ? { type: "object" } : {}), ...this.#ofMap(level) };
      case "closed":
        return { ...this.#ofMap(level), ...this.#closed(level) };
      default:
        return { [this.#pick(["anyOf", "oneOf", "allOf"])]: [this.schema(level), this.schema(level)] };
    }
  }

  /** A map that is closed to names that neither its own properties nor those of another part declare. */
  #closed(level: number): Schema {
    const part = () => {
      const name = this.#pick(namesOf(level));
      return { properties: { [name]: this.schema(within(level, name)) } };
    };
    return { ...part(), [this.#pick(["allOf", "allOf", "anyOf", "oneOf"])]: [part()], unevaluatedProperties: false };
  }

  #numeric(): Schema {
    const bound = () => this.#pick([0, 0.5, 1, 2, 3]);
    return this.#some(
      {
        ...{ minimum: bound, exclusiveMinimum: bound, maximum: bound, exclusiveMaximum: bound },
        multipleOf: () => this.#pick([0.5, 1, 1.5, 2]),
      },
      0.25,
    );
  }

  #textual(): Schema {
    const length = () => this.#pick([0, 1, 2, 3]);
    return this.#some({ minLength: length, maxLength: length, pattern: () => this.#pick(PATTERNS) }, 0.25);
  }

  #ofList(level: number): Schema {
    const count = () => this.#pick([0, 1, 2]);
    const inner = () => this.schema(2);
    return this.#some({
      ...{ items: inner, minItems: count, maxItems: count, contains: inner, uniqueItems: () => true },
      prefixItems: () => (level === 0 ? [inner(), inner()] : [inner()]),
      ...(level === 0 && this.#isChance(0.3)
        ? { unevaluatedItems: () => (this.#isChance(0.7) ? false : inner()) }
        : {}),
    });
  }

  #ofMap(level: number): Schema {
    const names = namesOf(level);
    const inner = (name: string) => this.schema(within(level, name));
    const properties = () => Object.fromEntries(this.#few(names).map((name) => [name, inner(name)]));
    const part = () => this.#some({ properties, required: () => this.#few(names) }, 0.6);
    return this.#some(
      {
        ...{ properties, required: () => this.#few(names.slice(0, 2)) },
        ...{ additionalProperties: () => (this.#isChance(0.6) ? false : inner("")) },
        ...{ minProperties: () => this.#pick([0, 1]), maxProperties: () => this.#pick([1, 2, 3]) },
        patternProperties: () => {
          const pattern = this.#pick(["^p", "^[qz]$", "^c"]);
          return { [pattern]: inner(pattern) };
        },
        propertyNames: () => this.#pick([{ enum: names }, { pattern: "^[c-p]$" }, { maxLength: 1 }]),
        dependentRequired: () => ({ [this.#pick(names)]: this.#few(names) }),
        dependentSchemas: () => ({ [this.#pick(names)]: part() }),
        ...{ anyOf: () => [part(), part()], oneOf: () => [part(), part()], allOf: () => [part()], not: part },
        if: part,
        // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
        then: part,
        else: part,
        unevaluatedProperties: () => (this.#isChance(0.8) ? false : inner("")),
      },
      this.#pick([0.15, 0.2, 0.4]),
    );
  }

  /** The schema with one part of it changed, as a person may change it. */
  changed(schema: unknown, level: number): Schema | boolean {
    if (typeof schema !== "object" || schema === null) return this.schema(level);
    const fields = schema as Schema;
    const keywords = Object.keys(fields);
    const keyword = this.#pick(keywords.length > 0 ? keywords : ["type"]);
    const inner = this.#changedWithin(fields, level);
    if (inner !== undefined && this.#isChance(0.55)) return inner;
    const { [keyword]: gone, ...rest } = fields;
    const other = this.schema(level);
    switch (this.#pick(["drop", "wide", "wide", "wide", "more", "joined", "apart", "union", "less", "other", "name"])) {
      case "drop":
        return rest;
      case "wide":
        return { ...rest, ...this.#widened(keyword, gone) };
      case "more":
        return typeof other === "object" ? { ...fields, ...this.#oneOf(other) } : fields;
      case "joined":
        return { allOf: [fields, ...(this.#isChance(0.3) ? [other] : [])] };
      case "apart":
        return keyword === "unevaluatedProperties"
          ? fields
          : { ...rest, allOf: [{ [keyword]: gone }, ...listOf(rest.allOf)] };
      case "union":
        return { [this.#pick(["anyOf", "oneOf"])]: this.#isChance(0.5) ? [fields, other] : [other, fields] };
      case "less":
        return { [this.#pick(["anyOf", "oneOf", "allOf"])]: this.#isChance(0.5) ? [rest] : [{ allOf: [rest] }, other] };
      case "name": {
        const name = this.#pick(namesOf(level));
        return {
          ...fields,
          properties: { ...(fields.properties as Schema), [name]: this.schema(within(level, name)) },
        };
      }
      default:
        return typeof other === "object" ? { ...fields, [keyword]: other[keyword] ?? gone } : other;
    }
  }

  #oneOf(other: Schema): Schema {
    const keyword = this.#pick(Object.keys(other).length > 0 ? Object.keys(other) : ["title"]);
    return { [keyword]: other[keyword] ?? "" };
  }

  #changedWithin(fields: Schema, level: number): Schema | undefined {
    const inner = Object.entries(fields).filter(([, value]) => typeof value === "object" && value !== null);
    if (inner.length === 0) return undefined;
    const [keyword, value] = this.#pick(inner) as [string, object];
    const isOfMembers = ["properties", "patternProperties", "additionalProperties", "items", "prefixItems"].includes(
      keyword,
    );
    const below = isOfMembers ? 2 : level;
    if (["properties", "patternProperties", "dependentSchemas"].includes(keyword)) {
      const name = this.#pick(Object.keys(value));
      const at = isOfMembers ? within(level, name) : level;
      return { ...fields, [keyword]: { ...value, [name]: this.changed((value as Schema)[name], at) } };
    }
    if (["anyOf", "oneOf", "allOf", "prefixItems"].includes(keyword)) {
      const list = [...(value as readonly unknown[])];
      const at = Math.floor(this.#random.next() * list.length);
      if (this.#isChance(0.3)) return { ...fields, [keyword]: [...list, this.schema(below)] };
      return { ...fields, [keyword]: list.map((one, index) => (index === at ? this.changed(one, below) : one)) };
    }
    const isSchema = ["additionalProperties", "items", "contains", "not", "if", "then", "else"].includes(keyword);
    return isSchema ? { ...fields, [keyword]: this.changed(value, below) } : undefined;
  }

  #widened(keyword: string, value: unknown): Schema {
    const more = this.#pick([0, 0.5, 1, 2]);
    switch (keyword) {
      case "minimum":
      case "exclusiveMinimum":
        return { [this.#pick(["minimum", "exclusiveMinimum"])]: (value as number) - more };
      case "maximum":
      case "exclusiveMaximum":
        return { [this.#pick(["maximum", "exclusiveMaximum"])]: (value as number) + more };
      case "multipleOf":
        return this.#pick([{ multipleOf: (value as number) / 2 }, { type: "integer" }, {}]);
      case "minLength":
      case "minItems":
      case "minProperties":
        return { [keyword]: Math.max(0, (value as number) - 1) };
      case "maxLength":
      case "maxItems":
      case "maxProperties":
        return { [keyword]: (value as number) + 1 };
      case "const":
        return { enum: [value, this.#pick(SIMPLE)] };
      case "enum": {
        const other = this.schema(2);
        return this.#pick([{ enum: [...listOf(value), this.#pick(SIMPLE)] }, typeof other === "object" ? other : {}]);
      }
      case "type":
        return { type: [...new Set([...listOf(value), this.#pick(["number", "string", "null", "array", "object"])])] };
      case "required":
        return { required: listOf(value).slice(1) };
      case "dependentRequired":
        return {
          dependentRequired: Object.fromEntries(
            Object.entries(value as Schema).map(([key, names]) => [key, listOf(names).slice(1)]),
          ),
        };
      case "additionalProperties":
        return this.#pick([{ unevaluatedProperties: value }, {}]);
      case "unevaluatedProperties":
        return this.#pick([{ additionalProperties: value }, {}]);
      case "oneOf":
        return { anyOf: value };
      default:
        return { [keyword]: value };
    }
  }
}

const listOf = (value: unknown): readonly unknown[] =>
  value === undefined ? [] : Array.isArray(value) ? value : [value];

/** The pair of this seed: mostly a schema and one or two changes of it. */
export function schemaPair(seed: number): readonly [old: Schema, next: Schema] {
  const draw = new SchemaDraw(seed);
  const whole = (schema: unknown): Schema => (typeof schema === "object" ? (schema as Schema) : { not: !schema });
  const old = whole(draw.schema(0));
  const once = draw.changed(old, 0);
  const next = whole(seed % 3 === 0 ? draw.changed(once, 0) : once);
  return [seed % 7 === 0 ? named(old, "part") : old, seed % 5 === 0 ? named(next, "piece") : next];
}

/** The same schema, with a part written as a definition. */
const named = (schema: Schema, name: string): Schema => ({ $defs: { [name]: schema }, $ref: `#/$defs/${name}` });

const NAMES_OF_ALL = ["p", "q", "z", "c", "d"];

/** Whether a schema mentions every name of an event. Otherwise it may declare the name, and the event is not compared. */
export function isOfKnownNames(event: unknown, said: string): boolean {
  const text = JSON.stringify(event);
  return NAMES_OF_ALL.every((name) => !text.includes(`"${name}":`) || said.includes(`"${name}"`));
}
