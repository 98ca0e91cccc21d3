/**
 * Values that a changed schema no longer allows, by keywords that hold schemas for the same value: alternatives,
 * conditions, `not` and `dependentSchemas`. Each is judged together with the rest of the old schema.
 */
import type { Comparing, Old } from "./comparing.ts";
import { type Fields, fieldsOf, listOf } from "./schema_parts.ts";

export const combiningNarrowings = (old: Old, to: Fields, path: string, by: Comparing): readonly string[] => [
  ...(to.dependentSchemas === undefined ? [] : dependentNarrowings(old, to, path, by)),
  ...anyOfNarrowings(old, to, path, by),
  ...oneOfNarrowings(old, to, path, by),
  ...conditionNarrowings(old, to, path, by),
  ...notNarrowings(old, to, path, by),
];

function dependentNarrowings(old: Old, to: Fields, path: string, by: Comparing): readonly string[] {
  return Object.entries(fieldsOf(to.dependentSchemas)).flatMap(([name, narrow]) => {
    const has = by.make(`has ${name}`, () => ({ type: "object", required: [name] }));
    const kept = old.holding.flatMap(({ dependentSchemas }) =>
      Object.hasOwn(fieldsOf(dependentSchemas), name) ? [fieldsOf(dependentSchemas)[name]] : [],
    );
    const wide = by.joinInPlace([has, ...kept, ...old.holding], old);
    return by.narrowings(wide, narrow, `${path}/dependentSchemas/${name}`);
  });
}

function anyOfNarrowings(old: Old, to: Fields, path: string, by: Comparing): readonly string[] {
  if (to.anyOf === undefined || old.holding.some((one) => by.same(one.anyOf, to.anyOf))) return [];
  const narrows = listOf(to.anyOf);
  const isKept = (one: unknown, at?: number): boolean =>
    indexes(narrows.length, at).some((index) => by.same(one, narrows[index]));
  if (old.holding.some((one) => isKept(one) || (one.anyOf !== undefined && listOf(one.anyOf).every(isKept)))) return [];
  const wide = by.joinInPlace(old.holding, old);
  const isAllowed = narrows.some((narrow) => by.isFollowed(wide, narrow, path));
  return isAllowed ? [] : [`${path}/anyOf: no alternative can be shown to allow what was allowed`];
}

/**
 * An old value must match exactly one new alternative. A second alternative is excluded in two cases: it stood in the old
 * `oneOf`, where the value matched another one; or no value can match both it and the value's own alternative.
 */
function oneOfNarrowings(old: Old, to: Fields, path: string, by: Comparing): readonly string[] {
  if (to.oneOf === undefined || old.holding.some((one) => by.same(one.oneOf, to.oneOf))) return [];
  const holder = old.holding.find((one) => one.oneOf !== undefined);
  const cases = holder === undefined ? [true] : listOf(holder.oneOf);
  const others = old.holding.map((one) => (one === holder ? by.without(one, "oneOf") : one));
  const narrows = listOf(to.oneOf);
  /** For each new alternative, the index of the old alternative that is the same. */
  const kept = narrows.map((narrow) => cases.findIndex((one) => by.same(one, narrow)));
  const isAllowed = cases.every((one, at) => {
    const wide = by.joinInPlace([one, ...others], old);
    const isUnmatched = (index: number): boolean => {
      const was = kept[index] ?? -1;
      if ((was >= 0 && was !== at) || by.isApart(wide, narrows[index])) return true;
      return cases.some((other, place) => place !== at && by.reversed.isFollowed(narrows[index], other, path));
    };
    return indexes(narrows.length, kept.indexOf(at)).some(
      (index) =>
        by.isFollowed(wide, narrows[index], path) &&
        narrows.every((_narrow, other) => other === index || isUnmatched(other)),
    );
  });
  return isAllowed ? [] : [`${path}/oneOf: just one alternative must allow what was allowed: it cannot be shown`];
}

/** The indexes below `length`, `likely` first. */
function indexes(length: number, likely = -1): readonly number[] {
  const all = Array.from({ length }, (_, index) => index);
  return likely < 0 || likely >= length ? all : [likely, ...all];
}

/** Each branch must follow from the old schema, be out of reach, or follow from the same branch of an old condition. */
function conditionNarrowings(old: Old, to: Fields, path: string, by: Comparing): readonly string[] {
  const { if: condition } = to;
  if (condition === undefined) return [];
  const whole = by.joinInPlace(old.holding, old);
  const implies: Readonly<Record<Branch, (from: unknown) => boolean>> = {
    // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
    then: (from) => by.same(from, condition) || by.reversed.isFollowed(condition, from, path),
    else: (from) => by.same(from, condition) || by.reversed.reversed.isFollowed(from, condition, path),
  };
  const isNeverEntered: Readonly<Record<Branch, () => boolean>> = {
    // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
    then: () => by.isApart(whole, condition),
    else: () => by.isFollowed(whole, condition, path),
  };
  return (["then", "else"] as const).flatMap((branch) => {
    const narrow = to[branch];
    if (narrow === undefined || by.isFollowed(whole, narrow, path) || isNeverEntered[branch]()) return [];
    const reasons = old.holding
      .filter((one) => one.if !== undefined && implies[branch](one.if))
      .map((from) => {
        const others = old.holding.map((one) => (one === from ? by.without(one, "if") : one));
        return by.narrowings(by.joinInPlace([from[branch] ?? true, ...others], old), narrow, `${path}/${branch}`);
      });
    const [first = [`${path}/if: changed: it cannot be shown to allow what was allowed`]] = reasons;
    return reasons.some((list) => list.length === 0) ? [] : first;
  });
}

type Branch = "then" | "else";

function notNarrowings(old: Old, { not }: Fields, path: string, by: Comparing): readonly string[] {
  if (not === undefined) return [];
  const isKept =
    old.holding.some(
      (one) => one.not !== undefined && (by.same(one.not, not) || by.reversed.isFollowed(not, one.not, path)),
    ) || by.isApart(by.joinInPlace(old.holding, old), not);
  return isKept ? [] : [`${path || "/"}: not changed: it cannot be shown to allow what was allowed`];
}
