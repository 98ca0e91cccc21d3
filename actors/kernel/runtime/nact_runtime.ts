/**
 * The only file that imports nact. Decides the order of turns: first come, first served.
 * Each actor of the kernel is a nact actor that holds its place in the tree. One more nact actor, the scheduler, runs the
 * turns that are due, up to `RUN_MS_MAX` in one turn of the event loop. So a message can pass through several actors in
 * one turn of the loop. nact never sees a batch. Its faults (README.md) cannot occur: a turn never throws and is never
 * queued twice, and nact's own supervision never runs.
 */
import type { Ref } from "nact";
import { loadDriver } from "../../../deps.ts";
import { Fifo } from "./fifo.ts";

/** Longest run of turns, in ms, before the event loop gets to timers and I/O. */
const RUN_MS_MAX = 4;

/** One turn of an actor. Returns a promise of its end where the turn has to wait, and undefined where it is over. */
export type Turn = () => Promise<void> | undefined;

/** A place in nact's tree that runs turns, one at a time. */
export interface Slot {
  /** Queues one turn. The caller must not call again before that turn has begun. */
  wake(): void;
  /** Makes a place below this one. */
  child(turn: Turn): Slot;
  /** Frees the place. `wake` must not be called afterwards. */
  end(): void;
}

/** A root of places, with its own name space in nact. */
export interface Runtime {
  slot(turn: Turn): Slot;
  end(): void;
}

/** A turn that throws is a bug of the kernel. It is thrown in the process, because nact would stop the actor in silence. */
function surface(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}

function begin(turn: Turn): void {
  try {
    turn()?.catch(surface);
  } catch (error) {
    surface(error);
  }
}

export async function startNactRuntime(): Promise<Runtime> {
  const nact = await loadDriver("nact");
  const system: Ref<never> = nact.start();
  let slotsMade = 0;
  const ready = new Fifo<Turn>();
  let isAsked = false;
  const ask = () => {
    isAsked = true;
    nact.dispatch(scheduler, "run");
  };
  const run = () => {
    const endsAtMs = performance.now() + RUN_MS_MAX;
    for (let turn = ready.shift(); turn !== undefined; turn = ready.shift()) {
      begin(turn);
      if (performance.now() >= endsAtMs) break;
    }
    isAsked = false;
    if (ready.size > 0) ask();
  };
  const scheduler = nact.spawn(system, run, "turns") as Ref<string>;
  const makeSlot = (parent: Ref<never>, turn: Turn): Slot => {
    slotsMade += 1;
    // nact allows fewer characters in a name than the kernel does, so slots are numbered.
    const actor = nact.spawn(parent, () => undefined, `slot${slotsMade}`) as Ref<string>;
    return {
      wake: () => {
        ready.push(turn);
        if (!isAsked) ask();
      },
      child: (childTurn) => makeSlot(actor as Ref<never>, childTurn),
      end: () => nact.stop(actor),
    };
  };
  return { slot: (turn) => makeSlot(system, turn), end: () => nact.stop(system) };
}
