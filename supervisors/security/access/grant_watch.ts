/** Ends grants at their time, and when new credentials no longer give them. */
import type { Timer } from "../../../actors/kernel/actor.ts";
import type { Credentials, Granted } from "./credentials.ts";

/** Timers of the runtime hold 24.8 days at most, so a later end is checked again each day. */
const LOOK_EVERY_MS = 86_400_000;
/** How late an end may be noticed, in ms, after the wall clock was set. */
const LATE_MS_MAX = 1;

export interface GrantWatchWorld {
  nowMs(): number;
  setTimer(delayMs: number, callback: () => void): Timer;
}

interface Watched {
  readonly granted: Granted;
  readonly onEnd: () => void;
  timer: Timer | undefined;
}

export class GrantWatch {
  readonly #world: GrantWatchWorld;
  readonly #watched = new Set<Watched>();

  constructor(world: GrantWatchWorld) {
    this.#world = world;
  }

  get count(): number {
    return this.#watched.size;
  }

  /** Calls `onEnd` once, when the grants end. */
  watch(granted: Granted, onEnd: () => void): { stop(): void } {
    const one: Watched = { granted, onEnd, timer: undefined };
    this.#watched.add(one);
    this.#look(one);
    return { stop: () => this.#forget(one) };
  }

  /** Ends grants that `next` does not give; answers how many. One whose key cannot be read stays until its own end. */
  async judge(next: Credentials): Promise<number> {
    const judged = [...this.#watched].map(async (one) => {
      const holds = await one.granted.holdsUnder(next).catch(() => true);
      if (!holds) this.#end(one);
      return holds;
    });
    return (await Promise.all(judged)).filter((holds) => !holds).length;
  }

  #look(one: Watched): void {
    const { expiresAtMs } = one.granted.grants;
    if (expiresAtMs === undefined || !this.#watched.has(one)) return;
    const leftMs = expiresAtMs - this.#world.nowMs();
    if (leftMs <= 0) this.#end(one);
    else one.timer = this.#world.setTimer(Math.min(leftMs + LATE_MS_MAX, LOOK_EVERY_MS), () => this.#look(one));
  }

  #end(one: Watched): void {
    if (!this.#watched.has(one)) return;
    this.#forget(one);
    one.onEnd();
  }

  #forget(one: Watched): void {
    one.timer?.cancel();
    this.#watched.delete(one);
  }
}
