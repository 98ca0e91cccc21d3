/**
 * The actors of one simulated process: the product's own definitions, run one message at a time in the world's order. Keeps
 * the kernel's promises: two lanes, one message at a time, a stop that ends children first, a restart that keeps the mailbox.
 * Can kill or freeze the process, and crash one of its actors.
 */
import type {
  Actor,
  ActorContext,
  ActorDefinition,
  ActorReference,
  Termination,
} from "../../../actors/kernel/actor.ts";
import { type TerminationSource, terminationSourceOf } from "../../../actors/kernel/termination_source.ts";
import { HeadraceError, InvariantError } from "../../../protocols/errors.ts";
import type { World } from "./world.ts";

const RESTART_MS = 50;
/** The kernel's own bound of messages in a turn. */
const TURN_MESSAGES_MAX = 4_096;

/** A wrapper of actors: observes their messages, or breaks them on purpose. */
export type WrapActor = <Message>(definition: ActorDefinition<Message>) => ActorDefinition<Message>;

export class SimulatedKernel {
  readonly world: World;
  readonly label: string;
  readonly actors = new Set<Cell<never>>();
  isAlive = true;
  frozenUntilMs = 0;
  readonly #wrap: WrapActor;
  #ids = 0;

  /** @param label names the process in a trace with several processes */
  constructor(world: World, wrap: WrapActor = (definition) => definition, label = "") {
    this.world = world;
    this.label = label;
    this.#wrap = wrap;
  }

  spawn<Message>(given: ActorDefinition<Message>, parent?: Cell<never>): Cell<Message> {
    const definition = this.#wrap(given);
    const path = parent === undefined ? definition.name : `${parent.path}/${definition.name}`;
    const cell = new Cell<Message>(this, definition, path, parent);
    this.actors.add(cell as Cell<never>);
    parent?.children.add(cell as Cell<never>);
    cell.begin();
    return cell;
  }

  /** Stops an actor of this process, its children first. */
  stop(actor: ActorReference<never>): Promise<void> {
    return cells.get(actor)?.stop() ?? Promise.resolve();
  }

  newId(): string {
    this.#ids += 1;
    return `id-${this.world.seed}-${this.world.trueMs}-${this.#ids}`;
  }

  /** Runs the callback while the process is awake; never once it has died. */
  whenAwake(run: () => void): void {
    if (!this.isAlive) return;
    if (this.frozenUntilMs > this.world.trueMs) this.world.at(this.frozenUntilMs, () => this.whenAwake(run));
    else run();
  }

  /** SIGKILL: the process ends without telling any other part. */
  kill(): void {
    this.isAlive = false;
    this.actors.clear();
  }
}

export class Cell<Message> {
  readonly path: string;
  readonly children = new Set<Cell<never>>();
  readonly reference: ActorReference<Message>;
  readonly #kernel: SimulatedKernel;
  readonly #definition: ActorDefinition<Message>;
  readonly #parent: Cell<never> | undefined;
  readonly #control: Message[] = [];
  readonly #data: Message[] = [];
  readonly #timers = new Set<{ cancel(): void }>();
  readonly #watchers = new Set<(termination: Termination) => void>();
  #actor: Actor<Message> | undefined;
  #isScheduled = false;
  #inHand: Promise<unknown> = Promise.resolve();
  #isBusy = false;
  isStopped = false;

  constructor(
    kernel: SimulatedKernel,
    definition: ActorDefinition<Message>,
    path: string,
    parent: Cell<never> | undefined,
  ) {
    this.#kernel = kernel;
    this.#definition = definition;
    this.#parent = parent;
    this.path = path;
    const take = (lane: Message[], message: Message): boolean => {
      if (this.isStopped || !kernel.isAlive) return false;
      lane.push(message);
      this.#schedule();
      return true;
    };
    const reference: ActorReference<Message> & TerminationSource = {
      path,
      tell: (message) => void take(this.#control, message),
      send: async (message) => take(this.#data, message),
      trySend: (message) => take(this.#data, message),
      onTerminated: (listener) => this.watch(listener),
    };
    this.reference = reference;
    cells.set(this.reference as ActorReference<never>, this as never);
  }

  begin(): void {
    const started = this.#definition.start(this.#context());
    if (started instanceof Promise)
      throw new Error(`Cannot start ${this.path} as a simulated actor must start at once: its start waits`);
    this.#actor = started;
    this.#schedule();
  }

  /** Stops the children, then the actor. */
  async stop(): Promise<void> {
    if (this.isStopped) return;
    this.isStopped = true;
    await this.#end();
    this.#kernel.actors.delete(this as never);
    this.#parent?.children.delete(this as never);
    for (const watcher of this.#watchers) watcher({ kind: "stopped" });
  }

  /** Crashes the actor at its next message, which is dropped. The mailbox is kept. */
  async crash(restart: boolean): Promise<void> {
    if (!restart) return this.stop();
    if (this.#actor === undefined || this.isStopped) return;
    if (this.#control.length > 0) this.#control.shift();
    else this.#data.shift();
    await this.#end();
    this.#restart();
  }

  #restart(): void {
    this.#kernel.world.after(RESTART_MS, () => this.#kernel.whenAwake(() => this.isStopped || this.begin()));
  }

  async #end(): Promise<void> {
    const actor = this.#actor;
    this.#actor = undefined;
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
    await Promise.all([...this.children].map((child) => child.stop()));
    await this.#inHand;
    await actor?.stop?.();
  }

  #schedule(): void {
    if (this.#isScheduled || this.#isBusy || this.#actor === undefined) return;
    if (this.#control.length + this.#data.length === 0) return;
    this.#isScheduled = true;
    const { world } = this.#kernel;
    world.after(world.random.chance(0.6) ? 0.01 : world.random.next() * 8, () =>
      this.#kernel.whenAwake(() => this.#turn()),
    );
  }

  /** One turn: handles up to as many messages as the kernel's own turn, or only some of those that wait. */
  #turn(): void {
    this.#isScheduled = false;
    const { random } = this.#kernel.world;
    let left = random.chance(0.7) ? TURN_MESSAGES_MAX : 1;
    for (; left > 0 && !this.#isBusy && this.#kernel.isAlive; left -= 1) {
      if (this.#actor === undefined || !this.#handleNext(this.#actor)) break;
    }
    this.#schedule();
  }

  #handleNext(actor: Actor<Message>): boolean {
    const message = this.#control.length > 0 ? this.#control.shift() : this.#data.shift();
    if (message === undefined) return false;
    if (this.#kernel.world.isTraced)
      this.#kernel.world.say(`  ${this.#kernel.label} ${this.path} hears ${kindOf(message)}`);
    try {
      const handling = actor.receive(message);
      if (handling instanceof Promise) {
        this.#isBusy = true;
        this.#inHand = handling.then(
          () => undefined,
          (error: unknown) => this.#crashed(error),
        );
        void this.#inHand.then(() => {
          this.#isBusy = false;
          this.#schedule();
        });
      }
    } catch (error) {
      this.#crashed(error);
    }
    return true;
  }

  /** A supervisor mends faults of the store or of another node. Any other crash is a bug of the product. */
  #crashed(error: unknown): void {
    const isOurs = !(error instanceof HeadraceError) || error instanceof InvariantError;
    if (!isOurs) {
      this.#kernel.world.count("an actor ended by an error of its world");
      void this.#end().then(() => this.#restart());
      return;
    }
    this.#kernel.world.problem(`${this.path} crashed: ${error instanceof Error ? error.stack : String(error)}`);
  }

  /** Returns a function that ends the watch. */
  watch(watcher: (termination: Termination) => void): () => void {
    if (this.isStopped) watcher({ kind: "stopped" });
    else this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  #context(): ActorContext<Message> {
    const kernel = this.#kernel;
    return {
      self: this.reference,
      path: this.path,
      spawn: (definition) => kernel.spawn(definition, this as never).reference,
      stopChild: (child) => kernel.stop(child),
      watch: (other, toMessage) =>
        void terminationSourceOf(other).onTerminated((termination) => this.reference.tell(toMessage(termination))),
      unwatch: () => {},
      after: (delayMs, message) => {
        const timer = kernel.world.after(delayMs, () => {
          this.#timers.delete(timer);
          if (kernel.isAlive) this.reference.tell(message);
        });
        this.#timers.add(timer);
        return timer;
      },
      nowMs: () => kernel.world.wallMs(),
      random: () => kernel.world.random.next(),
      newId: () => kernel.newId(),
    };
  }
}

/** The actor of each reference. */
const cells = new WeakMap<ActorReference<never>, Cell<never>>();

const kindOf = (message: unknown): string => {
  const { kind, type } = message as { readonly kind?: string; readonly type?: string };
  return kind ?? type ?? "";
};
