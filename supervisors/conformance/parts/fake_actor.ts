/** Runs one actor without a kernel: messages in order, and a clock that moves only when the test says so. */
import type { Actor, ActorContext, ActorDefinition, ActorReference } from "../../../actors/kernel/actor.ts";

export interface FakeActor<Message> {
  readonly reference: ActorReference<Message>;
  /** Moves the clock and fires the timers that are due. */
  advance(byMs: number): void;
  /** Fires timers as they come until `isDone`, and lets the actor's promises settle in between. */
  until(isDone: () => boolean): Promise<void>;
  stop(): Promise<void>;
}

/** Milliseconds of the real clock, as an actor may wait for a disk. */
const WAIT_MAX_MS = 20_000;

export async function startActor<Message>(definition: ActorDefinition<Message>): Promise<FakeActor<Message>> {
  let nowMs = 0;
  let actor: Actor<Message> | undefined;
  const queue: Message[] = [];
  const timers = new Set<{ readonly dueMs: number; readonly message: Message }>();
  const drain = () => {
    for (let message = actor && queue.shift(); message !== undefined; message = queue.shift())
      void actor?.receive(message);
  };
  const tell = (message: Message) => {
    queue.push(message);
    queueMicrotask(drain);
  };
  const take = (message: Message) => {
    tell(message);
    return true;
  };
  const reference: ActorReference<Message> = {
    path: definition.name,
    tell,
    send: async (message) => take(message),
    trySend: take,
  };
  const refuse = () => {
    throw new Error("not in this fake");
  };
  const context: ActorContext<Message> = {
    self: reference,
    path: definition.name,
    spawn: refuse,
    stopChild: refuse,
    watch: refuse,
    unwatch: refuse,
    after(delayMs, message) {
      const timer = { dueMs: nowMs + delayMs, message };
      timers.add(timer);
      return { cancel: () => void timers.delete(timer) };
    },
    nowMs: () => nowMs,
    random: () => 0.5,
    newId: () => "id",
  };
  const advance = (byMs: number) => {
    nowMs += byMs;
    for (const timer of [...timers].filter(({ dueMs }) => dueMs <= nowMs)) {
      timers.delete(timer);
      tell(timer.message);
    }
  };
  actor = await definition.start(context);
  drain();
  return {
    reference,
    advance,
    async until(isDone) {
      const startedAt = performance.now();
      while (!isDone() && performance.now() - startedAt < WAIT_MAX_MS) {
        await new Promise((resolve) => setImmediate(resolve));
        advance(10);
      }
      if (!isDone()) throw new Error(`not done after ${WAIT_MAX_MS} ms`);
    },
    stop: async () => actor?.stop?.(),
  };
}
