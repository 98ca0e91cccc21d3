/** Waits until a cluster has come to rest after faults: its partitions, and what reads them. */
import { setTimeout as delay } from "node:timers/promises";
import type { Log } from "../../../actors/log/log.ts";
import type { NodeProcess } from "../../support/processes/node_process.ts";
import { PAIRS, readTallies, TALLIES, unclosedPartition } from "./chaos_pipelines.ts";
import { SINKS_OF, STREAMS } from "./cluster_chaos_configuration.ts";
import type { ClusterFaults } from "./cluster_chaos_faults.ts";
import type { StreamHistory } from "./cluster_chaos_history.ts";

export const SETTLE_WITHIN_MS = 60_000;
const LOOK_EVERY_MS = 100;

export interface ClusterAtRestOptions {
  readonly nodes: readonly NodeProcess[];
  readonly faults: ClusterFaults;
  readonly histories: readonly StreamHistory[];
  readonly signal?: AbortSignal | undefined;
  say(line: string): void;
}

export class ClusterAtRest {
  readonly #options: ClusterAtRestOptions;

  constructor(options: ClusterAtRestOptions) {
    this.#options = options;
  }

  get #live(): readonly NodeProcess[] {
    return this.#options.nodes.filter(({ isRunning }) => isRunning);
  }

  /** Whether all live nodes agree: each partition has a live owner that confirms it, and no move is under way. */
  partitions(): Promise<void> {
    return this.#eventually("every partition has one live owner", async () => {
      const live = this.#live;
      const overviews = await Promise.all(live.map((node) => node.overview()));
      const [first] = overviews;
      if (first === undefined) return "no node runs";
      const isServing = (name: string) =>
        first.nodes.some((node) => node.name === name && (node.state === "ready" || node.state === "probation"));
      const away = live.find(({ name }) => !isServing(name));
      if (away !== undefined) await this.#undrain(away.name, live);
      if (away !== undefined) return `${away.name} is ${JSON.stringify(first.nodes)}`;
      for (const [at, { owner, state, stream, partition }] of first.partitions.entries()) {
        const name = `${stream}/${partition}`;
        const others = overviews.map(({ partitions }) => partitions[at]?.owner);
        if (others.some((other) => other !== owner)) return `${name} is owned by ${others.join(", ")}`;
        const own = overviews[live.findIndex((node) => node.name === owner)]?.partitions[at];
        if (state !== "owned" || own?.state !== "owned")
          return `${name} of ${owner} is ${state}, ${own?.state} to itself`;
      }
      const moving = overviews.find(({ moves }) => moves.length > 0);
      return moving === undefined ? undefined : `moves: ${JSON.stringify(moving.moves)}`;
    });
  }

  /** Ends a drain again, like a person, if its end was lost with Redis' tail. */
  async #undrain(name: string, live: readonly NodeProcess[]): Promise<void> {
    if (!this.#options.faults.mayHaveLostTheEndOfDrain(name)) return;
    this.#options.say(`${name} is asked again to be drained no more`);
    await live[0]?.json(`/v1/cluster/nodes/${name}/undrain`, "POST").catch(() => undefined); // looked at again
  }

  /** Waits until every sink and every reader stands at the end of the log, and the window of every fresh event has closed. */
  delivered(log: Log, freshAtMs: number): Promise<void> {
    const counted = Object.entries(STREAMS).flatMap(([stream, partitions]) =>
      Array.from({ length: partitions }, (_, partition) => [stream, partition] as const),
    );
    return this.#eventually("sinks and readers stand at the end of the log", async () => {
      // Asked before the sinks' lag, so that all windows that closed with these are delivered.
      const unclosed = unclosedPartition(await readTallies(log), counted, freshAtMs);
      if (unclosed !== undefined) return `the last window of ${unclosed} has not closed`;
      const live = this.#live;
      const { partitions } = await live[0]!.overview();
      const standings = new Map<string, readonly Standing[]>();
      for (const node of live) standings.set(node.name, (await node.json<{ sinks: Standing[] }>("/v1/sinks")).sinks);
      for (const { stream, partition, owner = "" } of partitions) {
        if (!(stream in STREAMS)) continue;
        const node = live.find(({ name }) => name === owner);
        if (node === undefined) return `${stream}/${partition} is owned by ${owner}`;
        const path = `/v1/streams/${stream}/partitions/${partition}/records?limit=1`;
        const { endOffset } = await node.json<{ endOffset: number }>(path);
        const own = standings.get(owner)?.filter((one) => one.stream === stream && one.partition === partition) ?? [];
        if (own.length !== SINKS_OF[stream as keyof typeof STREAMS]) {
          return `${stream}/${partition} has ${own.length} sinks`;
        }
        const isBehind = ({ sink, nextOffset, lagRecords, state }: Standing) =>
          state !== "delivering" ||
          (sink === TALLIES.stream || sink === PAIRS.stream ? lagRecords > 0 : nextOffset !== endOffset);
        const behind = own.find(isBehind);
        if (behind !== undefined) return `the log ends at ${endOffset}: ${JSON.stringify(behind)}`;
        const history = this.#options.histories.find((one) => one.stream === stream)!;
        for (const { reader, partition: of, observations } of history.readers) {
          const last = observations.findLast(({ kind }) => kind === "record");
          if (of === partition && last?.offset !== endOffset - 1) {
            return `${reader} of ${stream}/${partition} is at ${last?.offset} of ${endOffset}`;
          }
        }
      }
      return undefined;
    });
  }

  /** @param probe answers the missing parts */
  async #eventually(what: string, probe: () => Promise<string | undefined>): Promise<void> {
    let missing: string | undefined = "nothing yet";
    for (const deadline = Date.now() + SETTLE_WITHIN_MS; Date.now() < deadline; await delay(LOOK_EVERY_MS)) {
      missing = await probe().catch(String);
      if (missing === undefined) return;
      this.#options.signal?.throwIfAborted();
    }
    throw new Error(`Cannot go on as within ${SETTLE_WITHIN_MS} ms it must come about that ${what}: ${missing}`);
  }
}

interface Standing {
  readonly sink: string;
  readonly stream: string;
  readonly partition: number;
  readonly nextOffset: number;
  readonly lagRecords: number;
  readonly state: string;
}
