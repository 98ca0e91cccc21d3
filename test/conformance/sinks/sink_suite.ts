/**
 * Checks every kind of sink behind a real delivery. Each record is in the target exactly as the target's format can
 * express it, or is a dead letter with a reason. The records behind it arrive, and no record is tried without end.
 */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { CountedClient } from "../../../actors/sinks/delivery/counted_client.ts";
import { deliveryActor } from "../../../actors/sinks/delivery/delivery_actor.ts";
import {
  DELIVERY_LIMITS,
  type DeliveryItem,
  type DeliveryMessage,
  type DeliveryReport,
} from "../../../actors/sinks/delivery/delivery_messages.ts";
import type { AnySink } from "../../../actors/sinks/registry.ts";
import type { Connect } from "../../../protocols/connection.ts";
import { offset, position } from "../../../protocols/position.ts";
import { decodeTrustedEvents, encodeEvents } from "../../../protocols/values/event_codec.ts";
import { startActor } from "../../support/fakes/fake_actor.ts";
import { FakePartition } from "../../support/fakes/fake_feed.ts";
import { ODD_EVENTS, type OddEvent } from "./odd_events.ts";

export interface OpenTarget {
  readonly sink: AnySink;
  readonly options: unknown;
  readonly connect?: Connect;
  /** The records that the target holds, in order. */
  held(partition: FakePartition): Promise<readonly unknown[]>;
  close(): Promise<void>;
}

export interface SinkHarness {
  readonly name: string;
  open(): Promise<OpenTarget>;
  /** The form in which the target must hold the event. Undefined where the record must be set aside. */
  expected(odd: OddEvent): unknown;
}

interface Letter {
  readonly reason: string;
  readonly source: { readonly offset: number };
}

/** Most retries: those of a record before it is set aside, and some that the first opening may need. */
const RETRIES_MAX = 10;

const codec = {
  encode: (events: readonly unknown[]) => encodeEvents(events, { asRecords: false }),
  decode: (bytes: Uint8Array) => decodeTrustedEvents(bytes),
};

/** Delivers the events, each between two plain ones, as outputs of the records 0, 1, 2 ... */
async function deliver(target: OpenTarget, odd: readonly OddEvent[]) {
  const partition = new FakePartition(codec);
  const outputs = odd.flatMap((one) => [one, PLAIN]);
  partition.store(
    "records",
    1,
    outputs.map((_one, at) => ({ at })),
  );
  const items = outputs.map(({ event, traceparent }, at): DeliveryItem => {
    const record = { position: position(1, at), index: 0, event, timeMs: 0 };
    const output = traceparent === undefined ? record : { ...record, traceparent };
    return { position: position(1, at), outputs: [output], sizeBytes: 100, appendedAtMs: 0 };
  });
  const reports: DeliveryReport[] = [];
  const actor = await startActor<DeliveryMessage>(
    deliveryActor({
      name: "out",
      sink: target.sink,
      sinkOptions: target.options as never,
      clients: target.sink.connect === undefined ? undefined : clientsOf(target),
      folder: "/",
      clusterId: "log-1",
      feed: partition.feed(1),
      input: "records",
      start: "earliest",
      limits: { ...DELIVERY_LIMITS, recordsPerRequest: target.sink.recordsPerRequest?.(target.options as never) },
      eventBytes: codec,
      prepare: async (_batch, after) => items.slice(after === undefined ? 0 : after.offset + 1),
      operationTimeoutMs: 20_000,
      readBytesMax: 1_000_000,
      connect: target.connect ?? (() => Promise.reject(new Error("no node to connect to"))),
      observe: (report) => reports.push(report),
      log: () => {},
    }),
  );
  const last = offset(items.length - 1);
  await actor.until(() => reports.some((one) => one.kind === "delivered" && one.batch.end.offset === last));
  const held = await target.held(partition);
  await actor.stop();
  const letters = new Map(
    (partition.events("dead_letters/out") as unknown as Letter[]).map(({ reason, source }) => [source.offset, reason]),
  );
  return { held, letters, retries: reports.filter(({ kind }) => kind === "retry").length };
}

/** The client of the target's sink, as a node would make it. */
export const clientsOf = ({ sink, options }: OpenTarget) =>
  new CountedClient(
    async () => sink.connect?.(options as never, { folder: "/", name: "out", nowMs: () => 0, log: () => {} }),
    () => {},
  );

const PLAIN: OddEvent = {
  name: "a plain event",
  event: { odd: "plain" },
  json: '{"odd":"plain"}',
  csv: "plain",
  stream: { odd: "plain" },
};

export function sinkSuite(harness: SinkHarness): void {
  // sink S5 and S8: a record is in the target or in the dead letters, never in both.
  test(`${harness.name}: every event is held as its format can express it or set aside, and those behind it arrive`, async () => {
    const target = await harness.open();
    try {
      const { held, letters, retries } = await deliver(target, ODD_EVENTS);
      const expected = ODD_EVENTS.flatMap((odd) => [odd, PLAIN]).map(
        (odd) => [odd.name, harness.expected(odd)] as const,
      );
      for (const [at, [name, value]] of expected.entries()) {
        assert.is(letters.has(at), value === undefined, `${name} is ${value === undefined ? "" : "not "}set aside`);
        if (value === undefined) assert.ok((letters.get(at) ?? "").length > 5, `${name} has a reason`);
      }
      const wanted = expected.flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const]));
      for (const [at, [name, value]] of wanted.entries()) assert.equal(held[at], value, name);
      assert.is(held.length, wanted.length);
      assert.ok(retries <= RETRIES_MAX, `${retries} retries`);
    } finally {
      await target.close();
    }
  });
}
