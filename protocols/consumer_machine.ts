/**
 * Decides what a consumer asks for: subscriptions, where each resumes after a break, and how much credit the node gets.
 * Leaves decoding and the application's pace to `consumer.ts`.
 *
 *   R1. A partition resumes after the last record received, told by its position, so that a changed log is noticed (E9).
 *   R2. Each attempt at a subscription has a number of its own; frames of an earlier one are ignored.
 *   R3. Credit given and not yet used, and bytes received and not yet consumed, together never exceed the window (E19).
 *   R4. Truncation and trimming are told to the application before any record after them.
 */
import { backoffMs } from "./clock.ts";
import { errorFromCode, type HeadraceError, RejectedError } from "./errors.ts";
import type {
  ClientFrame,
  ErrorFrame,
  NodeFrame,
  RecordsFrame,
  SubscribeFrame,
  SubscribeFrom,
  WelcomeFrame,
} from "./frames.ts";
import type { Step } from "./machine.ts";

export const CONSUMER_LIMITS = {
  reconnectFirstMs: 50,
  reconnectMaxMs: 5_000,
  retryFirstMs: 100,
  retryMaxMs: 5_000,
  /** After so long without a frame the consumer says something, so that a dead connection is noticed. */
  silenceMs: 30_000,
} as const;

export interface SubscriptionRequest {
  /** The shell's name for it. */
  readonly id: number;
  readonly stream: string;
  readonly channel: "records" | "rejected";
  /** Empty for all partitions of the stream. */
  readonly partitions: readonly { readonly partition: number; readonly from: SubscribeFrom }[];
  /** For partitions that are not listed. */
  readonly from: SubscribeFrom;
  readonly windowBytes: number;
}

interface Subscription {
  readonly request: SubscriptionRequest;
  /** Where each partition goes on; filled once the partitions are known. */
  readonly cursors: Map<number, SubscribeFrom>;
  /** Its number on this connection; undefined while it is not subscribed. */
  wireId: number | undefined;
  /** Received, and not yet consumed by the application. */
  heldBytes: number;
  /** Consumed, and not yet given back as credit. */
  freedBytes: number;
  tries: number;
}

export interface ConsumerState {
  phase: "offline" | "connecting" | "greeting" | "online" | "stopped";
  readonly client: string;
  readonly token: string | undefined;
  readonly subscriptions: Map<number, Subscription>;
  nextWireId: number;
  tries: number;
  lastFrameAtMs: number;
  partitionCounts: ReadonlyMap<string, number>;
}

export type ConsumerMessage =
  | { readonly kind: "start" }
  | { readonly kind: "subscribe"; readonly request: SubscriptionRequest }
  | { readonly kind: "unsubscribe"; readonly id: number }
  | { readonly kind: "consumed"; readonly id: number; readonly sizeBytes: number }
  | { readonly kind: "connected" }
  | { readonly kind: "disconnected"; readonly error: Error | undefined }
  | { readonly kind: "frame"; readonly frame: NodeFrame; readonly wireBytes: number }
  | { readonly kind: "timer"; readonly timer: string }
  | { readonly kind: "stop" };

export type ConsumerEffect =
  | { readonly kind: "connect" }
  | { readonly kind: "disconnect" }
  | { readonly kind: "send"; readonly frame: ClientFrame }
  | { readonly kind: "set_timer"; readonly timer: string; readonly delayMs: number }
  /** Records from `fromOffset` on are new; earlier ones of the first batch were asked for by nobody. */
  | {
      readonly kind: "records";
      readonly id: number;
      readonly frame: RecordsFrame;
      readonly fromOffset: number;
      readonly sizeBytes: number;
    }
  | {
      readonly kind: "trimmed";
      readonly id: number;
      readonly stream: string;
      readonly partition: number;
      readonly firstOffset: number;
    }
  | {
      readonly kind: "truncated";
      readonly id: number;
      readonly stream: string;
      readonly partition: number;
      readonly divergence: number;
    }
  | { readonly kind: "ended"; readonly id: number; readonly error: HeadraceError | undefined }
  | { readonly kind: "stopped"; readonly error: HeadraceError | undefined };

export function initialConsumer(identity: {
  readonly client: string;
  readonly token: string | undefined;
}): ConsumerState {
  return {
    phase: "offline",
    client: identity.client,
    token: identity.token,
    subscriptions: new Map(),
    nextWireId: 1,
    tries: 0,
    lastFrameAtMs: 0,
    partitionCounts: new Map(),
  };
}

export const stepConsumer: Step<ConsumerState, ConsumerMessage, ConsumerEffect> = (state, message, nowMs) => {
  const effects: ConsumerEffect[] = [];
  if (state.phase === "stopped") return [state, effects];
  switch (message.kind) {
    case "start":
      state.phase = "connecting";
      effects.push({ kind: "connect" });
      break;
    case "subscribe": {
      const cursors = new Map(message.request.partitions.map(({ partition, from }) => [partition, from]));
      const subscription = {
        request: message.request,
        cursors,
        wireId: undefined,
        heldBytes: 0,
        freedBytes: 0,
        tries: 0,
      };
      state.subscriptions.set(message.request.id, subscription);
      subscribe(state, subscription, effects);
      break;
    }
    case "unsubscribe":
      unsubscribe(state, message.id, effects);
      break;
    case "consumed":
      consume(state, message.id, message.sizeBytes, effects);
      break;
    case "connected":
      greet(state, nowMs, effects);
      break;
    case "disconnected":
      if (message.error instanceof RejectedError) stop(state, message.error, effects);
      else disconnect(state, 0, effects);
      break;
    case "frame":
      state.lastFrameAtMs = nowMs;
      takeFrame(state, message.frame, message.wireBytes, effects);
      break;
    case "timer":
      takeTimer(state, message.timer, nowMs, effects);
      break;
    case "stop":
      stop(state, undefined, effects);
      break;
  }
  return [state, effects];
};

function greet(state: ConsumerState, nowMs: number, effects: ConsumerEffect[]): void {
  if (state.phase !== "connecting") {
    effects.push({ kind: "disconnect" }); // It closed before it was told to be open.
    return;
  }
  state.phase = "greeting";
  state.lastFrameAtMs = nowMs;
  const { client, token } = state;
  effects.push({ kind: "send", frame: { type: "hello", client, minor: 0, ...(token === undefined ? {} : { token }) } });
  effects.push({ kind: "set_timer", timer: "silence", delayMs: CONSUMER_LIMITS.silenceMs });
}

/** R1, R2, R3. */
function subscribe(state: ConsumerState, subscription: Subscription, effects: ConsumerEffect[]): void {
  if (state.phase !== "online") return;
  const { request, cursors } = subscription;
  const count = state.partitionCounts.get(request.stream);
  if (count === undefined) {
    end(
      state,
      subscription,
      new RejectedError(
        "UNKNOWN_STREAM",
        `Cannot subscribe as the node must know the stream: current value is ${request.stream}`,
      ),
      effects,
    );
    return;
  }
  if (request.partitions.length === 0) {
    for (let partition = 0; partition < count; partition++)
      if (!cursors.has(partition)) cursors.set(partition, request.from);
  }
  subscription.wireId = state.nextWireId++;
  subscription.freedBytes = 0;
  const frame: SubscribeFrame = {
    type: "subscribe",
    subscription: subscription.wireId,
    stream: request.stream,
    ...(request.channel === "records" ? {} : { channel: request.channel }),
    partitions: [...cursors].map(([partition, from]) => ({ partition, from })),
    creditBytes: Math.max(0, request.windowBytes - subscription.heldBytes),
  };
  effects.push({ kind: "send", frame });
}

function unsubscribe(state: ConsumerState, id: number, effects: ConsumerEffect[]): void {
  const subscription = state.subscriptions.get(id);
  if (subscription === undefined) return;
  if (subscription.wireId !== undefined && state.phase === "online") {
    effects.push({ kind: "send", frame: { type: "unsubscribe", subscription: subscription.wireId } });
  }
  end(state, subscription, undefined, effects);
}

function end(
  state: ConsumerState,
  { request }: Subscription,
  error: HeadraceError | undefined,
  effects: ConsumerEffect[],
): void {
  state.subscriptions.delete(request.id);
  effects.push({ kind: "ended", id: request.id, error });
}

/** R3. Gives credit back in parts of the window, so that it does not cost a frame for each one received. */
function consume(state: ConsumerState, id: number, sizeBytes: number, effects: ConsumerEffect[]): void {
  const subscription = state.subscriptions.get(id);
  if (subscription === undefined) return;
  subscription.heldBytes = Math.max(0, subscription.heldBytes - sizeBytes);
  subscription.freedBytes += sizeBytes;
  const share = subscription.heldBytes === 0 ? 16 : 4;
  const isWorthIt = subscription.freedBytes * share >= subscription.request.windowBytes;
  if (!isWorthIt || subscription.wireId === undefined || state.phase !== "online" || subscription.freedBytes === 0)
    return;
  effects.push({
    kind: "send",
    frame: { type: "credit", subscription: subscription.wireId, creditBytes: subscription.freedBytes },
  });
  subscription.freedBytes = 0;
}

function byWireId(state: ConsumerState, wireId: number | undefined): Subscription | undefined {
  for (const subscription of state.subscriptions.values()) {
    if (wireId !== undefined && subscription.wireId === wireId) return subscription;
  }
  return undefined;
}

function takeFrame(state: ConsumerState, frame: NodeFrame, wireBytes: number, effects: ConsumerEffect[]): void {
  switch (frame.type) {
    case "welcome":
      takeWelcome(state, frame, effects);
      break;
    case "records":
      takeRecords(byWireId(state, frame.subscription), frame, wireBytes, effects);
      break;
    case "trimmed":
    case "truncated":
      takeBreak(byWireId(state, frame.subscription), frame, effects);
      break;
    case "moved":
      for (const subscription of state.subscriptions.values()) {
        const isConcerned = subscription.request.stream === frame.stream && subscription.cursors.has(frame.partition);
        if (!isConcerned || subscription.wireId === undefined) continue;
        effects.push({ kind: "send", frame: { type: "unsubscribe", subscription: subscription.wireId } });
        subscribe(state, subscription, effects);
      }
      break;
    case "error":
      takeError(state, frame, effects);
      break;
    case "opened":
    case "ack":
    case "gap":
    case "credit":
      break; // A producer's; tolerated.
  }
}

function takeWelcome(state: ConsumerState, frame: WelcomeFrame, effects: ConsumerEffect[]): void {
  if (state.phase !== "greeting") return;
  state.phase = "online";
  state.tries = 0;
  state.partitionCounts = new Map(
    Object.entries(frame.streams).map(([stream, { partitions }]) => [stream, partitions]),
  );
  for (const subscription of [...state.subscriptions.values()]) subscribe(state, subscription, effects);
}

function takeRecords(
  subscription: Subscription | undefined,
  frame: RecordsFrame,
  wireBytes: number,
  effects: ConsumerEffect[],
): void {
  const cursor = subscription?.cursors.get(frame.partition);
  if (subscription === undefined || cursor === undefined) return;
  subscription.tries = 0;
  const last = frame.batches.at(-1);
  if (last === undefined) {
    // The node's word on where `latest` is: a break before the first record skips nothing.
    if (cursor === "latest") subscription.cursors.set(frame.partition, { offset: frame.endOffset });
    subscription.freedBytes += wireBytes;
    return;
  }
  const { id } = subscription.request;
  subscription.heldBytes += wireBytes;
  effects.push({ kind: "records", id, frame, fromOffset: firstWanted(cursor), sizeBytes: wireBytes });
  const end = last.firstOffset + last.count - 1;
  subscription.cursors.set(frame.partition, { epoch: last.epoch, offset: end });
}

function firstWanted(cursor: SubscribeFrom): number {
  if (typeof cursor === "string" || "timeMs" in cursor) return 0;
  return "epoch" in cursor ? cursor.offset + 1 : cursor.offset;
}

/** R4. */
function takeBreak(
  subscription: Subscription | undefined,
  frame: Extract<NodeFrame, { type: "trimmed" | "truncated" }>,
  effects: ConsumerEffect[],
): void {
  if (subscription === undefined) return;
  const { id } = subscription.request;
  const { stream, partition } = frame;
  if (frame.type === "trimmed") {
    const { firstOffset } = frame;
    subscription.cursors.set(partition, { offset: firstOffset });
    effects.push({ kind: "trimmed", id, stream, partition, firstOffset });
  } else {
    const { divergence } = frame;
    subscription.cursors.set(partition, { offset: divergence });
    effects.push({ kind: "truncated", id, stream, partition, divergence });
  }
}

function takeError(state: ConsumerState, frame: ErrorFrame, effects: ConsumerEffect[]): void {
  const error = errorFromCode(frame.code, frame.message, frame.retryAfterMs);
  if (frame.subscription === undefined) {
    if (error instanceof RejectedError) stop(state, error, effects);
    else {
      effects.push({ kind: "disconnect" });
      disconnect(state, frame.retryAfterMs ?? 0, effects);
    }
    return;
  }
  const subscription = byWireId(state, frame.subscription);
  if (subscription === undefined) return;
  subscription.wireId = undefined;
  if (error instanceof RejectedError) {
    end(state, subscription, error, effects);
    return;
  }
  const delayMs = Math.max(
    frame.retryAfterMs ?? 0,
    backoffMs(subscription.tries++, CONSUMER_LIMITS.retryFirstMs, CONSUMER_LIMITS.retryMaxMs),
  );
  effects.push({ kind: "set_timer", timer: `subscription ${subscription.request.id}`, delayMs });
}

function takeTimer(state: ConsumerState, timer: string, nowMs: number, effects: ConsumerEffect[]): void {
  if (timer === "reconnect") {
    if (state.phase !== "offline") return;
    state.phase = "connecting";
    effects.push({ kind: "connect" });
  } else if (timer === "silence") breakSilence(state, nowMs, effects);
  else {
    const subscription = state.subscriptions.get(Number(timer.slice("subscription ".length)));
    if (subscription !== undefined && subscription.wireId === undefined) subscribe(state, subscription, effects);
  }
}

/** A greeting without answer is given up; later a credit of nothing makes the network say whether it still works. */
function breakSilence(state: ConsumerState, nowMs: number, effects: ConsumerEffect[]): void {
  if (state.phase !== "greeting" && state.phase !== "online") return;
  if (nowMs - state.lastFrameAtMs >= CONSUMER_LIMITS.silenceMs) {
    if (state.phase === "greeting") {
      effects.push({ kind: "disconnect" });
      disconnect(state, 0, effects);
      return;
    }
    for (const { wireId } of state.subscriptions.values()) {
      if (wireId !== undefined)
        effects.push({ kind: "send", frame: { type: "credit", subscription: wireId, creditBytes: 0 } });
    }
  }
  effects.push({ kind: "set_timer", timer: "silence", delayMs: CONSUMER_LIMITS.silenceMs });
}

function disconnect(state: ConsumerState, leastMs: number, effects: ConsumerEffect[]): void {
  if (state.phase === "offline") return;
  state.phase = "offline";
  for (const subscription of state.subscriptions.values()) subscription.wireId = undefined;
  const delayMs = Math.max(
    leastMs,
    backoffMs(state.tries++, CONSUMER_LIMITS.reconnectFirstMs, CONSUMER_LIMITS.reconnectMaxMs),
  );
  effects.push({ kind: "set_timer", timer: "reconnect", delayMs });
}

function stop(state: ConsumerState, error: HeadraceError | undefined, effects: ConsumerEffect[]): void {
  for (const subscription of [...state.subscriptions.values()]) end(state, subscription, error, effects);
  state.phase = "stopped";
  effects.push({ kind: "disconnect" }, { kind: "stopped", error });
}
