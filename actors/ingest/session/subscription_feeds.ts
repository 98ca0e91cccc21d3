/**
 * The shell's part for subscriptions of one connection: listens to their partitions, and reads them for the session machine.
 * Decides only how much of a read fits its room.
 */
import { encodeJsonBatch } from "../../../protocols/wire/codec_json.ts";
import type { RecordsFrame } from "../../../protocols/wire/frames.ts";
import type { MachineContext } from "../../kernel/machine_actor.ts";
import { DecodedBatch } from "../../log/decoded_batch.ts";
import type { PartitionView, ReadAs } from "../../partition/partition_feed.ts";
import type { SessionEnvironment } from "../session.ts";
import { RecordsFitting } from "./records_fitting.ts";
import type { ReadBatches, SessionMessage } from "./session_messages.ts";
import { addressElsewhere, type SessionState } from "./session_state.ts";
import { beginning, type Subscription, type SubscriptionRead, wireBatch } from "./subscription_machine.ts";

/** Milliseconds until a read that the log could not answer is tried again. */
const READ_RETRY_MS = 250;

export class SubscriptionFeeds {
  readonly #directory: SessionEnvironment["directory"];
  readonly #context: MachineContext<SessionMessage>;
  readonly #readAs: ReadAs;
  readonly #listening = new Map<number, { stop(): void }[]>();
  /** Cuts each read to its room at once: otherwise whole batches would wait in memory to be sent. */
  readonly fitting = new RecordsFitting();

  /** @param sendsJson the connection sends records as JSON text */
  constructor(directory: SessionEnvironment["directory"], context: MachineContext<SessionMessage>, sendsJson: boolean) {
    this.#directory = directory;
    this.#context = context;
    this.#readAs = sendsJson ? "text" : "bytes";
  }

  stop(): void {
    for (const id of [...this.#listening.keys()]) this.unlisten(id);
  }

  listen(subscription: Subscription, state: SessionState): void {
    const stops: { stop(): void }[] = [];
    for (const partition of subscription.partitions.keys()) {
      const entry = this.#directory.partition(subscription.stream, partition);
      if (entry === undefined) continue;
      let feedListener: { stop(): void } | undefined;
      const about = { subscription: subscription.id, partition };
      const notify = () => this.#context.tell({ type: "advanced", ...about });
      const follow = () => {
        feedListener?.stop();
        const address = addressElsewhere(state, { stream: subscription.stream, partition });
        if (address !== undefined) {
          this.#context.tell({ type: "owned_elsewhere", ...about, address });
          return;
        }
        if (entry.nextAddress !== undefined) this.#context.tell({ type: "moves_soon", ...about });
        feedListener = entry.view?.onAdvance(subscription.channel, notify, this.#readAs);
        notify();
      };
      stops.push(entry.onChange(follow), { stop: () => feedListener?.stop() });
      follow();
    }
    this.#listening.set(subscription.id, stops);
  }

  unlisten(id: number): void {
    for (const listener of this.#listening.get(id) ?? []) listener.stop();
    this.#listening.delete(id);
  }

  read(subscription: Subscription, read: SubscriptionRead): void {
    const { partition, room } = read;
    const view = this.#directory.partition(subscription.stream, partition)?.view;
    const about = { subscription: subscription.id, partition, room };
    if (view === undefined) {
      this.#context.tell({ type: "read_failed", ...about, isRetriable: false });
      return;
    }
    this.#readFrom(view, subscription, read).then(
      (message) => this.#context.tell(message),
      // Tried again after a while: perhaps no new record comes to prompt the read.
      () => this.#context.after(READ_RETRY_MS, { type: "read_failed", ...about, isRetriable: true }),
    );
  }

  /** The batches of a frame as JSON text, made once for all connections that read them from the same tail cache. */
  textsOf(frame: RecordsFrame, { channel, batches }: ReadBatches): readonly Uint8Array[] {
    const view = this.#directory.partition(frame.stream, frame.partition)?.view;
    return batches.map((batch) => view?.text(channel, batch, jsonText) ?? jsonText(new DecodedBatch(batch)));
  }

  async #readFrom(view: PartitionView, subscription: Subscription, read: SubscriptionRead): Promise<SessionMessage> {
    const { channel } = subscription;
    const about = { subscription: subscription.id, partition: read.partition, room: read.room };
    await view.ready();
    if (read.kind === "after") {
      const brought = await view.read(channel, read.after, read.bytesMax, true);
      const fitted = this.fitting.fit(brought, read.after, read.room);
      if (fitted.kind === "crowded") return { type: "read_crowded", ...about, leastBytes: fitted.leastBytes };
      return { type: "read", ...about, ...fitted, bounds: view.bounds(channel) };
    }
    const { from } = read;
    const at =
      typeof from === "object" && "timeMs" in from
        ? await view.seek(channel, from.timeMs)
        : beginning(from, view.bounds(channel));
    const { firstOffset } = view.bounds(channel);
    return { type: "began", ...about, at, firstOffset, endOffset: view.committedOffset(channel) };
  }
}

function jsonText({ stored, all }: DecodedBatch): Uint8Array {
  const { events: _, ...about } = wireBatch(stored);
  return encodeJsonBatch(about, all);
}
