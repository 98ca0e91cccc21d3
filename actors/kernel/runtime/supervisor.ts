/**
 * Carries out the supervision machine's decisions for the children of one actor. Leaves the wait for a message in hand to
 * each cell. A child belongs to the newest restart that names it. An older restart passes that child over, so that
 * overlapping restarts never start a child twice.
 */
import type { Supervision, Termination, Timer } from "../actor.ts";
import { decide } from "../supervision.ts";
import type { TimedWorld } from "../world.ts";
import { createSupervision, type SupervisionEffect, stepSupervision } from "./supervision_machine.ts";

/** What a supervisor needs from a child. */
export interface Supervised {
  readonly name: string;
  /** Ends this life after the message in hand. Messages in the mailbox keep waiting. */
  suspend(): Promise<void>;
  /** Begins the next life. Resolves once the life has started, or its start has failed. */
  resume(): Promise<void>;
  stop(termination: Termination): Promise<void>;
}

interface SupervisorOptions {
  readonly supervision: Supervision;
  readonly world: TimedWorld;
  /** The children, in the order of their start. */
  readonly children: ReadonlyMap<string, Supervised>;
  /** Passes a child's crash up. */
  escalate(error: unknown): void;
}

export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #restartOf = new Map<Supervised, symbol>();
  readonly #delays = new Set<Timer>();
  readonly #state;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#state = createSupervision(options.supervision);
  }

  crashed(child: Supervised, crash: unknown): void {
    const { supervision, world, children } = this.#options;
    const { directive, error } = decide(supervision, crash);
    const siblings = [...children.keys()];
    const message = { type: "crashed", child: child.name, directive, siblings, jitter: world.random() } as const;
    const [, effects] = stepSupervision(this.#state, message, world.nowMs());
    for (const effect of effects) this.#perform(effect, child, error);
  }

  ended(child: Supervised): void {
    this.#restartOf.delete(child);
    stepSupervision(this.#state, { type: "ended", child: child.name }, this.#options.world.nowMs());
  }

  /** Forgets the restarts under way. The caller stops the children. */
  close(): void {
    for (const delay of this.#delays) delay.cancel();
    this.#delays.clear();
    this.#restartOf.clear();
  }

  #perform(effect: SupervisionEffect, child: Supervised, error: unknown): void {
    switch (effect.type) {
      case "restart":
        void this.#restart(
          effect.children.flatMap((name) => this.#options.children.get(name) ?? []),
          effect.delayMs,
        );
        return;
      case "stop":
        void child.stop({ kind: "failed", error });
        return;
      case "escalate":
        this.#options.escalate(error);
        return;
    }
  }

  async #restart(children: readonly Supervised[], delayMs: number): Promise<void> {
    const restart = Symbol("restart");
    for (const child of children) this.#restartOf.set(child, restart);
    for (const child of [...children].reverse()) await child.suspend();
    await this.#delay(delayMs);
    for (const child of children) {
      if (this.#restartOf.get(child) === restart) await child.resume();
    }
  }

  #delay(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const delay = this.#options.world.setTimer(delayMs, () => {
        this.#delays.delete(delay);
        resolve();
      });
      this.#delays.add(delay);
    });
  }
}
