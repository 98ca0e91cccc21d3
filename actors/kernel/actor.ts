/**
 * The contract of the kernel: what the rest of Headrace knows of actors. Only the kernel knows nact.
 *
 *   K1. No handler of an actor begins before its last one has ended, whatever its supervisor does.
 *   K2. `tell` (replies, acks, credit, fences, stops, "there is more" levels) is never refused and never waits behind
 *       data. `send` (batches) waits for room in a bounded mailbox and drops nothing (E19).
 *   K3. A message that no actor can handle any more goes to the dead letters, which count and sample it.
 *   K4. Only the parent's supervision answers a crash, and a throw inside supervision escalates. A restart keeps the
 *       mailbox and moves the message in hand to the dead letters.
 *   K5. A stop ends the children first, waits for the message in hand, then calls `stop`. Watchers are told last.
 *   K6. An actor's context takes time, timers, random numbers and ids from the world that the actor system was given.
 */

/** An actor's address. Location-transparent: the actor may be on another node. */
export interface ActorReference<Message> {
  /** `/` separated names from the root, for logs and metrics. */
  readonly path: string;
  /** Control lane: taken at once, handled before any data. Must be small or a level (E19). */
  tell(message: Message): void;
  /**
   * Data lane: resolves with true when the mailbox has taken the message, in the order of the calls; waits while the mailbox
   * is full. Resolves with false where the actor has ended: the message is then a dead letter.
   *
   * @param weightBytes memory that the message holds, counted against the mailbox's bound
   */
  send(message: Message, weightBytes: number): Promise<boolean>;
  /** As `send`, but answers false at once instead of waiting. */
  trySend(message: Message, weightBytes: number): boolean;
}

export type Termination = { readonly kind: "stopped" } | { readonly kind: "failed"; readonly error: unknown };

export interface Timer {
  cancel(): void;
}

/** What an actor may do besides handling messages. After the end of its life `spawn` throws, and it makes no timer or watch. */
export interface ActorContext<Message> {
  readonly self: ActorReference<Message>;
  readonly path: string;
  /** Starts a child under this actor's supervision. Throws `InvariantError` for a name in use or beyond the limit of children. */
  spawn<Child>(definition: ActorDefinition<Child>): ActorReference<Child>;
  /** Stops a child of this actor. Resolves when the child and its own children have ended. */
  stopChild(child: ActorReference<never>): Promise<void>;
  /** Tells this actor `toMessage(termination)` once `other` has ended, at once if it has already. A restart is not an end. */
  watch(other: ActorReference<never>, toMessage: (termination: Termination) => Message): void;
  unwatch(other: ActorReference<never>): void;
  /** Tells this actor `message` after `delayMs`. A stop or a restart of the actor cancels its timers. */
  after(delayMs: number, message: Message): Timer;
  nowMs(): number;
  /** In [0, 1). */
  random(): number;
  newId(): string;
  /** Absent: nobody looks. */
  readonly observer?: MachineObserver;
}

/** Sees the machines of all actors. Called within the actor's turn, so it must be quick and must not throw. */
export interface MachineObserver {
  /** Only differences mean something. */
  stopwatchMs(): number;
  /** Absent: steps are not timed one by one. The kernel's statistics count and time the turns of every actor in any case. */
  onStep?(step: MachineStep): void;
  /** An effect that took time has ended, or any effect has failed. An effect that is done within its step is not reported. */
  onEffect(effect: MachineEffect): void;
}

interface OfMachine {
  /** The kind of machine, such as `partition`. */
  readonly machine: string;
  /** Of the actor. */
  readonly path: string;
}

export interface MachineStep extends OfMachine {
  readonly message: string;
  readonly effects: number;
  /** Time to decide and to begin the effects, in ms. */
  readonly tookMs: number;
}

export interface MachineEffect extends OfMachine {
  readonly effect: string;
  /** `late`: its deadline passed first. */
  readonly outcome: "done" | "failed" | "late";
  /** From its beginning to its end, in ms; 0 for a failure within the step. */
  readonly tookMs: number;
}

export interface Actor<Message> {
  /** Handles one message. A throw or a rejection crashes the actor. */
  receive(message: Message): void | Promise<void>;
  /** Releases the resources that `start` took. Called once, after the life's last message. */
  stop?(): void | Promise<void>;
}

/** Bounds of an actor's data lane: messages, and bytes of memory that they hold. */
export interface MailboxLimits {
  readonly messagesMax: number;
  readonly weightBytesMax: number;
}

/** The children that restart with a crashed one: it alone, all of them, or it and those started after it. */
export type Strategy = "one_for_one" | "one_for_all" | "rest_for_one";

/** The answer to a crash. `escalate` crashes the parent in turn. */
export type Directive = "restart" | "stop" | "escalate";

/** How an actor answers the crashes of its children (after Erlang/OTP's supervisor). */
export interface Supervision {
  readonly strategy: Strategy;
  /** More than `restartsMax` restarts within `withinMs` escalate. */
  readonly intensity: { readonly restartsMax: number; readonly withinMs: number };
  /** Delay before a restart: doubles with each restart in a row, from `firstMs` to `maxMs`, less up to half as jitter. */
  readonly backoff: { readonly firstMs: number; readonly maxMs: number };
  /** Replaces the directive by class of error. A throw here escalates. */
  readonly decide?: (error: unknown) => Directive;
}

export interface ActorDefinition<Message> {
  /** Unique among its siblings; no `/`. */
  readonly name: string;
  readonly mailbox?: MailboxLimits;
  readonly supervision?: Supervision;
  /** Makes a fresh actor, at first and after each restart. A throw here is a crash. */
  start(context: ActorContext<Message>): Actor<Message> | Promise<Actor<Message>>;
}

/** A tree of actors. Made by `createActorSystem` of `actor_system.ts`. */
export interface ActorSystem {
  spawn<Message>(definition: ActorDefinition<Message>): ActorReference<Message>;
  /** Sends a message that carries a reply address, and resolves with the reply; rejects with `TIMEOUT` after `timeoutMs`. */
  ask<Message, Reply>(
    actor: ActorReference<Message>,
    makeMessage: (replyTo: ActorReference<Reply>) => Message,
    options: { readonly timeoutMs: number; readonly weightBytes?: number },
  ): Promise<Reply>;
  /** Resolves with the termination of an actor: a watch for code that is not an actor. */
  whenTerminated(actor: ActorReference<never>): Promise<Termination>;
  /** Stops one root actor, its children first. */
  stop(actor: ActorReference<never>): Promise<void>;
  readonly deadLetters: DeadLetterOffice;
  readonly statistics: KernelStatistics;
  /** Stops every root actor, the newest first. */
  shutdown(): Promise<void>;
}

export interface DeadLetterSample {
  readonly path: string;
  readonly reason: "stopped" | "crashed" | "unknown_actor" | "unreachable";
  /** The message's `type` or `kind` field where it has one, else its JavaScript type. Never its contents. */
  readonly messageKind: string;
  readonly atMs: number;
}

export interface DeadLetterOffice {
  /** Counts a message. Called from outside the kernel for messages to actors of other nodes. */
  add(path: string, reason: DeadLetterSample["reason"], message: unknown): void;
  readonly count: number;
  countFor(path: string): number;
  /** The newest samples, at most 100. */
  recent(): readonly DeadLetterSample[];
}

/** Counters of one kind of actor: a path whose parts with digits are replaced by `*`. */
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

/** The clock, timers, randomness and console of an actor system; tests and the simulator give their own. */
export interface KernelWorld {
  nowMs(): number;
  random(): number;
  newId(): string;
  setTimer(delayMs: number, callback: () => void): Timer;
  /** Sees the machines of all actors. */
  readonly observer?: MachineObserver;
  /** Called once for each crash, whatever the supervisor decides, so that a crash mended by a restart is noticed too. */
  onCrash?(path: string, error: unknown): void;
  /** Called with an error that escalated past a root actor, or that an actor's `stop` threw. */
  onUnhandled(path: string, error: unknown): void;
}
