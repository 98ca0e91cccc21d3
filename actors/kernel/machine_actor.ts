/**
 * Runs a pure machine as an actor: steps it with each message and performs its effects in order. Decides only the fate of
 * effects that fail or are late, and of answers to former lives; leaves every effect to the shell's `perform`.
 *   A1. Effects are begun in the order that the machine gave them, and before the next message is handled.
 *   A2. Work that takes time goes on beside the actor and tells its result as a message; no handler waits for it (E19).
 *   A3. An effect with a deadline fails at most once, by its error or by the deadline; what it tells later is ignored.
 *   A4. A failure that the shell does not map to a message is a crash of the actor.
 *   A5. A life hears only its own answers: results, failures and timers of a former life are dropped.
 *   A6. The observer hears once of each effect that takes time or fails: done, failed or late.
 */
import { UnavailableError } from "../../protocols/errors.ts";
import type { Machine } from "../../protocols/machine.ts";
import type {
  ActorContext,
  ActorDefinition,
  ActorReference,
  MachineEffect,
  MachineObserver,
  MailboxLimits,
  Supervision,
  Timer,
} from "./actor.ts";

/** Messages and effects are told apart by their `type`. */
interface Typed {
  readonly type: string;
}

/** An actor's context, with ways to speak to the present life alone (A5). */
export interface MachineContext<Message> extends ActorContext<Message> {
  /** Tells the machine its answer to an effect. */
  tell(message: Message): void;
  /** Calls back in a turn of the actor after `delayMs`. */
  callAfter(delayMs: number, callback: () => void): Timer;
}

/** One life of a machine: what is around its decisions. Made anew at each start. */
export interface Shell<State, Message extends Typed, Effect extends Typed, Input = Message> {
  readonly machine: Machine<State, Message, Effect>;
  /** Stepped first, before any other message. */
  readonly first?: readonly Message[];
  /** Makes messages of the machine from a message of the mailbox. Default: it is one. */
  take?(input: Input, step: (message: Message) => void, state: State): void;
  /** Begins an effect. Work that takes time is a promise, which tells its result through the context. */
  perform(effect: Effect, context: MachineContext<Message>, state: State): void | Promise<void>;
  /** The message that a failed effect becomes. Undefined: the failure is a crash (A4). */
  onEffectFailed?(effect: Effect, error: unknown): Message | undefined;
  /** Time in ms within which an effect must settle its promise. */
  deadlineMs?(effect: Effect): number | undefined;
  /** Releases what the shell holds. */
  stop?(state: State): void | Promise<void>;
}

export interface MachineActorOptions<State, Message extends Typed, Effect extends Typed, Input = Message> {
  readonly name: string;
  /** The kind of machine, for metrics: one word for all actors of its sort. */
  readonly machine: string;
  readonly mailbox?: MailboxLimits;
  readonly supervision?: Supervision;
  life(context: MachineContext<Message>): Shell<State, Message, Effect, Input>;
}

export function machineActor<State, Message extends Typed, Effect extends Typed, Input = Message>(
  options: MachineActorOptions<State, Message, Effect, Input>,
): ActorDefinition<Input> {
  return {
    name: options.name,
    ...(options.mailbox === undefined ? {} : { mailbox: options.mailbox }),
    ...(options.supervision === undefined ? {} : { supervision: options.supervision }),
    start: (context) => new MachineLife(options, context as ActorContext<unknown> as ActorContext<Message>),
  };
}

type Outcome = MachineEffect["outcome"];
type OnEnded<Effect> = (effect: Effect, outcome: Outcome, startedMs: number) => void;

/** @param isInTurn a throw is then the actor's crash */
type OnFailed<Effect> = (effect: Effect, error: unknown, isInTurn: boolean) => void;

/** A call that a life makes to itself over its mailbox. */
class Call {
  readonly type = "call";
  readonly life: unknown;
  readonly run: () => void;

  constructor(life: unknown, run: () => void) {
    this.life = life;
    this.run = run;
  }
}

/** A life's answer to itself, which goes through its mailbox. Exported for the simulator, which reads and changes messages. */
export class Answer<Message extends Typed> {
  readonly life: unknown;
  readonly message: Message;

  constructor(life: unknown, message: Message) {
    this.life = life;
    this.message = message;
  }

  get type(): string {
    return this.message.type;
  }
}

class MachineLife<State, Message extends Typed, Effect extends Typed, Input> {
  readonly #shell: Shell<State, Message, Effect, Input>;
  readonly #machine: string;
  readonly #context: MachineContext<Message>;
  readonly #observer: MachineObserver | undefined;
  readonly #own: ActorReference<unknown>;
  #state: State;
  readonly #step = (message: Message): void => this.step(message);
  readonly #performed = (effect: Effect, context: MachineContext<Message>): void | Promise<void> =>
    this.#shell.perform(effect, context, this.#state);

  constructor(options: MachineActorOptions<State, Message, Effect, Input>, context: ActorContext<Message>) {
    this.#own = context.self as ActorReference<unknown>;
    this.#machine = options.machine;
    this.#observer = context.observer;
    this.#context = {
      ...context,
      after: (delayMs, message) => context.after(delayMs, new Answer(this, message) as unknown as Message),
      tell: (message) => this.#own.tell(new Answer(this, message)),
      callAfter: (delayMs, callback) => context.after(delayMs, new Call(this, callback) as unknown as Message),
    };
    this.#shell = options.life(this.#context);
    this.#state = this.#shell.machine.initial;
    for (const message of this.#shell.first ?? []) this.step(message);
  }

  receive(input: Input | Answer<Message> | Call): void {
    if (input instanceof Answer) {
      if (input.life === this) this.step(input.message); // A5
    } else if (input instanceof Call) {
      if (input.life === this) input.run(); // A5
    } else if (this.#shell.take === undefined) this.step(input as unknown as Message);
    else this.#shell.take(input, this.#step, this.#state);
  }

  stop(): void | Promise<void> {
    return this.#shell.stop?.(this.#state);
  }

  step(message: Message): void {
    const observer = this.#observer;
    if (observer?.onStep === undefined) {
      this.#advance(message);
      return;
    }
    const startedMs = observer.stopwatchMs();
    const effects = this.#advance(message);
    const tookMs = observer.stopwatchMs() - startedMs;
    observer.onStep({ machine: this.#machine, path: this.#context.path, message: message.type, effects, tookMs });
  }

  /** Answers with the number of effects. */
  #advance(message: Message): number {
    const [state, effects] = this.#shell.machine.step(this.#state, message, this.#context.nowMs());
    this.#state = state;
    for (const effect of effects) this.#begin(effect); // A1
    return effects.length;
  }

  #begin(effect: Effect): void {
    const deadlineMs = this.#shell.deadlineMs?.(effect);
    if (deadlineMs === undefined) this.#perform(effect);
    else
      new Attempt(this.#context, effect, deadlineMs, this.#stopwatchMs(), this.#ended, this.#failed).begin(
        this.#performed,
      );
  }

  /** Most effects: no deadline is set, and most are done when this returns. */
  #perform(effect: Effect): void {
    let work: void | Promise<void>;
    try {
      work = this.#shell.perform(effect, this.#context, this.#state);
    } catch (error) {
      this.#ended(effect, "failed", this.#stopwatchMs());
      this.#failed(effect, error, true);
      return;
    }
    if (work === undefined) return;
    const startedMs = this.#stopwatchMs();
    work.then(
      () => this.#ended(effect, "done", startedMs),
      (error: unknown) => {
        this.#ended(effect, "failed", startedMs);
        this.#failed(effect, error, false);
      },
    );
  }

  /** A6. Written out field by field: a spread costs more than the rest of it. */
  readonly #ended: OnEnded<Effect> = (effect, outcome, startedMs) => {
    const observer = this.#observer;
    if (observer === undefined) return;
    const tookMs = observer.stopwatchMs() - startedMs;
    observer.onEffect({ machine: this.#machine, path: this.#context.path, effect: effect.type, outcome, tookMs });
  };

  #stopwatchMs(): number {
    return this.#observer?.stopwatchMs() ?? 0;
  }

  readonly #failed: OnFailed<Effect> = (effect, error, isInTurn) => {
    const message = this.#shell.onEffectFailed?.(effect, error);
    if (message !== undefined) this.#own.tell(new Answer(this, message));
    else if (isInTurn)
      throw error; // A4
    else this.#own.tell(new Call(this, () => raise(error)));
  };
}

function raise(error: unknown): never {
  throw error;
}

/** One effect that has a deadline. */
class Attempt<Message extends Typed, Effect extends Typed> {
  readonly #context: MachineContext<Message>;
  readonly #effect: Effect;
  readonly #startedMs: number;
  readonly #onEnded: OnEnded<Effect>;
  readonly #onFailed: OnFailed<Effect>;
  readonly #deadline: Timer;
  #isOpen = true;
  #hasFailed = false;

  constructor(
    context: MachineContext<Message>,
    effect: Effect,
    deadlineMs: number,
    startedMs: number,
    onEnded: OnEnded<Effect>,
    onFailed: OnFailed<Effect>,
  ) {
    this.#context = context;
    this.#effect = effect;
    this.#startedMs = startedMs;
    this.#onEnded = onEnded;
    this.#onFailed = onFailed;
    this.#deadline = context.callAfter(deadlineMs, () => {
      const reason = `it must be done in time: current value is ${deadlineMs} ms`;
      const late = new UnavailableError("TIMEOUT", `Cannot finish an effect of ${context.path} as ${reason}`);
      this.#fail("late", late, false);
    });
  }

  begin(perform: (effect: Effect, context: MachineContext<Message>) => void | Promise<void>): void {
    const { tell } = this.#context;
    /** A3: the context of one effect, which goes deaf with its failure. */
    const heard = { ...this.#context, tell: (message: Message) => (this.#hasFailed ? undefined : tell(message)) };
    try {
      Promise.resolve(perform(this.#effect, heard)).then(
        () => this.#end("done"),
        (error: unknown) => this.#fail("failed", error, false),
      );
    } catch (error) {
      this.#fail("failed", error, true);
    }
  }

  #fail(outcome: "failed" | "late", error: unknown, isInTurn: boolean): void {
    if (!this.#isOpen) return;
    this.#hasFailed = true;
    this.#end(outcome);
    this.#onFailed(this.#effect, error, isInTurn);
  }

  #end(outcome: Outcome): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#deadline.cancel();
    this.#onEnded(this.#effect, outcome, this.#startedMs);
  }
}
