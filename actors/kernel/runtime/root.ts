/**
 * The top of the tree. Holds the root actors and supervises each alone, so that a root that keeps failing stops no other.
 * An error that a root escalates is reported to the world, and that root is stopped as failed.
 */
import { UnavailableError } from "../../../protocols/errors.ts";
import type { ActorDefinition, ActorReference, Supervision, Termination } from "../actor.ts";
import { ActorCell, type Parent } from "./actor_cell.ts";
import { checkName } from "./actor_name.ts";
import type { Runtime } from "./nact_runtime.ts";
import type { Realm } from "./realm.ts";
import { Supervisor } from "./supervisor.ts";

export class Root implements Parent {
  readonly #realm: Realm;
  readonly #runtime: Runtime;
  readonly #supervision: Supervision;
  readonly #cells = new Map<string, ActorCell>();
  readonly #supervisors = new Map<ActorCell, Supervisor>();
  #shutdown: Promise<void> | undefined;

  constructor(realm: Realm, runtime: Runtime, supervision: Supervision) {
    this.#realm = realm;
    this.#runtime = runtime;
    this.#supervision = supervision;
  }

  spawn(definition: ActorDefinition<never>): ActorReference<never> {
    if (this.#shutdown !== undefined) {
      throw new UnavailableError(
        "STOPPING",
        `Cannot start actor ${definition.name} as its system must not be shut down`,
      );
    }
    checkName(definition.name, this.#cells);
    const cell = new ActorCell(definition, this.#realm, this, "", (turn) => this.#runtime.slot(turn));
    this.#cells.set(cell.name, cell);
    return cell.reference;
  }

  stop(actor: ActorReference<never>): Promise<void> {
    const cell = [...this.#cells.values()].find(({ reference }) => reference === actor);
    return cell === undefined ? Promise.resolve() : this.#stopCell(cell, { kind: "stopped" });
  }

  shutdown(): Promise<void> {
    this.#shutdown ??= this.#stopAll();
    return this.#shutdown;
  }

  childCrashed(child: ActorCell, error: unknown): void {
    const supervisor = this.#supervisors.get(child) ?? this.#supervisorOf(child);
    this.#supervisors.set(child, supervisor);
    supervisor.crashed(child, error);
  }

  childEnded(child: ActorCell): void {
    this.#supervisors.get(child)?.close();
    this.#supervisors.delete(child);
    this.#cells.delete(child.name);
  }

  #supervisorOf(child: ActorCell): Supervisor {
    return new Supervisor({
      supervision: this.#supervision,
      world: this.#realm.world,
      children: new Map([[child.name, child]]),
      escalate: (error) => {
        this.#realm.world.onUnhandled(child.path, error);
        void this.#stopCell(child, { kind: "failed", error });
      },
    });
  }

  #stopCell(cell: ActorCell, termination: Termination): Promise<void> {
    this.#supervisors.get(cell)?.close();
    return cell.stop(termination);
  }

  async #stopAll(): Promise<void> {
    for (const cell of [...this.#cells.values()].reverse()) await this.#stopCell(cell, { kind: "stopped" });
    this.#runtime.end();
  }
}
