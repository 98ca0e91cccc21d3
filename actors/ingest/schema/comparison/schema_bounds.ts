/** The bounds that schemas set together on numbers, lengths and counts, by their own keyword or implied by another. */
import { INTEGER_FORMATS, TEXT_FORMATS } from "../formats.ts";
import { isMultiple } from "../numbers.ts";
import { isNumeric } from "../rules.ts";
import { type Fields, fieldsOf, listOf } from "./schema_parts.ts";

export interface Edge {
  readonly limit: number | bigint;
  readonly isExclusive: boolean;
}

export interface NumberRange {
  readonly least?: Edge;
  readonly most?: Edge;
  /** True where every number of the range is whole. Both edges are then whole and inclusive. */
  readonly isWhole: boolean;
}

/** The numbers that all of these schemas allow. @param types the types that they allow */
export function rangeOf(schemas: readonly Fields[], types: ReadonlySet<string> | undefined): NumberRange {
  const formats = schemas.flatMap(({ format }) => INTEGER_FORMATS.get(String(format)) ?? []);
  const isWhole =
    formats.length > 0 ||
    types?.has("number") === false ||
    schemas.some(({ multipleOf }) => isNumeric(multipleOf) && multipleOf > 0 && isMultiple(multipleOf, 1));
  const edge = (sign: 1 | -1, ...keywords: readonly [string, string]): Edge | undefined => {
    const edges = keywords.flatMap((keyword, index) =>
      schemas.flatMap((one) => edgeOf(one[keyword], index === 1, isWhole ? sign : undefined)),
    );
    edges.push(
      ...formats.map((limit) => ({ limit, isExclusive: false })).filter(({ limit }) => limit > 0 === sign > 0),
    );
    return edges.reduce<Edge | undefined>(
      (found, one) => (found === undefined || isTighter(one, found, sign) ? one : found),
      undefined,
    );
  };
  const least = edge(-1, "minimum", "exclusiveMinimum");
  const most = edge(1, "maximum", "exclusiveMaximum");
  return { isWhole, ...(least === undefined ? {} : { least }), ...(most === undefined ? {} : { most }) };
}

/** @param sign 1 for the upper edge of whole numbers, -1 for the lower; undefined for numbers of any kind */
function edgeOf(limit: unknown, isExclusive: boolean, sign: 1 | -1 | undefined): readonly Edge[] {
  if (!isNumeric(limit) || (typeof limit === "number" && !Number.isFinite(limit))) return [];
  if (sign === undefined) return [{ limit, isExclusive }];
  const whole = typeof limit === "bigint" ? limit : BigInt(sign > 0 ? Math.floor(limit) : Math.ceil(limit));
  const isLeftOut = isExclusive && whole >= limit && whole <= limit; // across the two kinds of numbers
  return [{ limit: isLeftOut ? whole - BigInt(sign) : whole, isExclusive: false }];
}

const isTighter = (one: Edge, other: Edge, sign: 1 | -1): boolean =>
  sign > 0
    ? one.limit < other.limit || (one.limit <= other.limit && one.isExclusive)
    : one.limit > other.limit || (one.limit >= other.limit && one.isExclusive);

/** The largest count of a keyword `min...`, or the smallest of `max...`; 0, or infinite, where no schema has it. */
export function countOf(keyword: string, schemas: readonly Fields[]): number {
  const said = schemas
    .map((one) => one[keyword])
    .filter(isNumeric)
    .map(Number);
  const counts = [...said, ...schemas.flatMap((one) => impliedCount(keyword, one))];
  if (keyword === "minProperties") counts.push(new Set(schemas.flatMap(({ required = [] }) => listOf(required))).size);
  return keyword.startsWith("max") ? Math.min(...counts) : Math.max(0, ...counts);
}

function impliedCount(keyword: string, schema: Fields): readonly number[] {
  switch (keyword) {
    case "maxLength":
      return [TEXT_FORMATS.get(String(schema.format))?.charactersMax ?? Number.POSITIVE_INFINITY];
    case "maxItems":
      return schema.items === false ? [listOf(schema.prefixItems ?? []).length] : [];
    case "minItems":
      return schema.contains === undefined ? [] : [Number(schema.minContains ?? 1)];
    case "maxProperties": {
      const isClosed = schema.additionalProperties === false && schema.patternProperties === undefined;
      return isClosed ? [Object.keys(fieldsOf(schema.properties)).length] : [];
    }
    default:
      return [];
  }
}
