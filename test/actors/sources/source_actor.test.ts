import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Actor } from "../../../actors/kernel/actor.ts";
import type { Metadata } from "../../../actors/log/log.ts";
import type { SourceBatch, SourceDefinition, SourcePosition } from "../../../actors/sources/source.ts";
import { type SourceMessage, type SourceOptions, sourceActor } from "../../../actors/sources/source_actor.ts";
import { decodeTrustedEvents } from "../../../protocols/values/event_codec.ts";
import { startActor } from "../../../supervisors/conformance/parts/fake_actor.ts";
import { CrashPoints } from "../../../supervisors/conformance/sources/crash_points.ts";
import { startLife } from "../../../supervisors/conformance/sources/source_life.ts";
import { SourceNode } from "../../../supervisors/conformance/sources/source_node.ts";
import { PositionPlace, positionSource, QueuePlace, queueSource } from "../../conformance/sources/fake_places.ts";
import { settle } from "../../support/fakes/manual_clock.ts";
import { MemoryNetwork } from "../../support/fakes/memory_connection.ts";
import { ModelNode } from "../../support/fakes/model_node.ts";

/** A batch with one event at `place`, or without events. The next life resumes after `place`. */
const batch = (place: number, isEmpty = false): SourceBatch => ({
  items: isEmpty ? [] : [{ item: { kind: "event", event: { place } }, term: 1, position: place }],
  resume: { after: place },
});

/** A source of the given batches over a model of a node, with the resume points that were stored. */
class World {
  readonly node = new ModelNode(1);
  readonly network = new MemoryNetwork((frame, bytes) => this.node.take(frame, bytes));
  /** How many batches the source's reader was asked for. */
  pulled = 0;
  readonly stored: SourcePosition[] = [];
  readonly resumed: (SourcePosition | undefined)[] = [];
  readonly ends: unknown[] = [];
  /** Holds each store of a resume point until it resolves. */
  storing: Promise<void> = Promise.resolve();
  #metadata: Metadata | undefined;

  start(batches: readonly SourceBatch[]) {
    const world = this;
    const options: SourceOptions<object> = {
      name: "source",
      stream: "plain",
      options: {},
      definition: {
        type: "test",
        optionsSchema: {},
        async open(_options, _context, resume) {
          world.resumed.push(resume);
          return {
            async *read(signal) {
              for (const one of batches) {
                world.pulled += 1;
                yield one;
              }
              while (!signal.aborted) await settle();
            },
            close: async () => {},
          };
        },
      },
      connect: this.network.connect,
      log: {
        readMetadata: async () => world.#metadata,
        async writeMetadata(_key, value, version) {
          await world.storing;
          world.stored.push(...(decodeTrustedEvents(value) as SourcePosition[]));
          world.#metadata = { value, version: version + 1 };
          return version + 1;
        },
      },
      report: () => {},
      trouble: () => {},
      onRejected: () => {},
    };
    const definition = sourceActor(options);
    return startActor<SourceMessage>({
      ...definition,
      start: async (context) => {
        const actor: Actor<SourceMessage> = await definition.start(context);
        const receive = (message: SourceMessage) => {
          try {
            return actor.receive(message);
          } catch (error) {
            world.ends.push(error);
          }
        };
        return { ...actor, receive };
      },
    });
  }
}

/** Lets everything happen that needs no further answer. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 50; turn += 1) await settle();
}

test("O1: a resume point is stored only once the events before it are acknowledged", async () => {
  const world = new World();
  world.node.intercept = () => {
    world.network.isHeld = true; // this append's answer waits too
    return undefined;
  };
  const actor = await world.start([batch(1)]);
  await actor.until(() => world.node.appends > 0);
  await turns();
  assert.equal(world.stored, []);
  world.network.release();
  await actor.until(() => world.stored.length > 0);
  assert.equal(world.stored, [{ after: 1 }]);
  await actor.stop();
});

test("O2: a batch without events is stored before the next batch is read", async () => {
  const world = new World();
  let release: (() => void) | undefined;
  world.storing = new Promise((resolve) => (release = resolve));
  const actor = await world.start([batch(1, true), batch(2)]);
  await turns();
  assert.is(world.pulled, 1);
  release?.();
  await actor.until(() => world.stored.length === 2);
  assert.equal(world.stored, [{ after: 1 }, { after: 2 }]);
  await actor.stop();
});

test("O3: an event in doubt ends this life of the source, and the next life resumes from the stored point", async () => {
  const world = new World();
  const actor = await world.start([batch(1)]);
  await actor.until(() => world.stored.length === 1);
  await actor.stop();
  world.node.intercept = () => ({ type: "error", code: "PRODUCER_FENCED", message: "another instance" });
  const second = await world.start([batch(2)]);
  await second.until(() => world.ends.length > 0);
  assert.equal(world.stored, [{ after: 1 }]);
  await second.stop();
  world.node.intercept = () => undefined;
  const third = await world.start([]);
  await third.until(() => world.resumed.length === 3);
  assert.equal(world.resumed, [undefined, { after: 1 }, { after: 1 }]);
  await third.stop();
});

/** Far more than a stop may take, in ms. */
const STOP_MAX_MS = 10_000;

test("O4: a stop ends in bounded time though no answer comes", async () => {
  const world = new World();
  world.network.isHeld = true;
  const actor = await world.start([batch(1)]);
  await turns();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((resolve) => (timer = setTimeout(() => resolve("late"), STOP_MAX_MS)));
  assert.is(await Promise.race([actor.stop().then(() => "stopped"), late]), "stopped");
  clearTimeout(timer);
  assert.equal(world.stored, []);
});

const WAIT_MAX_MS = 10_000;

const until = async (isDone: () => boolean | Promise<boolean>) => {
  for (const endMs = performance.now() + WAIT_MAX_MS; !(await isDone()); await settle()) {
    if (performance.now() > endMs)
      throw new Error(`Cannot go on as it must come about in ${WAIT_MAX_MS} ms: ${isDone}`);
  }
};

/** Runs a source of these batches on a node with a real log, and notes what its reader is told. */
async function acknowledging(batches: readonly SourceBatch[], acknowledge: (calls: number) => Promise<void>) {
  const node = new SourceNode(1);
  const events: string[] = [];
  const definition: SourceDefinition<never> = {
    type: "test",
    optionsSchema: {},
    open: async () => ({
      async *read(signal) {
        yield* batches;
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
      },
      async acknowledge({ resume }) {
        const stored = await node.log.readMetadata("source/s");
        const after = (bytes: Uint8Array | undefined) => bytes && decodeTrustedEvents(bytes)[0];
        events.push(`${JSON.stringify(resume)} where ${JSON.stringify(after(stored?.value))} is stored`);
        await acknowledge(events.length);
      },
      close: async () => void events.push("closed"),
    }),
  };
  const life = await startLife(node, definition, {}, { acknowledgeWithinMs: 20 });
  return { node, events, life };
}

test("O5: batches are acknowledged in their order, each after its resume point is stored (source I4)", async () => {
  const { events, life } = await acknowledging([batch(1), batch(2)], async () => {});
  await until(() => events.length === 2);
  assert.equal(events, ['{"after":1} where {"after":1} is stored', '{"after":2} where {"after":2} is stored']);
  await life.stop();
});

test("O5: an acknowledgement that fails ends the life, and no later batch is acknowledged", async () => {
  const { events, life } = await acknowledging([batch(1), batch(2)], () =>
    Promise.reject(new Error("connection lost")),
  );
  await until(() => life.ends.length > 0);
  assert.equal([life.ends.map(String), events.length, events.at(-1)], [["Error: connection lost"], 2, "closed"]);
  await life.stop();
});

test("O5: an acknowledgement without an answer ends the life", async () => {
  const { life } = await acknowledging([batch(1)], () => new Promise(() => {}));
  await until(() => life.ends.length > 0);
  assert.match(String(life.ends[0]), /must be acknowledged in time/);
  await life.stop();
});

test("O6: an item that is read twice is stored once, by its position and by its message's id", async () => {
  for (const [definition, place] of [
    [positionSource, new PositionPlace()],
    [queueSource, new QueuePlace()],
  ] as const) {
    const node = new SourceNode();
    place.put([1, 2, 3].map((n) => ({ kind: "event", event: { n } })));
    for (let life = 0; life < 2; life += 1) {
      const points = new CrashPoints({ effect: "acked", when: "before", nth: 1 });
      const first = await startLife(node, definition as never, place, { points });
      await until(async () => (await node.stored()).length === 3);
      points.thaw();
      await first.stop();
    }
    assert.is((await node.stored()).length, 3);
  }
});

// named sender N3, remembered ids D2
test("a message whose id was stored comes once, though its first owner sends it minutes later to a chain without items", async () => {
  const node = new SourceNode();
  const place = new QueuePlace();
  place.put([{ kind: "event", event: { n: 1 } }]);
  const points = new CrashPoints({ effect: "send", when: "before", nth: 1 });
  const frozen = await startLife(node, queueSource as never, place, { points });
  await points.down;
  const messages = [...place.messages];
  place.messages.clear(); // the place does not hand it out again yet
  const lives = [];
  for (let life = 0; life < 2; life += 1) {
    // The second of these lives knows of the doubt from the store alone.
    lives.push(await startLife(node, queueSource as never, place, { keepEveryMs: 5 }));
    const opened = node.opens;
    await until(() => node.opens > opened + node.partitions);
    if (life === 0) await lives[0]?.stop();
  }
  await node.expireChains(61_000);
  const opened = node.opens;
  await until(() => node.opens > opened + 1);
  points.thaw();
  await until(() => frozen.ends.length > 0 || place.acknowledged.length > 0);
  for (const [id, item] of messages) place.messages.set(id, item);
  place.waiters.wake();
  await until(() => place.messages.size === 0);
  assert.is((await node.stored()).length, 1);
  await Promise.all([frozen, ...lives].map((life) => life.stop()));
});

test("O7: each event keeps the trace context of its own message", async () => {
  const node = new SourceNode(1);
  const place = new PositionPlace();
  const trace = (n: number) => `00-${String(n).repeat(32)}-${String(n).repeat(16)}-01`;
  const contexts = [trace(1), trace(1), undefined, trace(2)];
  place.put(
    contexts.map((traceparent, n) => ({
      ...{ kind: "event", event: { n } },
      ...(traceparent === undefined ? {} : { traceparent }),
    })),
  );
  const life = await startLife(node, positionSource as never, place);
  await until(async () => (await node.stored()).length === contexts.length);
  assert.equal(
    (await node.stored()).map(({ traceparent }) => traceparent),
    contexts,
  );
  await life.stop();
});

/** A source whose place can be read again, over a model of a node. Each `life` is one of the same actor. */
class ReadableAgain {
  readonly node = new ModelNode(2);
  readonly network = new MemoryNetwork((frame, bytes) => this.node.take(frame, bytes));
  readonly ends: unknown[] = [];
  readonly resumed: (SourcePosition | undefined)[] = [];
  readonly reports: string[] = [];
  isStoreAway = false;
  #places = 0;
  #metadata: Metadata | undefined;
  readonly #definition = sourceActor<object>({
    ...{ name: "source", stream: "readings", options: {}, trouble: () => {}, onRejected: () => {} },
    definition: { type: "test", optionsSchema: {}, open: async (_options, _context, resume) => this.#open(resume) },
    connect: this.network.connect,
    report: (_level, message) => this.reports.push(message),
    log: {
      readMetadata: async () => this.#metadata,
      writeMetadata: async (_key, value, version) => {
        if (this.isStoreAway) throw new Error("the store is away");
        if (version !== (this.#metadata?.version ?? 0)) return undefined;
        this.#metadata = { value, version: version + 1 };
        return version + 1;
      },
    },
  });

  #open(resume: SourcePosition | undefined) {
    this.resumed.push(resume);
    let at = ((resume as { readonly after: number } | undefined)?.after ?? 0) + 1;
    const more = () => at <= this.#places;
    return {
      async *read(signal: AbortSignal): AsyncIterable<SourceBatch> {
        while (!signal.aborted) {
          if (!more()) await settle();
          else {
            const event = { place: at, key: String(at % 5) };
            yield { items: [{ item: { kind: "event", event }, term: 1, position: at }], resume: { after: at++ } };
          }
        }
      },
      close: async () => {},
    };
  }

  put(count: number): void {
    this.#places += count;
  }

  get stored(): readonly number[] {
    const all = [0, 1].flatMap((partition) => this.node.log("readings", partition));
    return all.map(({ sequence }) => sequence[1]).sort((left, right) => left - right);
  }

  life() {
    return startActor<SourceMessage>({
      ...this.#definition,
      start: async (context) => {
        const actor: Actor<SourceMessage> = await this.#definition.start(context);
        const receive = (message: SourceMessage) => {
          try {
            return actor.receive(message);
          } catch (error) {
            this.ends.push(error);
          }
        };
        return { ...actor, receive };
      },
    });
  }
}

test("O8: events that the stream has lost are read again by the next life, and the others are stored once", async () => {
  const world = new ReadableAgain();
  const first = await world.life();
  world.put(40);
  await until(() => world.stored.length === 40);
  await turns();
  for (const partition of [0, 1]) world.node.loseTail("readings", partition, 6);
  world.put(10);
  await until(() => world.ends.length === 1);
  await first.stop();
  world.isStoreAway = true;
  const away = await world.life();
  await until(() => world.ends.length === 2);
  await away.stop();
  world.isStoreAway = false;
  const last = await world.life();
  await until(() => world.stored.length >= 50);
  await last.stop();
  assert.equal(
    world.stored,
    Array.from({ length: 50 }, (_, at) => at + 1),
  );
  assert.equal(world.node.lost, []);
  assert.match(String(world.ends[0]), /Cannot go on as readings\/[01] must hold what it acknowledged/);
  assert.match(String(world.ends[1]), /the store is away/);
  assert.equal(world.reports, ["the stream has lost events: the source resumes from before them"]);
  assert.ok(world.resumed.length === 2 && Number((world.resumed[1] as { after: number }).after) < 34);
});

test("O8: a stream that has lost everything is filled again from the beginning", async () => {
  const world = new ReadableAgain();
  const first = await world.life();
  world.put(20);
  await until(() => world.stored.length === 20);
  await turns();
  for (const partition of [0, 1]) world.node.loseTail("readings", partition, 20);
  world.put(5);
  await until(() => world.ends.length === 1);
  await first.stop();
  const last = await world.life();
  await until(() => world.stored.length >= 25);
  await last.stop();
  assert.equal(world.resumed, [undefined, undefined]);
  assert.is(world.stored.length, 25);
});

test.run();
