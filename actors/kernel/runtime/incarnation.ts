/**
 * One life of an actor, from its start to a crash or a stop. Owns the life's context, timers and watches, which end with it.
 * Code of an earlier life, such as a promise that resolves late, can still tell messages, and do nothing else.
 */
import { UnavailableError } from "../../../protocols/errors.ts";
import type { ActorContext, ActorDefinition, ActorReference, Termination, Timer } from "../actor.ts";
import { terminationSourceOf } from "../termination_source.ts";
import type { TimedWorld } from "../world.ts";

/** What a life needs from its actor's cell. */
export interface Host {
  readonly path: string;
  readonly reference: ActorReference<never>;
  readonly world: TimedWorld;
  spawn(definition: ActorDefinition<never>): ActorReference<never>;
  stopChild(child: ActorReference<never>): Promise<void>;
  tell(message: unknown): void;
  /** Reports a crash that happened outside the handling of a message. */
  fault(error: unknown): void;
}

export class Incarnation {
  readonly context: ActorContext<unknown>;
  readonly #host: Host;
  readonly #timers = new Set<Timer>();
  readonly #watches = new Map<ActorReference<never>, () => void>();
  #isOver = false;

  constructor(host: Host) {
    this.#host = host;
    const { world, path } = host;
    this.context = {
      self: host.reference as ActorReference<unknown>,
      path,
      spawn: <Child>(definition: ActorDefinition<Child>) => this.#spawn(definition),
      stopChild: (child) => host.stopChild(child),
      watch: (other, toMessage) => this.#watch(other, toMessage),
      unwatch: (other) => this.#unwatch(other),
      after: (delayMs, message) => this.#after(delayMs, message),
      nowMs: () => world.nowMs(),
      random: () => world.random(),
      newId: () => world.newId(),
      ...(world.observer === undefined ? {} : { observer: world.observer }),
    };
  }

  /** Cancels every timer and watch. */
  end(): void {
    this.#isOver = true;
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
    for (const endWatch of this.#watches.values()) endWatch();
    this.#watches.clear();
  }

  #spawn<Child>(definition: ActorDefinition<Child>): ActorReference<Child> {
    if (this.#isOver) {
      throw new UnavailableError(
        "STOPPING",
        `Cannot start actor ${definition.name} as its parent's life must not be over: current parent is ${this.#host.path}`,
      );
    }
    return this.#host.spawn(definition as unknown as ActorDefinition<never>) as unknown as ActorReference<Child>;
  }

  #after(delayMs: number, message: unknown): Timer {
    if (this.#isOver) return { cancel: () => undefined };
    const timer = this.#host.world.setTimer(delayMs, () => {
      this.#timers.delete(timer);
      if (!this.#isOver) this.#host.tell(message);
    });
    this.#timers.add(timer);
    return {
      cancel: () => {
        this.#timers.delete(timer);
        timer.cancel();
      },
    };
  }

  #watch(other: ActorReference<never>, toMessage: (termination: Termination) => unknown): void {
    if (this.#isOver) return;
    this.#unwatch(other);
    const source = terminationSourceOf(other);
    let isTold = false;
    const endWatch = source.onTerminated((termination) => {
      isTold = true;
      this.#watches.delete(other);
      this.#tellTermination(termination, toMessage);
    });
    if (!isTold) this.#watches.set(other, endWatch);
  }

  #unwatch(other: ActorReference<never>): void {
    this.#watches.get(other)?.();
    this.#watches.delete(other);
  }

  #tellTermination(termination: Termination, toMessage: (termination: Termination) => unknown): void {
    try {
      this.#host.tell(toMessage(termination));
    } catch (error) {
      this.#host.fault(error); // `toMessage` is the watcher's code, so the watcher crashes, not the watched actor
    }
  }
}
