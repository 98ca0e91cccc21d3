/**
 * The log in memory: the reference that the other builds are held to, and the simulator's store. Nothing outlives the
 * process; every tier is kept in the sense that a simulated loss of power spares what its tier says was flushed.
 */
import { UnavailableError } from "../../../protocols/errors.ts";
import type { Log } from "../log.ts";
import { EmbeddedLog } from "./embedded_log.ts";
import { type FailureTiming, MemoryStore } from "./memory_store.ts";

export interface MemoryLogOptions {
  /** The store's clock, ms since 1970. Defaults to one that stands at 0, so that runs repeat. */
  readonly clock?: () => number;
  /** Nothing outlives the process, so each process has a log of its own. Defaults to a fixed one, so that runs repeat. */
  readonly clusterId?: string;
}

/** What a simulator does to the store beneath a memory log. */
export interface MemoryLogFaults {
  /** The next commits fail, one for each entry: before they had any effect, or after all of it. */
  failNext(timings: readonly FailureTiming[]): void;
  /** While away every call rejects with `UnavailableError`. */
  setAway(isAway: boolean): void;
  /** While held, flushes fail, so nothing of tier `fsync` is acknowledged. */
  setFlushHeld(isHeld: boolean): void;
  /** What `everysec` does once a second: all committed so far survives a loss of power. */
  flush(): void;
  /** Ends this life of the store and begins the next; every ownership is void. */
  restart(loss: "nothing" | "unflushed" | "everything"): void;
}

export type MemoryLog = Log & { readonly faults: MemoryLogFaults };

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
