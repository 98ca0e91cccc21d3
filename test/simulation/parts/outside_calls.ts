/** How the parts of a node reach what lies outside it: by calls that take time and can fail, or be its end. */
import type { World } from "./world.ts";

export interface OutsideCalls {
  readonly world: World;
  /** Which life of the node this is, from 1. */
  readonly number: number;
  /**
   * Does something to the world outside the node: it takes time, may fail on either side of its effect, and the node may
   * die on either side too.
   *
   * @param lane calls of one lane arrive in the order in which they were made
   */
  operate<Value>(
    what: string,
    lane: string | undefined,
    makeError: () => Error,
    perform: () => Promise<{ readonly value: Value; readonly onAnswer: () => void }>,
  ): Promise<Value>;
}
