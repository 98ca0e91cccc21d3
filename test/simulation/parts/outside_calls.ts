/** Calls of a node's parts to the world outside: they take time, can fail, and can be the moment of the node's death. */
import type { World } from "./world.ts";

export interface OutsideCalls {
  readonly world: World;
  /** The number of the node's life, from 1. */
  readonly number: number;
  /**
   * Acts on the world outside the node. The call takes time, may fail before or after its effect, and the node may die before
   * or after it too.
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
