/**
 * One actor's place in the tree, over all its lives. Decides when the actor's handler may run. Leaves the answer to a crash
 * to the parent's supervisor, order and bounds to the mailbox, and turns to nact_runtime.ts.
 *   C1. Starting, handling, suspending and ending all happen in a turn, and turns never overlap (actor K1).
 *   C2. A crash suspends the cell at once: no message is handled until the supervisor resumes it (actor K4).
 *   C3. A turn handles at most `TURN_MESSAGES_MAX` messages and takes about `TURN_MS_MAX`; other actors then have theirs.
 *   C4. A cell ends in this order: children, message in hand, `stop`, dead letters, parent, watchers (actor K5).
 */
import { UnavailableError } from "../../../protocols/errors.ts";
import type { Actor, ActorDefinition, ActorReference, Termination } from "../actor.ts";
import { DEFAULT_SUPERVISION } from "../supervision.ts";
import type { TimedWorld } from "../world.ts";
import { checkName } from "./actor_name.ts";
import { type Host, Incarnation } from "./incarnation.ts";
import { add, type Counters, CRASHES, countTurn, RESTARTS } from "./kernel_statistics.ts";
import { LocalReference, type Receiver } from "./local_reference.ts";
import { DEFAULT_MAILBOX, Mailbox } from "./mailbox.ts";
import type { Slot, Turn } from "./nact_runtime.ts";
import type { Realm } from "./realm.ts";
import { type Supervised, Supervisor } from "./supervisor.ts";
import { Watchers } from "./watchers.ts";

/** Bounds of one turn (C3): long enough that nact's cost for a turn is small, short enough that others barely wait. */
export const TURN_MESSAGES_MAX = 4_096;
export const TURN_MS_MAX = 4;

/** What a cell needs from its parent: another cell, or the root. */
export interface Parent {
  childCrashed(child: ActorCell, error: unknown): void;
  childEnded(child: ActorCell): void;
}

type Goal = "run" | "suspend" | "end";

export class ActorCell implements Host, Parent, Receiver, Supervised {
  readonly name: string;
  readonly path: string;
  readonly reference: LocalReference<never>;
  readonly #definition: ActorDefinition<unknown>;
  readonly #realm: Realm;
  readonly #parent: Parent;
  readonly #slot: Slot;
  readonly #counters: Counters;
  readonly #mailbox: Mailbox;
  readonly #children = new Map<string, ActorCell>();
  readonly #watchers = new Watchers();
  readonly #settled: (() => void)[] = [];
  #supervisor: Supervisor | undefined;
  #incarnation: Incarnation | undefined;
  #actor: Actor<unknown> | undefined;
  #goal: Goal = "run";
  #isAwake = false;
  /** Set with the goal "end". */
  #termination: Termination = { kind: "stopped" };
  #isEnded = false;

  constructor(
    definition: ActorDefinition<never>,
    realm: Realm,
    parent: Parent,
    parentPath: string,
    makeSlot: (turn: Turn) => Slot,
  ) {
    this.#definition = definition as unknown as ActorDefinition<unknown>;
    this.#realm = realm;
    this.#parent = parent;
    this.name = definition.name;
    this.path = parentPath === "" ? definition.name : `${parentPath}/${definition.name}`;
    this.#counters = realm.statistics.countersFor(this.path);
    this.#mailbox = new Mailbox(definition.mailbox ?? DEFAULT_MAILBOX, this.#counters);
    this.reference = new LocalReference(this);
    this.#slot = makeSlot(() => this.#goOn(realm.stopwatchMs() + TURN_MS_MAX, TURN_MESSAGES_MAX));
    this.#wake();
  }

  get world(): TimedWorld {
    return this.#realm.world;
  }

  tell(message: unknown): void {
    if (this.#isTooLateFor(message)) return;
    this.#mailbox.tell(message);
    this.#wake();
  }

  send(message: unknown, weightBytes: number): Promise<boolean> {
    if (this.#isTooLateFor(message)) return Promise.resolve(false);
    const sent = this.#mailbox.send(message, weightBytes);
    this.#wake();
    return sent;
  }

  trySend(message: unknown, weightBytes: number): boolean {
    if (this.#isTooLateFor(message)) return false;
    const isTaken = this.#mailbox.trySend(message, weightBytes);
    if (isTaken) this.#wake();
    return isTaken;
  }

  #isTooLateFor(message: unknown): boolean {
    if (this.#goal !== "end") return false;
    this.#realm.deadLetters.add(this.path, "stopped", message);
    return true;
  }

  onTerminated(listener: (termination: Termination) => void): () => void {
    return this.#watchers.add(listener);
  }

  spawn(definition: ActorDefinition<never>): ActorReference<never> {
    if (this.#goal !== "run") {
      const reason = `its parent must be running: current value is ${this.path}`;
      throw new UnavailableError("STOPPING", `Cannot start actor ${definition.name} as ${reason}`);
    }
    checkName(definition.name, this.#children);
    const child = new ActorCell(definition, this.#realm, this, this.path, (turn) => this.#slot.child(turn));
    this.#children.set(child.name, child);
    return child.reference;
  }

  stopChild(child: ActorReference<never>): Promise<void> {
    const cell = [...this.#children.values()].find(({ reference }) => reference === child);
    return cell?.stop({ kind: "stopped" }) ?? Promise.resolve(); // without a cell the child has ended already
  }

  childCrashed(child: ActorCell, error: unknown): void {
    if (this.#goal !== "run") {
      void child.stop({ kind: "failed", error }); // this life is ending, and the child must not outlive it
      return;
    }
    this.#supervisor ??= new Supervisor({
      supervision: this.#definition.supervision ?? DEFAULT_SUPERVISION,
      world: this.world,
      children: this.#children,
      escalate: (escalated) => this.fault(escalated),
    });
    this.#supervisor.crashed(child, error);
  }

  childEnded(child: ActorCell): void {
    this.#children.delete(child.name);
    this.#supervisor?.ended(child);
  }

  fault(error: unknown): void {
    add(this.#counters, CRASHES, 1);
    if (this.#goal !== "run") return; // the supervisor is already suspending or stopping this cell
    this.#goal = "suspend"; // C2
    this.#wake();
    this.#parent.childCrashed(this, error);
  }

  suspend(): Promise<void> {
    if (this.#goal === "run") this.#goal = "suspend";
    return this.#whenSettled();
  }

  resume(): Promise<void> {
    if (this.#goal !== "suspend") return Promise.resolve();
    this.#goal = "run";
    add(this.#counters, RESTARTS, 1);
    return this.#whenSettled();
  }

  stop(termination: Termination): Promise<void> {
    if (this.#goal !== "end") {
      this.#goal = "end";
      this.#termination = termination;
      void this.#stopChildren(); // C4: children need not wait for this actor's message in hand
    }
    return this.#whenSettled();
  }

  /** Resolves when the goal is reached: started, suspended or ended. */
  #whenSettled(): Promise<void> {
    if (this.#isSettled()) return Promise.resolve();
    return new Promise((resolve) => {
      this.#settled.push(resolve);
      this.#wake();
    });
  }

  #isSettled(): boolean {
    if (this.#goal === "run") return this.#actor !== undefined;
    return this.#goal === "suspend" ? this.#incarnation === undefined : this.#isEnded;
  }

  #wake(): void {
    if (this.#isAwake) return;
    this.#isAwake = true;
    this.#slot.wake();
  }

  /** A turn (C1). Never throws or rejects. Returns undefined where it is over, and a promise where it has to wait. */
  #goOn(endsAtMs: number, messagesMax: number): Promise<void> | undefined {
    for (let left = messagesMax; left > 0; left--) {
      if (!this.#isSettled()) return this.#settle().then(() => this.#goOn(endsAtMs, left));
      if (this.#goal !== "run" || this.#mailbox.size === 0) break;
      const handled = this.#handleNext(this.#actor as Actor<unknown>);
      if (typeof handled !== "number") return handled.then(() => this.#goOn(endsAtMs, left - 1));
      if (handled >= endsAtMs) break; // C3
    }
    this.#isAwake = false;
    if (!this.#isSettled() || (this.#goal === "run" && this.#mailbox.size > 0)) this.#wake();
    return undefined;
  }

  /** Handles one message. Returns the time in ms at which it ended, or a promise where the handler is asynchronous. */
  #handleNext(actor: Actor<unknown>): number | Promise<void> {
    const message = this.#mailbox.take();
    const startedMs = this.#realm.stopwatchMs();
    try {
      const handling = actor.receive(message);
      if (handling !== undefined) return this.#awaitHandling(handling, message, startedMs);
    } catch (error) {
      this.#crash(error, message);
    }
    return this.#handled(startedMs);
  }

  async #awaitHandling(handling: Promise<void>, message: unknown, startedMs: number): Promise<void> {
    try {
      await handling;
    } catch (error) {
      this.#crash(error, message);
    }
    this.#handled(startedMs);
  }

  #handled(startedMs: number): number {
    const endedMs = this.#realm.stopwatchMs();
    countTurn(this.#counters, endedMs - startedMs);
    if (this.#goal !== "end") this.#mailbox.release(); // an ending actor lets no waiting sender in
    return endedMs;
  }

  #crash(error: unknown, message: unknown): void {
    this.#realm.deadLetters.add(this.path, "crashed", message);
    this.world.onCrash?.(this.path, error);
    this.fault(error);
  }

  /** Works towards the goal. Where the goal changed or the start failed meanwhile, `#goOn` calls this again. */
  async #settle(): Promise<void> {
    switch (this.#goal) {
      case "run":
        await this.#start();
        break;
      case "suspend":
        await this.#endLife();
        break;
      case "end":
        await this.#endLife();
        this.#end();
        break;
    }
    if (!this.#isSettled()) return;
    for (const resolve of this.#settled.splice(0)) resolve();
  }

  async #start(): Promise<void> {
    this.#incarnation = new Incarnation(this);
    try {
      this.#actor = await this.#definition.start(this.#incarnation.context);
    } catch (error) {
      this.world.onCrash?.(this.path, error);
      this.fault(error);
    }
  }

  /** C4: children, then `stop`. The message in hand has ended, because this runs in a turn. */
  async #endLife(): Promise<void> {
    this.#incarnation?.end();
    await this.#stopChildren();
    const actor = this.#actor;
    this.#actor = undefined;
    try {
      await actor?.stop?.();
    } catch (error) {
      this.world.onUnhandled(this.path, error);
    }
    this.#supervisor = undefined;
    this.#incarnation = undefined;
  }

  /** Stops the newest child first, each after the one before it has ended. */
  async #stopChildren(): Promise<void> {
    this.#supervisor?.close();
    for (const child of [...this.#children.values()].reverse()) await child.stop({ kind: "stopped" });
  }

  #end(): void {
    this.#isEnded = true;
    this.#mailbox.close((message) => this.#realm.deadLetters.add(this.path, "stopped", message));
    this.#slot.end();
    this.#parent.childEnded(this);
    this.#watchers.tell(this.#termination);
  }
}
