/** Performs the effects of the session machine for one connection: a WebSocket, or a caller in this process. */
import { asHeadraceError, UnavailableError } from "../../../protocols/errors.ts";
import type { Machine } from "../../../protocols/machine.ts";
import { partitionId, partitionName } from "../../../protocols/position.ts";
import { CLOSE_CODES } from "../../../protocols/wire/closing.ts";
import type { ClientFrame } from "../../../protocols/wire/frames.ts";
import type { ActorDefinition } from "../../kernel/actor.ts";
import { type MachineContext, machineActor, type Shell } from "../../kernel/machine_actor.ts";
import type { SessionEnvironment, SessionInput, SessionPeer } from "../session.ts";
import { arrived, decodeArrived } from "./arrived_frame.ts";
import type { CreditGrant } from "./credit_pool.ts";
import type { RecordsGrant } from "./records_budget.ts";
import { stepSession } from "./session_machine.ts";
import type { About, SessionEffect, SessionMessage } from "./session_messages.ts";
import { createSession, type SessionState } from "./session_state.ts";
import { SubscriptionFeeds } from "./subscription_feeds.ts";

/** Bytes that wait to be decoded: some times as many as one turn of the event loop reads of a socket. */
const MAILBOX_BYTES_MAX = 524_288;

export interface SessionOptions {
  readonly name: string;
  readonly environment: SessionEnvironment;
  readonly peer: SessionPeer;
  readonly credit: CreditGrant;
  readonly records: RecordsGrant;
  /** Called once the connection is gone: the memory set aside for it can go to others. */
  readonly onDisconnected: () => void;
  /** Throws `RejectedError` for bytes that are no frame. */
  readonly decode: (data: Uint8Array | string) => ClientFrame;
}

export const sessionActor = (options: SessionOptions): ActorDefinition<SessionInput> =>
  machineActor<SessionState, SessionMessage, SessionEffect, SessionInput>({
    machine: "session",
    name: options.name,
    mailbox: { messagesMax: 1_024, weightBytesMax: MAILBOX_BYTES_MAX },
    life: (context) => new SessionShell(options, context),
  });

class SessionShell implements Shell<SessionState, SessionMessage, SessionEffect, SessionInput> {
  readonly machine: Machine<SessionState, SessionMessage, SessionEffect>;
  readonly first = [{ type: "connected" } as const];
  readonly #options: SessionOptions;
  readonly #context: MachineContext<SessionMessage>;
  readonly #feeds: SubscriptionFeeds;
  /** Listeners to partitions whose owner is about to change, by the partition's name. */
  readonly #watching = new Map<string, { stop(): void }>();
  readonly #traceDropped = (): void => this.#options.environment.count?.("traceparent_dropped");

  constructor(options: SessionOptions, context: MachineContext<SessionMessage>) {
    this.#options = options;
    this.#context = context;
    this.#feeds = new SubscriptionFeeds(options.environment.directory, context, options.peer.sendsJson === true);
    this.machine = { initial: createSession(options.environment, options.credit, options.records), step: stepSession };
    options.records.listen({
      onRoom: () => context.tell({ type: "records_room" }),
      onGiveWay: () => context.tell({ type: "give_way" }),
    });
  }

  take(input: SessionInput, step: (message: SessionMessage) => void): void {
    if (input.type === "data") {
      const frames = input.frames.map((frame) => decodeArrived(frame, this.#options.decode, this.#traceDropped));
      step({ type: "frames", frames });
      return;
    }
    step(input.type === "frame" ? arrived(input.frame, input.wireBytes, this.#traceDropped) : input);
    if (input.type === "disconnected") this.#options.onDisconnected();
  }

  /** Closes the connection with its actor: the client connects again. */
  stop(): void {
    this.#feeds.stop();
    for (const listener of this.#watching.values()) listener.stop();
    this.#options.peer.close(CLOSE_CODES.restarting, "restarting");
  }

  perform(effect: SessionEffect, context: MachineContext<SessionMessage>, state: SessionState): void | Promise<void> {
    const { environment, peer } = this.#options;
    switch (effect.type) {
      case "send":
        peer.send(effect.frame);
        return;
      case "send_records": {
        const { frame, room, read } = effect;
        const texts = peer.sendsJson === true && read !== undefined ? this.#feeds.textsOf(frame, read) : undefined;
        const wireBytes = peer.send(frame, () => context.tell({ type: "flushed_records", room }), texts);
        room.sent(wireBytes, context.nowMs());
        this.#feeds.fitting.sent(frame.batches, wireBytes);
        context.tell({ type: "sent_records", subscription: frame.subscription, wireBytes });
        return;
      }
      case "close":
        peer.close(effect.code, effect.reason);
        return;
      case "abandon":
        if (peer.abandon === undefined) peer.close(CLOSE_CODES.tryAgain, "records are not read");
        else peer.abandon();
        return;
      case "wait":
        context.after(effect.delayMs, effect.message);
        return;
      case "authenticate":
        return environment
          .authenticate(effect.token)
          .then((permissions) => context.tell({ type: "authenticated", permissions }));
      case "welcome_producer": {
        const { producerId = "", instance = "", producerEpoch } = effect.hello;
        return environment
          .welcomeProducer(producerId, instance, producerEpoch, context.nowMs(), effect.owner)
          .then((outcome) => context.tell({ type: "welcomed", outcome }));
      }
      case "meter": {
        const waitMs = effect.quota.take(effect.events, effect.sizeBytes);
        if (waitMs > 0) peer.hold?.(waitMs);
        return;
      }
      case "charge":
        peer.charge?.(effect.cost);
        return;
      case "flush_soon":
        queueMicrotask(() => context.tell({ type: "flush" }));
        return;
      case "append":
        this.#append(effect);
        return;
      case "open_chain":
      case "declare_lost":
        this.#callChain(effect);
        return;
      case "watch_owner":
        this.#watchOwner(effect.stream, effect.partition);
        return;
      case "unwatch_owner":
        this.#watching.get(partitionName(effect))?.stop();
        this.#watching.delete(partitionName(effect));
        return;
      case "listen":
        this.#feeds.listen(effect.subscription, state);
        return;
      case "unlisten":
        this.#feeds.unlisten(effect.subscription);
        return;
      case "read":
        this.#feeds.read(effect.subscription, effect.read);
        return;
    }
  }

  onEffectFailed(effect: SessionEffect, error: unknown): SessionMessage | undefined {
    if (effect.type !== "authenticate" && effect.type !== "welcome_producer") return undefined;
    const action = effect.type === "authenticate" ? "authenticate" : "welcome a producer";
    return { type: "welcome_failed", error: asHeadraceError(error, `Cannot ${action} as the log must answer`) };
  }

  #append({ stream, partition, items }: Extract<SessionEffect, { type: "append" }>): void {
    const owner = this.#options.environment.directory.partition(stream, partition)?.reference;
    const weightBytes = items.reduce((sum, item) => sum + item.batch.events.byteLength, 0);
    if (owner === undefined) this.#refuse({ stream, partition }, items);
    // Not awaited: the mailbox keeps the order, and this connection's credit bounds the bytes that wait in it (N4).
    else void owner.send({ type: "append", items, replyTo: this.#context.self }, weightBytes);
  }

  #callChain(effect: Extract<SessionEffect, { type: "open_chain" | "declare_lost" }>): void {
    const { frame, producerId, owner, requestId } = effect;
    const { producerEpoch } = frame;
    const reference = this.#options.environment.directory.partition(frame.stream, frame.partition)?.reference;
    if (reference === undefined) {
      this.#refuse(frame, [effect]);
      return;
    }
    const of = owner === undefined ? { producerId, producerEpoch } : { producerId, producerEpoch, owner };
    const about = { requestId, ...of, replyTo: this.#context.self };
    // In the data lane, so that it stays behind the appends sent before it.
    void reference.send(
      effect.type === "open_chain"
        ? { type: "open_chain", ...about }
        : { type: "declare_lost", ...about, from: effect.frame.from ?? undefined, to: effect.frame.to },
      0,
    );
  }

  /** N2: answers in place of a partition without an owner: a node knows its streams before their partitions' owners. */
  #refuse({ stream, partition }: About, requests: readonly { readonly requestId: number }[]): void {
    const error = new UnavailableError(
      "NOT_READY",
      `Cannot reach ${partitionName({ stream, partition })} as its owner must be known here: it is being started, or given to a node`,
    );
    const answers = requests.map(({ requestId }) => ({ kind: "refused", requestId, error }) as const);
    this.#context.tell({ type: "partition_reply", partition: { stream, partition: partitionId(partition) }, answers });
  }

  #watchOwner(stream: string, partition: number): void {
    const changed = () => this.#context.tell({ type: "owner_changed", stream, partition });
    const listener = this.#options.environment.directory.partition(stream, partition)?.onChange(changed);
    if (listener !== undefined) this.#watching.set(partitionName({ stream, partition }), listener);
    changed(); // the owner may have changed since the machine looked
  }
}
