/**
 * The local actors that one peer has references to, by the number under which each was sent. An actor has one number on a
 * link. When it ends the peer is told, and the number is never used again. Some references cannot be watched, such as a
 * plain object with `tell`: of those the newest `unwatchableExportsMax` are kept.
 */
import { OverloadedError } from "../../../protocols/errors.ts";
import type { ActorReference, Termination } from "../../kernel/actor.ts";
import type { TerminationSource } from "../../kernel/termination_source.ts";
import { PEER_LIMITS } from "./peer_frames.ts";

/** The references that one peer may hold, and how many of those that cannot be watched. */
export interface ExportLimits {
  readonly exportsMax: number;
  readonly unwatchableExportsMax: number;
}

interface Exported {
  readonly id: number;
  readonly actor: ActorReference<unknown>;
  endWatch: (() => void) | undefined;
}

export class ExportTable {
  readonly #limits: ExportLimits;
  readonly #onEnded: (id: number, termination: Termination) => void;
  readonly #byId = new Map<number, Exported>();
  readonly #byActor = new Map<ActorReference<never>, Exported>();
  /** Exports that cannot be watched, in the order of their last use. */
  readonly #unwatchable = new Set<Exported>();
  /** Actors that ended before the frame that names them was complete: their end is told after that frame. */
  readonly #endedEarly: (readonly [number, Termination])[] = [];
  #isExporting = false;
  #lastId = 0;

  constructor(onEnded: (id: number, termination: Termination) => void, limits: ExportLimits = PEER_LIMITS) {
    this.#onEnded = onEnded;
    this.#limits = limits;
  }

  get size(): number {
    return this.#byId.size;
  }

  actorOf(id: number): ActorReference<unknown> | undefined {
    return this.#byId.get(id)?.actor;
  }

  /** The actor's number, made where it has none. Throws `OverloadedError` where the peer has `exportsMax` references. */
  idOf(actor: ActorReference<never>): number {
    const known = this.#byActor.get(actor);
    if (known !== undefined) {
      if (this.#unwatchable.delete(known)) this.#unwatchable.add(known);
      return known.id;
    }
    if (this.#byId.size >= this.#limits.exportsMax) {
      throw new OverloadedError(
        "OUT_OF_CREDIT",
        `Cannot send a reference to ${actor.path} as a peer may have at most ${this.#limits.exportsMax} references: it has all`,
        1_000,
      );
    }
    this.#lastId += 1;
    const exported: Exported = { id: this.#lastId, actor: actor as ActorReference<unknown>, endWatch: undefined };
    this.#byId.set(exported.id, exported);
    this.#byActor.set(actor, exported);
    this.#watch(exported);
    return exported.id;
  }

  /** Encodes and writes a frame. Ends of actors that come up meanwhile are told after the frame. */
  whileExporting<Result>(encodeAndWrite: () => Result): Result {
    this.#isExporting = true;
    try {
      return encodeAndWrite();
    } finally {
      this.#isExporting = false;
      for (const [id, termination] of this.#endedEarly.splice(0)) this.#onEnded(id, termination);
    }
  }

  close(): void {
    for (const { endWatch } of this.#byId.values()) endWatch?.();
    this.#byId.clear();
    this.#byActor.clear();
    this.#unwatchable.clear();
  }

  #watch(exported: Exported): void {
    const { onTerminated } = exported.actor as Partial<TerminationSource>;
    if (typeof onTerminated === "function") {
      exported.endWatch = onTerminated.call(exported.actor, (termination) => this.#end(exported, termination));
      return;
    }
    this.#unwatchable.add(exported);
    if (this.#unwatchable.size <= this.#limits.unwatchableExportsMax) return;
    const [oldest = exported] = this.#unwatchable;
    this.#end(oldest, { kind: "stopped" });
  }

  #end(exported: Exported, termination: Termination): void {
    if (!this.#byId.delete(exported.id)) return;
    this.#byActor.delete(exported.actor);
    this.#unwatchable.delete(exported);
    if (this.#isExporting) this.#endedEarly.push([exported.id, termination]);
    else this.#onEnded(exported.id, termination);
  }
}
