/**
 * Tells whether a short English text asks for something that a bank handles. The text's words and pairs of neighbouring
 * words are hashed to slots, and the artifact adds the weights of these slots. All of it is whole numbers, so that a sum is
 * the same in any order and on any machine.
 *
 * `train.py` makes the same features: a test compares both on samples.
 */
import type { Event } from "../../protocols/event.ts";
import { type ModelDefinition, type PreparedRow, refused } from "../model.ts";
import { BANK_REQUEST_CARD } from "./card.ts";

/** Characters of a text that are read, in UTF-16 units; the rest is cut. */
export const TEXT_UNITS_MAX = 1_000;
/** Words of a text that are read; the rest is cut. */
export const WORDS_MAX = 64;
const SLOTS = 8_192;
/** Stands in the places of a row that hold no feature; its weight is 0. */
const NO_SLOT = SLOTS;
const FEATURES_MAX = 2 * WORDS_MAX;
const UNITS_PER_LOGIT = 24;
/** A score has four decimals. */
const SCORE_STEPS = 10_000;

export const bankRequest: ModelDefinition<{ readonly slots: Int32Array }, { readonly units: Int32Array }> = {
  card: BANK_REQUEST_CARD,

  prepare({ text }: Event): PreparedRow<{ readonly slots: Int32Array }> {
    if (typeof text !== "string") {
      return refused(`Cannot score an input as its field text must be a text: current value is of type ${typeof text}`);
    }
    const slots = new Int32Array(FEATURES_MAX).fill(NO_SLOT);
    let at = 0;
    for (const slot of slotsOf(text)) slots[at++] = slot;
    return { kind: "row", row: { slots } };
  },

  finish({ units }) {
    const logit = (units[0] ?? 0) / UNITS_PER_LOGIT;
    return { kind: "result", result: { score: Math.round(SCORE_STEPS / (1 + Math.exp(-logit))) / SCORE_STEPS } };
  },
};

/** The distinct slots of the words and of the pairs of words. Only ASCII letters and digits make words. */
function slotsOf(text: string): ReadonlySet<number> {
  const words = (text.slice(0, TEXT_UNITS_MAX).match(/[A-Za-z0-9]+/g) ?? []).slice(0, WORDS_MAX);
  const lowered = words.map((word) => word.toLowerCase());
  const pairs = lowered.slice(1).map((word, at) => `${lowered[at]} ${word}`);
  return new Set([...lowered, ...pairs].map(slotOf));
}

/** FNV-1a with 32 bits (draft-eastlake-fnv), over the bytes of an ASCII text. */
function slotOf(term: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < term.length; at += 1) hash = Math.imul(hash ^ term.charCodeAt(at), 0x01000193);
  return (hash >>> 0) % SLOTS;
}
