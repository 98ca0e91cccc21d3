/**
 * Whether a stream's schema may follow another. Backward compatible means that the new schema takes every event that
 * the old one took, so that a reader with the new schema can read all stored events. A change that cannot be shown to
 * be compatible is refused with its reason; `compatibility: none` takes it all the same.
 *
 * One exception makes this usable: a property that the old schema does not name may be declared, although an open old
 * schema let events hold any value under that name. A keyword that is taken away can narrow too, as another rule then
 * judges the values that it exempted.
 */
import type { CompilePattern } from "../../kernel/linear_pattern.ts";
import { narrowingsOf } from "./comparison/schema_comparison.ts";
import { readDialect } from "./dialect.ts";
import { isKnownFormat } from "./formats.ts";
import type { JsonSchema } from "./keywords.ts";

export type Compatibility = "backward" | "forward" | "full" | "none";

/** Reasons why `next` cannot follow `previous`, each with the JSON Pointer of the place; empty when it can. */
export function incompatibilities(
  previous: JsonSchema,
  next: JsonSchema,
  mode: Compatibility,
  compilePattern: CompilePattern,
): readonly string[] {
  if (mode === "none") return [];
  const [before, after] = [currentDraft(previous), currentDraft(next)];
  const backward = mode === "backward" || mode === "full" ? narrowingsOf(before, after, compilePattern) : [];
  const forward = mode === "forward" || mode === "full" ? narrowingsOf(after, before, compilePattern) : [];
  return [...backward, ...forward.map((reason) => `${reason} (seen from readers of the old version)`)];
}

const currentDraft = (schema: JsonSchema): JsonSchema => readDialect(schema, isKnownFormat).schema;
