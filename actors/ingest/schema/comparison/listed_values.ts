/** The values that schemas allow, where these are few: by name, by type, or as whole numbers of a range. */
import { rangeOf } from "./schema_bounds.ts";
import type { Fields } from "./schema_parts.ts";
import { typesOfAll, valuesOf } from "./value_narrowings.ts";

/** The most whole numbers of a range that are tried one by one. */
const RANGE_MAX = 64n;

export interface ListedValues {
  readonly values: readonly unknown[];
  /** True where `enum` or `const` names the values. */
  readonly isByName: boolean;
}

/** A superset of the values that all of `schemas` allow together; undefined where it cannot be listed. */
export function listedValues(schemas: readonly Fields[]): ListedValues | undefined {
  const named = schemas.map(valuesOf).filter((values) => values !== undefined);
  const [first] = named.sort((left, right) => left.length - right.length);
  if (first !== undefined) return { values: first, isByName: true };
  const types = typesOfAll(schemas);
  if (types === undefined) return undefined;
  const lists = [...types].map((type) => valuesOfType(type, schemas, types));
  const all = lists.flatMap((list) => list ?? []);
  return lists.includes(undefined) ? undefined : { values: all, isByName: false };
}

function valuesOfType(
  type: string,
  schemas: readonly Fields[],
  types: ReadonlySet<string>,
): readonly unknown[] | undefined {
  if (type === "null") return [null];
  if (type === "boolean") return [true, false];
  if (type !== "integer" && type !== "number") return undefined;
  const { least, most, isWhole } = rangeOf(schemas, types);
  if (!isWhole || least === undefined || most === undefined) return undefined;
  const [from, to] = [BigInt(least.limit), BigInt(most.limit)];
  if (to - from >= RANGE_MAX) return undefined;
  return type === "number"
    ? []
    : Array.from({ length: Math.max(0, Number(to - from) + 1) }, (_, at) => plain(from + BigInt(at)));
}

/** The value as an event holds it: a big integer only beyond 2^53 - 1. */
const plain = (value: bigint): number | bigint => (Number.isSafeInteger(Number(value)) ? Number(value) : value);
