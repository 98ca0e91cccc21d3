/**
 * The only place that knows nact. Decides nothing: it turns an actor of the kernel into one nact actor whose single
 * message is a wake-up, so that nact schedules turns, holds the tree and never sees a batch. What nact gets wrong
 * (docs: README.md) can not happen as a turn never throws, is never queued twice, and nact's own supervision never runs.
 */
import type { Ref } from "nact";
import { loadDriver } from "../../deps.ts";

/** A place in nact's tree that runs turns, one at a time, each in an event-loop turn of its own. */
export interface Slot {
  /** Asks for one turn. The caller asks at most once until that turn has begun. */
  wake(): void;
  /** A place below this one. */
  child(turn: () => Promise<void>): Slot;
  /** Frees the place. Nothing may be woken here after. */
  end(): void;
}

/** A root of places, with its own name space in nact. */
export interface Runtime {
  slot(turn: () => Promise<void>): Slot;
  end(): void;
}

/** A turn that rejects is a bug of the kernel: it surfaces in the process, as nact would stop the actor in silence. */
async function guarded(turn: () => Promise<void>): Promise<void> {
  try {
    await turn();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

export async function startNactRuntime(): Promise<Runtime> {
  const nact = await loadDriver("nact");
  const system: Ref<never> = nact.start();
  let slotsMade = 0;
  const makeSlot = (parent: Ref<never>, turn: () => Promise<void>): Slot => {
    slotsMade += 1;
    // Names are our own, as nact allows fewer characters than the kernel does.
    const actor = nact.spawn(parent, () => guarded(turn), `slot${slotsMade}`) as Ref<string>;
    return {
      wake: () => nact.dispatch(actor, "wake"),
      child: (childTurn) => makeSlot(actor as Ref<never>, childTurn),
      end: () => nact.stop(actor),
    };
  };
  return { slot: (turn) => makeSlot(system, turn), end: () => nact.stop(system) };
}
