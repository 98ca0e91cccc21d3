/** One life of a source's actor on a `SourceNode`, with all of its effects under the test's control. */
import type { Actor, ActorContext, Timer } from "../../../actors/kernel/actor.ts";
import type { NamedItem, PlacedItem, SourceDefinition, SourceReader } from "../../../actors/sources/source.ts";
import { type SourceMessage, type SourceOptions, sourceActor } from "../../../actors/sources/source_actor.ts";
import { CrashPoints } from "./crash_points.ts";
import type { TestedSource } from "./source_harness.ts";
import { type Carrier, type SourceNode, STREAM } from "./source_node.ts";

export interface SourceLife {
  readonly points: CrashPoints;
  /** The errors with which the life ended by itself. */
  readonly ends: readonly unknown[];
  readonly logged: readonly string[];
  readonly troubles: readonly (string | undefined)[];
  stop(): Promise<void>;
}

export interface LifeOptions {
  readonly shard?: string | undefined;
  readonly points?: CrashPoints;
  readonly fields?: SourceOptions<never>["fields"];
  readonly acknowledgeWithinMs?: number;
  readonly keepEveryMs?: number;
}

let ids = 0;

export async function startLife(
  node: SourceNode,
  definition: TestedSource,
  options: unknown,
  {
    shard,
    points = new CrashPoints(),
    fields = {},
    acknowledgeWithinMs = 30_000,
    keepEveryMs = 20_000,
  }: LifeOptions = {},
): Promise<SourceLife> {
  const ends: unknown[] = [];
  const timers = new LifeTimers();
  const logged: string[] = [];
  const troubles: (string | undefined)[] = [];
  const actor = await sourceActor({
    name: shard === undefined ? "s" : `s/${shard}`,
    ...(shard === undefined ? {} : { shard }),
    stream: STREAM,
    definition: underControl(definition, points) as SourceDefinition<never>,
    options: options as never,
    fields,
    describe: node.describe,
    connect: node.connectBy(carrierOf(points)),
    log: {
      readMetadata: (key) => node.log.readMetadata(key),
      writeMetadata: (...given) => points.pass("store", () => node.log.writeMetadata(...given)),
    },
    report: (level, message, about) => logged.push(`${level} ${message} ${JSON.stringify(about ?? {})}`),
    trouble: (code) => troubles.push(code),
    onRejected: () => {},
    ...{ acknowledgeWithinMs, keepEveryMs },
  }).start(contextOf((message) => take(message), timers));
  const take = (message: SourceMessage) => {
    try {
      void (actor as Actor<SourceMessage>).receive(message);
    } catch (error) {
      ends.push(error);
      timers.end();
    }
  };
  const stop = async () => {
    timers.end();
    await actor.stop?.();
  };
  return { points, ends, logged, troubles, stop };
}

const carrierOf = (points: CrashPoints): Carrier => ({
  toNode: (frame, deliver) => points.run(frame.type === "append" ? "send" : undefined, deliver),
  toClient: (frame, deliver) => points.run(frame.type === "ack" ? "acked" : undefined, deliver),
});

function underControl(definition: TestedSource, points: CrashPoints): TestedSource {
  const given = definition as SourceDefinition<never, PlacedItem | NamedItem>;
  const open: typeof given.open = async (...about) => {
    const reader = await points.pass("open", () => given.open(...about));
    const controlled: SourceReader<PlacedItem | NamedItem> = {
      async *read(signal) {
        for await (const batch of reader.read(signal)) {
          yield await points.pass("read", async () => batch);
        }
      },
      close: () => reader.close(),
    };
    if (reader.acknowledge === undefined) return controlled;
    const acknowledge: typeof reader.acknowledge = (batch) =>
      points.pass("acknowledge", async () => reader.acknowledge?.(batch));
    return { ...controlled, acknowledge };
  };
  return { ...given, open } as unknown as TestedSource;
}

/** As of an actor: its end cancels them, and none is made afterwards. */
class LifeTimers {
  readonly #timers = new Set<NodeJS.Timeout>();
  #ended = false;

  after(delayMs: number, callback: () => void): Timer {
    if (this.#ended) return { cancel: () => {} };
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      callback();
    }, delayMs);
    this.#timers.add(timer);
    return { cancel: () => clearTimeout(timer) };
  }

  end(): void {
    this.#ended = true;
    for (const timer of this.#timers) clearTimeout(timer);
  }
}

function contextOf(tell: (message: SourceMessage) => void, timers: LifeTimers): ActorContext<SourceMessage> {
  const refuse = () => {
    throw new Error("not in this life");
  };
  return {
    self: { path: "source", tell, send: async () => true, trySend: () => true },
    path: "source",
    ...{ spawn: refuse, stopChild: refuse, watch: refuse, unwatch: refuse },
    after: (delayMs, message) => timers.after(delayMs, () => tell(message)),
    nowMs: Date.now,
    random: () => 0.5,
    newId: () => `life-${++ids}`,
  };
}
