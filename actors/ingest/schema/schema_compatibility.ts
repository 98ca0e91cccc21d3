/**
 * Whether a stream's schema may follow another: backward compatible means that every event the old schema took is taken
 * by the new one, so that whoever reads with the new schema can read what is stored. What can not be shown is refused
 * with its reason; `compatibility: none` says that the change is meant. One exception is made for use: a property that the old
 * schema did not name may be declared, although an open old schema let events carry anything under that name.
 *
 * A keyword that is taken away can narrow too: what it exempted falls to the rule beside it.
 */
import type { CompilePattern } from "../../kernel/linear_pattern.ts";
import { narrowingsOf } from "./comparison/schema_comparison.ts";
import { readDialect } from "./dialect.ts";
import { isKnownFormat } from "./formats.ts";
import type { JsonSchema } from "./keywords.ts";

export type Compatibility = "backward" | "forward" | "full" | "none";

/** Reasons why `next` can not follow `previous`, each with the JSON Pointer of the place; empty when it can. */
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
