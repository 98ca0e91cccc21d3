/**
 * A load generator: one `Producer` in a process of its own, open loop. Events are due at their times whatever the
 * cluster does, and latency is counted from these times. Commands come over IPC (load_messages.ts); the process ends
 * with it.
 */
import WebSocket from "ws";
import { connectWebSocket, Producer } from "../../../protocols/mod.ts";
import { SUBPROTOCOL_MSGPACK } from "../../../protocols/wire/frames.ts";
import { workloadEvent } from "../../workload.ts";
import { monotonicMs } from "../monotonic.ts";
import type { FromLoad, LoadSettings, ToLoad } from "./load_messages.ts";

const TICK_MS = 2;
/** Most buffered events: about ten seconds of one generator's load. Further events are counted as held back. */
const BUFFER_EVENTS_MAX = 500_000;
const BUFFER_BYTES_MAX = 512 * 1_048_576;
const CLOSE_WITHIN_MS = 60_000;

/** Unacknowledged events of one partition: when they were due, and how many. */
interface Waiting {
  readonly dueMs: number[];
  readonly counts: number[];
}

const tell = (message: FromLoad): void => void process.send?.(message);

class Generator {
  readonly #settings: LoadSettings;
  readonly #producer: Producer;
  readonly #sent: number[];
  readonly #acked: number[];
  readonly #waiting: readonly Waiting[];
  #acks: number[][];
  #next = 0;
  #ackedEvents = 0;
  #perMs = 0;
  #dueSinceMs = 0;
  #owed = 0;
  #rejected = 0;
  #lost = 0;
  #heldBack = 0;
  #failure: string | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(settings: LoadSettings) {
    const { addresses, producerId, stream, partitions, lingerMs, forward } = settings;
    const of = <Value>(make: () => Value): Value[] => Array.from({ length: partitions }, make);
    this.#settings = settings;
    this.#sent = of(() => 0);
    this.#acked = of(() => 0);
    this.#waiting = of(() => ({ dueMs: [], counts: [] }));
    this.#acks = of(() => []);
    this.#producer = new Producer({
      ...{ addresses, producerId, stream, lingerMs, forward },
      connect: connectWebSocket({ subprotocol: SUBPROTOCOL_MSGPACK, webSocket: WebSocket as never }),
      bufferEventsMax: BUFFER_EVENTS_MAX,
      bufferBytesMax: BUFFER_BYTES_MAX,
      onAck: ({ partition, count }) => this.#onAck(partition, count),
      onRejected: () => {
        this.#rejected += 1;
      },
      onLost: () => {
        this.#lost += 1;
      },
    });
  }

  async open(): Promise<void> {
    const { stream, partitions } = this.#settings;
    await Promise.all(Array.from({ length: partitions }, (_, partition) => this.#producer.open(stream, partition)));
  }

  setRate(eventsPerSecond: number): void {
    this.#perMs = eventsPerSecond / 1_000;
    this.#dueSinceMs = monotonicMs();
    this.#owed = 0;
    clearTimeout(this.#timer);
    if (eventsPerSecond > 0) this.#tick();
  }

  #tick(): void {
    const nowMs = monotonicMs();
    const sinceMs = this.#dueSinceMs;
    this.#owed += (nowMs - sinceMs) * this.#perMs;
    this.#dueSinceMs = nowMs;
    const due = Math.floor(this.#owed);
    this.#owed -= due;
    if (this.#producer.pendingEvents + due > BUFFER_EVENTS_MAX) this.#heldBack += due;
    // All events of a tick count as due at its beginning, so that none is charged too little.
    else for (let count = 0; count < due; count += 1) this.#sendOne(sinceMs);
    this.#timer = setTimeout(() => this.#tick(), TICK_MS);
  }

  #sendOne(dueMs: number): void {
    const { client, partitions, eventsTogether } = this.#settings;
    const partition = Math.floor(this.#next++ / eventsTogether) % partitions;
    const n = this.#sent[partition] ?? 0;
    this.#sent[partition] = n + 1;
    const { dueMs: dues, counts } = this.#waiting[partition] as Waiting;
    if (dues.at(-1) === dueMs) counts[counts.length - 1] = (counts.at(-1) ?? 0) + 1;
    else {
      dues.push(dueMs);
      counts.push(1);
    }
    this.#producer.send(workloadEvent(client, n), { partition }).catch((error: Error) => {
      this.#failure ??= error.message;
    });
  }

  #onAck(partition: number, count: number): void {
    const { dueMs, counts } = this.#waiting[partition] as Waiting;
    const oldestMs = dueMs[0] ?? Number.NaN;
    let newestMs = oldestMs;
    let done = 0;
    for (let left = count; left > 0 && done < counts.length; ) {
      newestMs = dueMs[done] ?? newestMs;
      const here = counts[done] ?? 0;
      if (here > left) {
        counts[done] = here - left;
        break;
      }
      left -= here;
      done += 1;
    }
    dueMs.splice(0, done);
    counts.splice(0, done);
    this.#acked[partition] = (this.#acked[partition] ?? 0) + count;
    this.#ackedEvents += count;
    this.#acks[partition]?.push(monotonicMs(), oldestMs, newestMs);
  }

  take(): void {
    const partitions = this.#acks;
    this.#acks = partitions.map(() => []);
    tell({ type: "acks", partitions, ackedEvents: this.#ackedEvents, pendingEvents: this.#producer.pendingEvents });
  }

  async close(): Promise<void> {
    this.setRate(0);
    const { inDoubt } = await this.#producer.close({ timeoutMs: CLOSE_WITHIN_MS });
    const about = { sent: this.#sent, acked: this.#acked, rejected: this.#rejected, lost: this.#lost };
    const summary = { ...about, inDoubt: inDoubt.length, heldBack: this.#heldBack, failure: this.#failure };
    tell({ type: "closed", summary });
  }
}

let generator: Generator | undefined;
process.on("message", (message: ToLoad) => {
  switch (message.type) {
    case "start":
      generator = new Generator(message.settings);
      void generator.open().then(() => tell({ type: "ready" }));
      return;
    case "rate":
      generator?.setRate(message.eventsPerSecond);
      return;
    case "take":
      generator?.take();
      return;
    case "close":
      void generator?.close();
  }
});
process.on("disconnect", () => process.exit(0));
