/**
 * The followers of one partition, on other nodes. They are told its committed offsets as a level, at most once every
 * `REPORT_EVERY_MS`. A follower that has ended is forgotten.
 */
import type { ActorReference } from "../kernel/actor.ts";
import { terminationSourceOf } from "../kernel/termination_source.ts";
import type { Channel, ChannelBounds } from "../log/log.ts";
import type { CommittedReport } from "./partition.ts";

type Follower = ActorReference<CommittedReport>;

/** Time between reports. Changes meanwhile are told in one report. */
export const REPORT_EVERY_MS = 5;

export class Followers {
  readonly #followers = new Map<Follower, () => void>();
  readonly #changed = new Set<Channel>();
  readonly #boundsOf: (channel: Channel) => ChannelBounds | undefined;
  readonly #settledMs: () => number | undefined;
  readonly #later: () => void;
  #isDue = false;

  /**
   * @param settledMs all records with an earlier time of append are committed
   * @param later calls `report` after `REPORT_EVERY_MS`
   */
  constructor(
    boundsOf: (channel: Channel) => ChannelBounds | undefined,
    settledMs: () => number | undefined,
    later: () => void,
  ) {
    this.#boundsOf = boundsOf;
    this.#settledMs = settledMs;
    this.#later = later;
  }

  get size(): number {
    return this.#followers.size;
  }

  /** Adds a follower, and tells it the given bounds. */
  add(follower: Follower, bounds: readonly (readonly [Channel, ChannelBounds])[]): void {
    if (!this.#followers.has(follower)) {
      const endWatch = terminationSourceOf(follower as ActorReference<never>).onTerminated(() => this.remove(follower));
      this.#followers.set(follower, endWatch);
    }
    if (bounds.length > 0) follower.tell(this.#reportOf(bounds));
  }

  remove(follower: Follower): void {
    this.#followers.get(follower)?.();
    this.#followers.delete(follower);
  }

  /** A channel's bounds have changed: the next report tells them. */
  note(channel: Channel): void {
    if (this.#followers.size === 0) return;
    this.#changed.add(channel);
    if (this.#isDue) return;
    this.#isDue = true;
    this.#later();
  }

  report(): void {
    this.#isDue = false;
    const bounds = [...this.#changed].flatMap((channel) => {
      const of = this.#boundsOf(channel);
      return of === undefined ? [] : [[channel, of] as const];
    });
    this.#changed.clear();
    if (bounds.length > 0) this.tellAll(bounds);
  }

  tellAll(bounds: readonly (readonly [Channel, ChannelBounds])[]): void {
    const report = this.#reportOf(bounds);
    for (const follower of this.#followers.keys()) follower.tell(report);
  }

  #reportOf(bounds: CommittedReport["bounds"]): CommittedReport {
    const settledMs = this.#settledMs();
    return { type: "committed", bounds, ...(settledMs === undefined ? {} : { settledMs }) };
  }

  end(): void {
    for (const endWatch of this.#followers.values()) endWatch();
    this.#followers.clear();
  }
}
