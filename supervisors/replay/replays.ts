/**
 * Replays into sinks and pipelines (E16). Each replay is a delivery of its own, with a range that is fixed when it
 * begins. The log's metadata holds it until it is done, so that a restart goes on with it.
 *
 *   R1. A replay has its own position, fence and chain of dead letters in every sink: the sink's own delivery does not
 *       notice it.
 *   R2. The range is made of positions, not offsets: records appended after the replay began never belong to it.
 *   R3. A replay that is begun again under its name goes on, up to a later end if one is given, and repeats no record.
 *   R4. In a cluster every node knows every replay, and delivers the partitions that it owns. The next owner of a
 *       partition that moves goes on from the sink's position.
 *   R5. A replay is done once each of its partitions was done on some node (replay_shares.ts).
 */
import { ConfigurationError, HeadraceError, reasonOf, UnavailableError } from "../../protocols/errors.ts";
import type { Foundation } from "../node/foundation.ts";
import { replayActor, replayWatch } from "./replay_actor.ts";
import { type ReplayDeliveryParts, replayDelivery } from "./replay_delivery.ts";
import { rangesOf } from "./replay_ranges.ts";
import {
  countsOf,
  decodeReplay,
  describe,
  extend,
  FORMAT_VERSION,
  type Replay,
  type ReplayDescription,
  refuseOther,
  type StoredReplay,
  tasksOf,
  unstarted,
} from "./replay_record.ts";
import { type ReplayRequest, targetOf } from "./replay_request.ts";
import { ReplayShares } from "./replay_shares.ts";

const REPLAYS_AT_ONCE_MAX = 8;
const METADATA_PREFIX = "replay/";

export type { ReplayDescription } from "./replay_record.ts";

export interface ReplayParts extends ReplayDeliveryParts, Pick<Foundation, "system" | "directory"> {
  nowMs(): number;
}

export class Replays {
  readonly #parts: ReplayParts;
  readonly #replays = new Map<string, Replay>();
  /** Present in a cluster only. */
  readonly #shares: ReplayShares | undefined;
  #last: Promise<unknown> = Promise.resolve();
  /** Why the last look for replays of other nodes failed. */
  #trouble: string | undefined;
  #isResting = false;

  private constructor(parts: ReplayParts) {
    this.#parts = parts;
    this.#shares = parts.configuration.cluster ? new ReplayShares(parts.log, crypto.randomUUID()) : undefined;
  }

  /** Starts, and goes on with every replay that is not done. */
  static async start(parts: ReplayParts): Promise<Replays> {
    const replays = new Replays(parts);
    await replays.#readAll(decodeReplay);
    if (replays.#shares === undefined) return replays;
    parts.system.spawn(replayWatch(() => replays.#watch()));
    return replays;
  }

  list(): Promise<readonly ReplayDescription[]> {
    return this.#inTurn(async () => [...this.#replays.values()].map(describe));
  }

  get(name: string): Promise<ReplayDescription | undefined> {
    return this.#inTurn(async () => {
      const replay = this.#replays.get(name);
      return replay === undefined ? undefined : describe(replay);
    });
  }

  /** Begins a replay, or goes on with the replay of that name. A dry run checks and counts, and begins nothing. */
  begin(request: ReplayRequest): Promise<ReplayDescription> {
    return this.#inTurn(() => this.#begin(request));
  }

  async #begin(request: ReplayRequest): Promise<ReplayDescription> {
    const { name, stream, channel, from } = request;
    const target = targetOf(request, this.#parts);
    const known = this.#replays.get(name);
    if (known !== undefined) refuseOther(known.stored, request);
    const wanted = await rangesOf(request, target.count, this.#parts.directory);
    const stored: StoredReplay = {
      version: FORMAT_VERSION,
      name,
      stream,
      channel,
      from,
      ...target.names,
      sinks: target.sinks,
      ranges: known === undefined ? wanted : extend(known.stored.ranges, wanted),
      state: "running",
      createdAtMs: known?.stored.createdAtMs ?? this.#parts.nowMs(),
      run: (known?.stored.run ?? 0) + 1,
    };
    if (request.isDryRun) return describe({ ...unstarted(stored, 0), tasks: tasksOf(stored, target.sinks) });
    const atOnce = [...this.#replays.values()].filter(({ actor }) => actor !== undefined).length;
    if (known?.actor === undefined && atOnce >= REPLAYS_AT_ONCE_MAX) {
      throw new UnavailableError(
        "NOT_READY",
        `Cannot begin a replay as at most ${REPLAYS_AT_ONCE_MAX} may run at once: current value is ${atOnce}`,
      );
    }
    const replay = known ?? unstarted(stored, 0);
    await this.#change(replay, () => stored);
    this.#replays.set(name, replay);
    replay.refusal = undefined;
    this.#run(replay);
    await this.#shares?.announce();
    return describe(replay);
  }

  /** Cancels a replay; undefined if no replay has this name. Begun again, it goes on from its position. */
  cancel(name: string): Promise<ReplayDescription | undefined> {
    return this.#inTurn(async () => {
      const replay = this.#replays.get(name);
      if (replay === undefined) return undefined;
      if (replay.stored.state !== "running") return describe(replay);
      await this.#change(replay, () => ({ ...replay.stored, state: "cancelled", counts: countsOf(replay) }));
      await this.#shares?.announce();
      return describe(replay);
    });
  }

  /** Ends the deliveries of all replays at once. The node's next start goes on with them. */
  async rest(): Promise<void> {
    this.#isResting = true;
    const actors = [...this.#replays.values()].flatMap(({ actor }) => actor ?? []);
    const rests = actors.map((actor) => {
      const rested = new Promise<void>((onRest) => actor.tell({ type: "rest", onRest }));
      return Promise.race([rested, this.#parts.system.whenTerminated(actor)]); // the actor may end by itself
    });
    await Promise.all(rests);
  }

  /** Runs operations one after the other. Each begins with the newest state of the other nodes. */
  #inTurn<Value>(operation: () => Promise<Value>): Promise<Value> {
    const turn = this.#last.then(async () => {
      await this.#lookAround();
      return operation();
    });
    this.#last = turn.catch(() => undefined); // The caller of `turn` gets the error.
    return turn;
  }

  async #watch(): Promise<void> {
    try {
      await this.#inTurn(async () => undefined);
      this.#trouble = undefined;
    } catch (error) {
      const reason = reasonOf(error);
      if (reason !== this.#trouble) this.#parts.nodeLog("warn", `Cannot look for replays of other nodes: ${reason}`);
      this.#trouble = reason;
    }
  }

  /** R4, R5 */
  async #lookAround(): Promise<void> {
    const shares = this.#shares;
    if (shares === undefined) return;
    await shares.readNews(() => this.#readAll((value) => this.#decodeIfKnown(value)));
    const all = [...this.#replays.values()];
    for (const { stored, actor } of all) if (actor === undefined) await shares.clear(stored.name);
    if (all.every(({ actor }) => actor === undefined)) return;
    const told = await shares.read();
    for (const { stored, tasks, actor } of all) {
      if (actor === undefined) continue;
      if (await shares.exchange(told, stored.name, stored.run ?? 0, tasks)) actor.tell({ type: "look" });
    }
  }

  /** Reads the stored replays, and goes on with those that have changed. */
  async #readAll(decode: (value: Uint8Array) => StoredReplay | undefined): Promise<void> {
    for (const [, { value, version }] of await this.#parts.log.listMetadata(METADATA_PREFIX)) {
      const stored = decode(value);
      if (stored === undefined) continue;
      const read = unstarted(stored, version);
      const replay = this.#replays.get(read.stored.name) ?? read;
      this.#replays.set(read.stored.name, replay);
      if (replay !== read && replay.version === version) continue;
      await this.#halt(replay);
      Object.assign(replay, read);
      if (replay.stored.state === "running") this.#goOn(replay);
    }
  }

  /** Undefined for a replay that a newer release began: this node goes on with the others. */
  #decodeIfKnown(value: Uint8Array): StoredReplay | undefined {
    try {
      return decodeReplay(value);
    } catch (error) {
      if (!(error instanceof ConfigurationError)) throw error;
      this.#parts.nodeLog("warn", error.message);
      return undefined;
    }
  }

  #goOn(replay: Replay): void {
    try {
      this.#run(replay);
    } catch (error) {
      if (!(error instanceof HeadraceError)) throw error;
      replay.refusal = error.message;
      this.#parts.nodeLog("error", `Cannot go on with a replay: ${error.message}`, { replay: replay.stored.name });
    }
  }

  #run(replay: Replay): void {
    if (this.#isResting) return;
    const { stored } = replay;
    const { name, stream } = stored;
    const { system, directory } = this.#parts;
    const { sinks } = targetOf({ ...stored, to: "latest", isDryRun: false }, this.#parts);
    replay.tasks = tasksOf(stored, sinks);
    replay.actor = system.spawn(
      replayActor({
        name,
        tasks: replay.tasks,
        entryOf: (partition) => directory.partition(stream, partition),
        delivery: replayDelivery(stored, this.#parts),
        finish: () => this.#inTurn(() => this.#finish(replay)),
      }),
    );
  }

  async #finish(replay: Replay): Promise<void> {
    // The replay may have been begun again, or ended, meanwhile.
    if (replay.stored.state !== "running" || replay.tasks.some(({ isDone }) => !isDone)) return;
    await this.#store(replay, { ...replay.stored, state: "done", counts: countsOf(replay) });
    await this.#shares?.announce();
    this.#parts.nodeLog("info", "a replay is done", { replay: replay.stored.name, ...countsOf(replay) });
    void this.#halt(replay);
  }

  /** Stops the replay during the change, and goes on with it if the change cannot be stored. */
  async #change(replay: Replay, change: () => StoredReplay): Promise<void> {
    const isRunning = replay.actor !== undefined;
    await this.#halt(replay);
    try {
      await this.#store(replay, change());
    } catch (error) {
      if (isRunning && replay.stored.state === "running" && replay.actor === undefined) this.#run(replay);
      throw error;
    }
  }

  async #halt(replay: Replay): Promise<void> {
    const { actor } = replay;
    replay.actor = undefined;
    if (actor !== undefined) await this.#parts.system.stop(actor);
  }

  async #store(replay: Replay, stored: StoredReplay): Promise<void> {
    const value = new TextEncoder().encode(JSON.stringify(stored));
    const version = await this.#parts.log.writeMetadata(`${METADATA_PREFIX}${stored.name}`, value, replay.version);
    if (version === undefined) {
      this.#shares?.expectNews();
      throw new UnavailableError(
        "NOT_READY",
        `Cannot store the replay ${stored.name} as its version must be ${replay.version}: another call has changed it`,
      );
    }
    replay.stored = stored;
    replay.version = version;
  }
}
