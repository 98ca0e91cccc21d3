/**
 * The only place that knows nact. Decides the order of turns, first come first served; each actor of the kernel is a nact
 * actor that holds its place in the tree, and one more nact actor runs the turns that are due, as many in one turn of the
 * event loop as its time allows: a message goes through several actors without waiting for as many turns of the loop. nact
 * never sees a batch. What it gets wrong (docs: README.md) can not happen as a turn never throws, is never queued twice, and
 * nact's own supervision never runs.
 */
import type { Ref } from "nact";
import { loadDriver } from "../../../deps.ts";
import { Fifo } from "./fifo.ts";

/** Turns run one after the other for so long, then the event loop goes on. */
const RUN_MS_MAX = 4;

/** What an actor does when it is its turn: at once, or with a promise of its end where it has to wait for something. */
export type Turn = () => Promise<void> | undefined;

/** A place in nact's tree that runs turns, one at a time. */
export interface Slot {
  /** Asks for one turn. The caller asks at most once until that turn has begun. */
  wake(): void;
  /** A place below this one. */
  child(turn: Turn): Slot;
  /** Frees the place. Nothing may be woken here after. */
  end(): void;
}

/** A root of places, with its own name space in nact. */
export interface Runtime {
  slot(turn: Turn): Slot;
  end(): void;
}

/** A turn that throws is a bug of the kernel: it surfaces in the process, as nact would stop the actor in silence. */
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
    // Names are our own, as nact allows fewer characters than the kernel does.
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
