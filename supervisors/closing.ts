/** The end of a node's parts, in order and within a time. */

/** One part that was started: ended in the reverse order of its start. */
export interface Closer {
  readonly what: string;
  close(): Promise<unknown>;
}

/** Ends what was started, newest first: new work is refused before what is under way is drained. */
export async function closeAll(closers: readonly Closer[], timeoutMs: number): Promise<readonly string[]> {
  const deadline = Date.now() + timeoutMs;
  const left: string[] = [];
  for (const { what, close } of closers.toReversed()) {
    const outcome = await withinTime(close(), Math.max(0, deadline - Date.now()));
    if (outcome !== undefined) left.push(`${what}: ${outcome}`);
  }
  return left;
}

/** Whether the work ends within the time, in whatever way. */
export function settledWithin(work: Promise<unknown>, timeoutMs: number): Promise<boolean> {
  return withinTime(work, timeoutMs).then((outcome) => outcome !== STILL_UNDER_WAY);
}

const STILL_UNDER_WAY = "still under way";

/** Undefined when the work is done in time; else what became of it. */
function withinTime(work: Promise<unknown>, timeoutMs: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(STILL_UNDER_WAY), timeoutMs);
    work.then(
      () => {
        clearTimeout(timer);
        resolve(undefined);
      },
      (error: unknown) => {
        clearTimeout(timer);
        resolve(error instanceof Error ? error.message : String(error));
      },
    );
  });
}
