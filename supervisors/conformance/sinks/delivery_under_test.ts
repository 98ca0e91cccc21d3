/** Runs a sink behind a real delivery, over a partition in memory, with faults at the places that the test names. */
import { CountedClient } from "../../../actors/sinks/delivery/counted_client.ts";
import { type DeliveryOptions, deliveryActor } from "../../../actors/sinks/delivery/delivery_actor.ts";
import { deliveryLimits } from "../../../actors/sinks/delivery/delivery_limits.ts";
import type {
  DeliveryItem,
  DeliveryMessage,
  DeliveryReport,
} from "../../../actors/sinks/delivery/delivery_messages.ts";
import type { SinkCall, SinkClient, SinkWriter } from "../../../actors/sinks/sink.ts";
import { offset, type Position } from "../../../protocols/position.ts";
import { decodeTrustedEvents, encodeEvents } from "../../../protocols/values/event_codec.ts";
import { startActor } from "../parts/fake_actor.ts";
import type { FakePartition } from "../parts/fake_feed.ts";
import type { OpenTarget, SinkUnderTest } from "./sink_harness.ts";

const codec = {
  encode: (events: readonly unknown[]) => encodeEvents(events, { asRecords: false }),
  decode: (bytes: Uint8Array) => decodeTrustedEvents(bytes),
};

export type Operation = "open" | "position" | "write" | "flush" | "store the position";

/** Fails the `number`th call of an operation, before its effect or after it. */
export interface SinkFault {
  readonly operation: Operation;
  readonly isAfter: boolean;
  readonly number: number;
  /** The call does not fail before it is told to end. */
  readonly untilGivenUp?: boolean;
  onFault?(): void;
}

/** Counts the calls of each operation, over all owners. */
export class Faults {
  readonly #fault: SinkFault | undefined;
  readonly #calls = new Map<Operation, number>();
  hasStruck = false;

  constructor(fault?: SinkFault) {
    this.#fault = fault;
  }

  async around<Value>(operation: Operation, perform: () => Promise<Value>, call?: SinkCall): Promise<Value> {
    const number = (this.#calls.get(operation) ?? 0) + 1;
    this.#calls.set(operation, number);
    const fault = this.#fault;
    if (fault?.operation !== operation || fault.number !== number) return perform();
    if (fault.isAfter) await perform();
    this.hasStruck = true;
    fault.onFault?.();
    if (fault.untilGivenUp === true && call !== undefined)
      await new Promise<void>((resolve) => call.signal.addEventListener("abort", () => resolve(), { once: true }));
    throw new Error(`the answer of ${operation} is lost`);
  }
}

export function faultySink(sink: SinkUnderTest, faults: Faults): SinkUnderTest {
  return {
    ...sink,
    async open(options, context, call) {
      let opened: SinkWriter | undefined;
      const open = async () => {
        opened = await sink.open(options, context, call);
        return opened;
      };
      try {
        return faultyWriter(await faults.around("open", open, call), faults);
      } catch (error) {
        await opened?.close(); // nobody else knows of it
        throw error;
      }
    },
  };
}

function faultyWriter(writer: SinkWriter, faults: Faults): SinkWriter {
  const { rewind, flush, finish } = writer;
  return {
    position: (call) => faults.around("position", () => writer.position(call), call),
    write: (batch, call) => faults.around("write", () => writer.write(batch, call), call),
    close: (call) => writer.close(call),
    ...(rewind === undefined ? {} : { rewind: rewind.bind(writer) }),
    ...(flush === undefined ? {} : { flush: (call) => faults.around("flush", () => flush.call(writer, call), call) }),
    ...(finish === undefined ? {} : { finish: finish.bind(writer) }),
  };
}

export interface DeliverySettings {
  readonly as?: string;
  readonly faults?: Faults;
  readonly recordsMax?: number;
  readonly operationTimeoutMs?: number;
  prepare?: DeliveryOptions<never, never>["prepare"];
}

/** Begins the delivery of an owner. The epoch of `owner` fences the owners before it. */
export async function beginDelivery(
  target: OpenTarget,
  partition: FakePartition,
  owner: number,
  { as, faults = new Faults(), recordsMax, operationTimeoutMs = 20_000, prepare }: DeliverySettings = {},
) {
  const reports: DeliveryReport[] = [];
  const sink = faultySink(target.sink, faults);
  const clients =
    target.sink.connect === undefined
      ? undefined
      : new CountedClient<SinkClient | undefined>(
          async () => sink.connect?.(target.options as never, CLIENT_CONTEXT),
          () => {},
        );
  const feed = partition.feed(owner);
  const { writeCheckpoint } = feed;
  const batch = recordsMax === undefined ? {} : { recordsMax };
  const actor = await startActor<DeliveryMessage>(
    deliveryActor<never, SinkClient | undefined>({
      name: "out",
      ...(as === undefined ? {} : { as }),
      sink,
      clients,
      sinkOptions: target.options as never,
      folder: "/",
      clusterId: "log-1",
      feed: {
        ...feed,
        writeCheckpoint: (name, value) =>
          name === checkpointOf(as)
            ? faults.around("store the position", () => writeCheckpoint(name, value))
            : writeCheckpoint(name, value),
      },
      input: "records",
      start: "earliest",
      limits: { ...deliveryLimits(target.sink, target.options as never, batch), stopTimeoutMs: 200 },
      eventBytes: codec,
      prepare: prepare ?? prepareStored,
      operationTimeoutMs,
      readBytesMax: 1_000_000,
      connect: target.connect ?? (() => Promise.reject(new Error("no node to connect to"))),
      observe: (report) => reports.push(report),
      log: () => {},
    }),
  );
  const standsAt = (place: number) =>
    reports.some((one) => one.kind === "delivered" && one.batch.end.offset === offset(place));
  return {
    actor,
    reports,
    standsAt,
    until: (place: number) => actor.until(() => standsAt(place)),
    async end() {
      await actor.stop();
      await clients?.closed();
    },
  };
}

const CLIENT_CONTEXT = { folder: "/", name: "out", nowMs: () => 0, log: () => {} };

/** The checkpoint of a delivery to the sink `out`, in the log. */
export const checkpointOf = (as?: string): string => (as === undefined ? "sink/out" : `sink/out@${as}`);
export const CHECKPOINT = checkpointOf();

/** Each stored event is one output. */
const prepareStored: DeliveryOptions<never, never>["prepare"] = async (batch, after) => {
  const items: DeliveryItem[] = [];
  for (const [row, event] of batch.events.entries()) {
    const position = batch.positions[row] as Position;
    if (after !== undefined && position.offset <= after.offset) continue;
    items.push({ position, outputs: [{ position, index: 0, event, timeMs: 0 }], sizeBytes: 100, appendedAtMs: 0 });
  }
  return items;
};

interface Letter {
  readonly reason: string;
  readonly source: { readonly offset: number };
}

/** The reasons in the sink's dead letters, by offset. */
export const lettersOf = (partition: FakePartition): ReadonlyMap<number, string> =>
  new Map(
    (partition.events("dead_letters/out") as unknown as Letter[]).map(({ reason, source }) => [source.offset, reason]),
  );
