/** Ends a node's parts in order, within a time limit. */
import { settledWithin } from "../../actors/kernel/settled_within.ts";
import { reasonOf } from "../../protocols/errors.ts";

/** One part that was started: ended in the reverse order of its start. */
export interface Closer {
  readonly what: string;
  close(): Promise<unknown>;
}

/** Ends the started parts, newest first: the node refuses new work before it drains the work under way. */
export async function closeAll(closers: readonly Closer[], timeoutMs: number): Promise<readonly string[]> {
  const deadline = Date.now() + timeoutMs;
  const left: string[] = [];
  for (const { what, close } of closers.toReversed()) {
    let outcome: string | undefined = "still under way";
    const ended = close().then(() => undefined, reasonOf);
    const work = ended.then((end) => {
      outcome = end;
    });
    await settledWithin(work, Math.max(0, deadline - Date.now()));
    if (outcome !== undefined) left.push(`${what}: ${outcome}`);
  }
  return left;
}
