/** Lets the event loop turn until a condition holds, without sleeps. Throws where it never does. */
const TURNS_MAX = 2_000;

export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

export async function until(hasHappened: () => boolean, what = "the awaited thing"): Promise<void> {
  for (let turns = 0; turns < TURNS_MAX; turns += 1) {
    if (hasHappened()) return;
    await turn();
  }
  throw new Error(`Cannot go on as ${what} must happen: current value is never, in ${TURNS_MAX} turns`);
}

/** Lets the event loop turn until work without timers has come to rest. */
export async function atRest(): Promise<void> {
  for (let turns = 0; turns < 30; turns += 1) await turn();
}
