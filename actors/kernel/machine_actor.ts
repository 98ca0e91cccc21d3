/**
 * Runs a pure machine as an actor: steps it with each message and performs its effects in order. Decides only the outcome
 * of a failed or late effect; leaves every effect to the shell's `perform`.
 *   A1. Effects begin in the order in which the machine gave them, and before the next message is handled.
 *   A2. Work that takes time goes on beside the actor and tells its result as a message; no handler waits for it (E19).
 *   A3. Each effect fails at most once, by its error or its deadline. A message that it tells after its deadline is ignored.
 *   A4. A failure that the shell does not map to a message crashes the actor.
 */
import { UnavailableError } from "../../protocols/errors.ts";
import type { Machine } from "../../protocols/machine.ts";
import type { ActorContext, ActorDefinition, ActorReference, MailboxLimits, Supervision, Timer } from "./actor.ts";

export interface MachineActorOptions<State, Message, Effect> {
  readonly name: string;
  /** A function is called for each life. A machine given as a value must not update its state in place: a restart reuses it. */
  readonly machine:
    | Machine<State, Message, Effect>
    | ((context: ActorContext<Message>) => Machine<State, Message, Effect>);
  /**
   * Begins an effect. Returns a promise for work that takes time, and tells the result through `context.self`, which
   * ignores messages once the deadline has passed.
   */
  perform(effect: Effect, context: ActorContext<Message>): void | Promise<void>;
  /** The message that a failed effect becomes. Without it a failure is a crash (A4). */
  onEffectFailed?(effect: Effect, error: unknown): Message;
  /** How long an effect may take, in ms: until its promise settles or, without a promise, until its first message. */
  deadlineMs?(effect: Effect): number | undefined;
  /** Messages that the machine is stepped with at the start of each life, before any other. */
  first?(context: ActorContext<Message>): readonly Message[];
  /** Releases the resources that `perform` took. */
  stop?(): void | Promise<void>;
  readonly mailbox?: MailboxLimits;
  readonly supervision?: Supervision;
}

/** Told by the actor to itself when an effect failed or its deadline passed. */
class EffectFailure<Effect> {
  readonly attempt: Attempt<Effect>;
  readonly error: unknown;
  constructor(attempt: Attempt<Effect>, error: unknown) {
    this.attempt = attempt;
    this.error = error;
  }
}

/** One effect under way. */
interface Attempt<Effect> {
  readonly effect: Effect;
  /** The life that began the effect: a restart forgets the effects of the life before. */
  readonly life: unknown;
  phase: "open" | "done" | "late";
  hasTold: boolean;
  /** `perform` gave no promise, so the first message is the result. */
  endsWithMessage: boolean;
  deadline?: Timer;
}

/** The definition of an actor that runs the machine. */
export function machineActor<State, Message, Effect>(
  options: MachineActorOptions<State, Message, Effect>,
): ActorDefinition<Message> {
  return {
    name: options.name,
    ...(options.mailbox === undefined ? {} : { mailbox: options.mailbox }),
    ...(options.supervision === undefined ? {} : { supervision: options.supervision }),
    start(context) {
      const life = new MachineLife(options, context);
      for (const message of options.first?.(context) ?? []) life.step(message);
      return { receive: (message) => life.receive(message), stop: () => options.stop?.() };
    },
  };
}

class MachineLife<State, Message, Effect> {
  readonly #options: MachineActorOptions<State, Message, Effect>;
  readonly #context: ActorContext<Message>;
  readonly #machine: Machine<State, Message, Effect>;
  #state: State;

  constructor(options: MachineActorOptions<State, Message, Effect>, context: ActorContext<Message>) {
    this.#options = options;
    this.#context = context;
    this.#machine = typeof options.machine === "function" ? options.machine(context) : options.machine;
    this.#state = this.#machine.initial;
  }

  receive(message: Message | EffectFailure<Effect>): void {
    if (message instanceof EffectFailure) this.#effectFailed(message);
    else this.step(message);
  }

  step(message: Message): void {
    const [state, effects] = this.#machine.step(this.#state, message, this.#context.nowMs());
    this.#state = state;
    for (const effect of effects) this.#begin(effect); // A1
  }

  #begin(effect: Effect): void {
    const attempt: Attempt<Effect> = { effect, life: this, phase: "open", hasTold: false, endsWithMessage: false };
    const deadlineMs = this.#options.deadlineMs?.(effect);
    if (deadlineMs !== undefined) attempt.deadline = this.#deadline(attempt, deadlineMs);
    let work: void | Promise<void>;
    try {
      work = this.#options.perform(effect, this.#contextOf(attempt));
    } catch (error) {
      this.#tell(new EffectFailure(attempt, error));
      return;
    }
    if (work === undefined) {
      attempt.endsWithMessage = true;
      if (attempt.hasTold) this.#done(attempt);
      return;
    }
    work.then(
      () => this.#done(attempt),
      (error: unknown) => this.#tell(new EffectFailure(attempt, error)),
    );
  }

  #deadline(attempt: Attempt<Effect>, deadlineMs: number): Timer {
    const reason = `it must be done in time: current value is ${deadlineMs} ms`;
    const error = new UnavailableError("TIMEOUT", `Cannot finish an effect of ${this.#context.path} as ${reason}`);
    return this.#context.after(deadlineMs, new EffectFailure(attempt, error) as Message);
  }

  /** A3: the context of one effect, whose `self` ignores messages after the deadline. */
  #contextOf(attempt: Attempt<Effect>): ActorContext<Message> {
    if (attempt.deadline === undefined) return this.#context;
    const { self } = this.#context;
    const isHeard = () => {
      if (attempt.phase === "late") return false;
      attempt.hasTold = true;
      if (attempt.endsWithMessage) this.#done(attempt);
      return true;
    };
    const heard: ActorReference<Message> = {
      path: self.path,
      tell: (message) => {
        if (isHeard()) self.tell(message);
      },
      send: (message, weightBytes) => (isHeard() ? self.send(message, weightBytes) : Promise.resolve(false)),
      trySend: (message, weightBytes) => isHeard() && self.trySend(message, weightBytes),
    };
    return { ...this.#context, self: heard };
  }

  #done(attempt: Attempt<Effect>): void {
    if (attempt.phase !== "open") return;
    attempt.phase = "done";
    attempt.deadline?.cancel();
  }

  #effectFailed({ attempt, error }: EffectFailure<Effect>): void {
    if (attempt.life !== this || attempt.phase !== "open") return; // A3
    this.#done(attempt);
    attempt.phase = "late";
    if (this.#options.onEffectFailed === undefined) throw error; // A4
    this.step(this.#options.onEffectFailed(attempt.effect, error));
  }

  #tell(failure: EffectFailure<Effect>): void {
    (this.#context.self as ActorReference<unknown>).tell(failure);
  }
}
