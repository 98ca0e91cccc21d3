/**
 * What an actor is to the rest of Headrace: the contract of the kernel, which alone knows nact.
 *
 *   K1. One message at a time: no handler of an actor begins before the last one ended, whatever its supervisor does.
 *   K2. Two lanes. `tell` (replies, acks, credit, fences, stops, "there is more" levels) is never refused and never
 *       waits behind data; `send` (batches) waits for room in a bounded mailbox and never drops (E19).
 *   K3. A message that can not be handled any more goes to the dead letters: counted, sampled, never silent.
 *   K4. An actor that throws is dealt with by its parent's supervision and by nothing else; a throw inside supervision
 *       escalates. A restart keeps the mailbox and drops the message in hand to the dead letters.
 *   K5. A stop ends the children first, waits for the message in hand, then calls `stop`; watchers hear of it after.
 *   K6. Time, randomness and ids come from the context.
 */

/** An actor's address. Location-transparent: the actor may be on another node. */
export interface ActorReference<Message> {
  /** `/` separated names from the root, for logs and metrics. */
  readonly path: string;
  /** Control lane: taken at once, handled before any data. Must be small or a level (E19). */
  tell(message: Message): void;
  /**
   * Data lane: resolves when the mailbox has taken the message, in order of the calls; waits while it is full. Resolves
   * to false when the actor is gone (the message is then a dead letter).
   *
   * @param weightBytes memory that the message holds, counted against the mailbox's bound
   */
  send(message: Message, weightBytes: number): Promise<boolean>;
  /** As `send`, but refuses (false) rather than waits. */
  trySend(message: Message, weightBytes: number): boolean;
}

/** Why a watched actor is gone. */
export type Termination = { readonly kind: "stopped" } | { readonly kind: "failed"; readonly error: unknown };

export interface Timer {
  cancel(): void;
}

export interface ActorContext<Message> {
  readonly self: ActorReference<Message>;
  readonly path: string;
  /** Starts a child under this actor's supervision. Throws `InvariantError` for a name in use or beyond the limit of children. */
  spawn<Child>(definition: ActorDefinition<Child>): ActorReference<Child>;
  /** Stops a child of this actor and resolves when it and its children have ended. */
  stopChild(child: ActorReference<never>): Promise<void>;
  /** Tells this actor `toMessage(termination)` once `other` is gone for good (restarts are not told); at once if it already is. */
  watch(other: ActorReference<never>, toMessage: (termination: Termination) => Message): void;
  unwatch(other: ActorReference<never>): void;
  /** Tells this actor `message` after `delayMs`. Timers end with the actor and with a restart. */
  after(delayMs: number, message: Message): Timer;
  nowMs(): number;
  /** In [0, 1). */
  random(): number;
  newId(): string;
  /** Sees each step of every machine; absent: nobody looks. */
  readonly observer?: MachineObserver;
}

/**
 * Sees each step of every machine and each of its effects: counters, traces and lateness stand here once for all actors. Called
 * within the actor's turn, so it must be quick and must not throw.
 */
export interface MachineObserver {
  /** Only differences mean something. */
  stopwatchMs(): number;
  onStep(step: MachineStep): void;
  onEffect(effect: MachineEffect): void;
}

export interface MachineStep {
  /** Of the actor. */
  readonly path: string;
  /** The message's `type`. */
  readonly message: string;
  /** The number of effects. */
  readonly effects: number;
  /** Time to decide and to begin the effects, in ms. */
  readonly tookMs: number;
}

export interface MachineEffect {
  /** Of the actor. */
  readonly path: string;
  /** The effect's `type`. */
  readonly effect: string;
  /** `late`: its deadline passed first. */
  readonly outcome: "done" | "failed" | "late";
  /** From its beginning to its end, in ms. */
  readonly tookMs: number;
}

/** A running actor. */
export interface Actor<Message> {
  /** A throw or rejection is a crash of the actor. */
  receive(message: Message): void | Promise<void>;
  /** Releases what `start` took; called once, after the last message. */
  stop?(): void | Promise<void>;
}

export interface MailboxLimits {
  readonly messagesMax: number;
  readonly weightBytesMax: number;
}

export type Strategy = "one_for_one" | "one_for_all" | "rest_for_one";

export type Directive = "restart" | "stop" | "escalate";

/** How an actor deals with the crashes of its children (after Erlang/OTP's supervisor). */
export interface Supervision {
  readonly strategy: Strategy;
  /** More than `restartsMax` restarts within `withinMs` escalate. */
  readonly intensity: { readonly restartsMax: number; readonly withinMs: number };
  /** Delay before restart n of a row: exponential from `firstMs`, at most `maxMs`, with jitter of up to one half. */
  readonly backoff: { readonly firstMs: number; readonly maxMs: number };
  /** Overrides the decision by class of error; a throw here escalates. */
  readonly decide?: (error: unknown) => Directive;
}

export interface ActorDefinition<Message> {
  /** Unique among its siblings; no `/`. */
  readonly name: string;
  readonly mailbox?: MailboxLimits;
  /** For this actor's children. */
  readonly supervision?: Supervision;
  /** Makes a fresh actor, at first and after each restart. Throwing here is a crash. */
  start(context: ActorContext<Message>): Actor<Message> | Promise<Actor<Message>>;
}

/** A root of actors. Made by `createActorSystem` of `actor_system.ts`. */
export interface ActorSystem {
  spawn<Message>(definition: ActorDefinition<Message>): ActorReference<Message>;
  /** Sends a message that carries a reply address, and resolves with the reply; rejects with `TIMEOUT` after `timeoutMs`. */
  ask<Message, Reply>(
    actor: ActorReference<Message>,
    makeMessage: (replyTo: ActorReference<Reply>) => Message,
    options: { readonly timeoutMs: number; readonly weightBytes?: number },
  ): Promise<Reply>;
  /** Resolves with the termination of an actor, for those who are not actors. */
  whenTerminated(actor: ActorReference<never>): Promise<Termination>;
  /** Stops one root actor, its children first. */
  stop(actor: ActorReference<never>): Promise<void>;
  readonly deadLetters: DeadLetterOffice;
  readonly statistics: KernelStatistics;
  /** Stops every root actor in reverse order of their start. */
  shutdown(): Promise<void>;
}

export interface DeadLetterSample {
  readonly path: string;
  readonly reason: "stopped" | "crashed" | "unknown_actor" | "unreachable";
  /** Kind of message: its `type` or `kind` field where it has one. Never its contents. */
  readonly messageKind: string;
  readonly atMs: number;
}

export interface DeadLetterOffice {
  /** For messages to actors that are not of this kernel: those of other nodes. */
  add(path: string, reason: DeadLetterSample["reason"], message: unknown): void;
  readonly count: number;
  countFor(path: string): number;
  /** The newest samples, at most 100. */
  recent(): readonly DeadLetterSample[];
}

/** Counters of one kind of actor (its path with the variable parts cut), read by the observers. */
export interface ActorStatistics {
  readonly kind: string;
  readonly messages: number;
  readonly crashes: number;
  readonly restarts: number;
  /** Time spent in handlers, in ms. */
  readonly busyMs: number;
  /** Longest single handler turn, in ms. */
  readonly longestMs: number;
  readonly mailboxMessages: number;
  readonly mailboxBytes: number;
}

export interface KernelStatistics {
  read(): readonly ActorStatistics[];
}

/** What an actor system takes from the world; tests and the simulator give their own. */
export interface KernelWorld {
  nowMs(): number;
  random(): number;
  newId(): string;
  setTimer(delayMs: number, callback: () => void): Timer;
  /** Sees each step of every machine. */
  readonly observer?: MachineObserver;
  /** Called once for each crash, whatever the supervisor makes of it: a crash that nobody hears of is never mended. */
  onCrash?(path: string, error: unknown): void;
  /** Crashes and escalations that nobody handled end up here. */
  onUnhandled(path: string, error: unknown): void;
}
