/**
 * The log in memory: the reference for the other builds, and the simulator's store. Nothing outlives the process. Every tier
 * is kept in this sense: a simulated loss of power spares the writes that their tier flushes.
 */
import { UnavailableError } from "../../../protocols/errors.ts";
import type { Log } from "../log.ts";
import { EmbeddedLog } from "./embedded_log.ts";
import { MemoryStore } from "./memory_store.ts";

export interface MemoryLogOptions {
  /** The store's clock, in ms since 1970. Default: a clock that stands at 0, so that runs repeat. */
  readonly clock?: () => number;
  /** The log's id. Default: `memory`, so that runs repeat. */
  readonly clusterId?: string;
}

/** Faults that a simulator causes in the store beneath a memory log. */
export interface MemoryLogFaults extends Pick<MemoryStore, "failNext" | "setAway" | "setFlushHeld"> {
  /** As tier `everysec` does once a second: all commits so far survive a loss of power. */
  flush(): void;
  /** Ends this life of the store and begins the next one, in which every earlier ownership is void. */
  restart(loss: "nothing" | "unflushed" | "everything"): void;
}

export type MemoryLog = Log & { readonly faults: MemoryLogFaults };

/** A log in memory, empty and ready, with its faults. */
export function createMemoryLog(options: MemoryLogOptions = {}): MemoryLog {
  const store = new MemoryStore();
  const { clusterId = "memory", clock: nowMs = () => 0 } = options;
  const log = new EmbeddedLog({ kind: "memory", clusterId, store, nowMs, checkTier: () => {} });
  const faults: MemoryLogFaults = {
    failNext: (timings) => store.failNext(timings),
    setAway: (isAway) => store.setAway(isAway),
    setFlushHeld: (isHeld) => store.setFlushHeld(isHeld),
    flush: () => store.flushNow(),
    restart: (loss) => {
      log.abandon(new UnavailableError("STORE_UNAVAILABLE", "Cannot finish the call as the store was restarted"));
      store.restart(loss);
    },
  };
  return Object.assign(log, { faults });
}
