/**
 * One link, from `up` to its end: carries the messages between the actors of two lives. Owns the link's tables and credit;
 * leaves the messages of the peer to `peer_inbound.ts`, and the choice of connections to `peer_link_machine.ts`.
 *   N1. Control leaves at once. Data leaves when its actor has credit, and no actor waits for another's credit (E19).
 *   N2. The credit of a message comes back exactly once: when the actor's mailbox took it, or where the actor is gone.
 *   N3. After the end every message is a dead letter, senders that wait get false, and watchers get `CONNECTION_LOST`.
 */
import { RejectedError, UnavailableError } from "../../../protocols/errors.ts";
import type { ActorReference, Termination } from "../../kernel/actor.ts";
import { decodePeerFrame, encodePeerFrame } from "./peer_codec.ts";
import { SendCredit } from "./peer_credit.ts";
import { type ExportLimits, ExportTable } from "./peer_exports.ts";
import type { CreditGrant, PeerFrame, PeerTarget, WireReference } from "./peer_frames.ts";
import { type InboundOptions, PeerInbound } from "./peer_inbound.ts";
import type { PeerSocket } from "./peer_socket.ts";
import type { Publications } from "./publications.ts";
import { RemoteReference, type Route } from "./remote_reference.ts";

export interface PeerLinkOptions extends InboundOptions {
  readonly socket: PeerSocket;
  readonly publications: Publications;
  /** The route of a reference that the peer sends back by a name which this node does not publish, or not yet. */
  readonly localRoute: Route;
  readonly limits: CreditGrant & ExportLimits;
  readonly granted: CreditGrant;
}

/** Sizes of a link's tables, for metrics and for tests of leaks. */
export interface PeerLinkSizes {
  readonly exports: number;
  readonly imports: number;
  readonly watches: number;
  readonly creditTargets: number;
  readonly bytesUnderWay: number;
  readonly inboundBytes: number;
}

type Listener = (termination: Termination) => void;

export class PeerLink implements Route {
  readonly #options: PeerLinkOptions;
  readonly #limits: CreditGrant & ExportLimits;
  readonly #exports: ExportTable;
  readonly #credit: SendCredit;
  readonly #imports = new Map<number, RemoteReference<never>>();
  readonly #listeners = new Map<PeerTarget, Set<Listener>>();
  /** Names of this node that the peer watches, each with the function that ends the watch. */
  readonly #watched = new Map<string, () => void>();
  readonly #inbound: PeerInbound;
  #wasHeard = true;
  #isEnded = false;

  constructor(options: PeerLinkOptions) {
    this.#options = options;
    this.#limits = options.limits;
    this.#credit = new SendCredit(options.granted);
    this.#inbound = new PeerInbound(
      options,
      (to) => this.#actorOf(to),
      (returned) => this.#write({ type: "credit", returned }),
    );
    this.#exports = new ExportTable((id, termination) => this.#tellEnd(id, termination), this.#limits);
  }

  sizes(): PeerLinkSizes {
    return {
      exports: this.#exports.size,
      imports: this.#imports.size,
      watches: this.#watched.size + this.#listeners.size,
      creditTargets: this.#credit.targets,
      bytesUnderWay: this.#credit.bytesUnderWay,
      inboundBytes: this.#inbound.bytes,
    };
  }

  tell(to: PeerTarget, message: unknown): void {
    if (this.#isGone(to)) this.#dropOutbound(to, message);
    else this.#write({ type: "message", lane: "control", to, weightBytes: 0, message });
  }

  send(to: PeerTarget, message: unknown, weightBytes: number): Promise<boolean> {
    if (this.#isGone(to)) return Promise.resolve(this.#dropOutbound(to, message));
    const write = () => this.#write({ type: "message", lane: "data", to, weightBytes, message });
    return this.#credit.send(to, weightBytes, write, (error) => {
      if (error !== undefined) this.#options.onProblem(error);
      this.#dropOutbound(to, message);
    });
  }

  trySend(to: PeerTarget, message: unknown, weightBytes: number): boolean {
    if (this.#isGone(to)) return this.#dropOutbound(to, message);
    const write = () => this.#write({ type: "message", lane: "data", to, weightBytes, message });
    return this.#credit.trySend(to, weightBytes, write);
  }

  onTerminated(to: PeerTarget, listener: Listener): () => void {
    if (this.#isGone(to)) {
      listener(this.#isEnded ? this.#connectionLost() : { kind: "stopped" });
      return () => undefined;
    }
    const own: Listener = (termination) => listener(termination); // one listener may watch twice
    const known = this.#listeners.get(to);
    if (known !== undefined) known.add(own);
    else {
      this.#listeners.set(to, new Set([own]));
      if (typeof to === "string") this.#write({ type: "watch", name: to }); // a peer tells the end of an exported actor unasked
    }
    return () => this.#unwatch(to, own);
  }

  heartbeat(): void {
    this.#write({ type: "heartbeat" });
  }

  /** Whether a frame came since the last call. */
  takeHeard(): boolean {
    const wasHeard = this.#wasHeard;
    this.#wasHeard = false;
    return wasHeard;
  }

  setSocketFull(isFull: boolean): void {
    this.#credit.setSocketFull(isFull);
  }

  /** N3. */
  end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#credit.close();
    this.#exports.close();
    for (const endWatch of this.#watched.values()) endWatch();
    this.#watched.clear();
    this.#imports.clear();
    this.#inbound.end();
    const listeners = [...this.#listeners.values()].flatMap((of) => [...of]);
    this.#listeners.clear();
    for (const listener of listeners) listener(this.#connectionLost());
  }

  /** Throws `RejectedError` for a frame that no peer may send. The caller then ends the link. */
  receive(bytes: Uint8Array): void {
    if (this.#isEnded) return;
    this.#wasHeard = true;
    const frame = decodePeerFrame(bytes, this.#importReference);
    switch (frame.type) {
      case "message":
        this.#inbound.take(frame);
        return;
      case "credit":
        for (const { to, bytes: returned, messages } of frame.returned) this.#credit.returned(to, returned, messages);
        return;
      case "watch":
        this.#watch(frame.name);
        return;
      case "unwatch":
        this.#watched.get(frame.name)?.();
        this.#watched.delete(frame.name);
        return;
      case "terminated":
        this.#takeEnd(frame.to, frame.termination);
        return;
      case "heartbeat":
      case "unknown":
        return;
      case "hello":
      case "welcome":
      case "proof":
      case "ready":
      case "refusal":
        throw new RejectedError(
          "UNKNOWN_FRAME",
          `Cannot accept a frame as its type must be one of a link that is up: current value is ${frame.type}`,
        );
    }
  }

  #watch(name: string): void {
    if (this.#watched.has(name)) return;
    if (this.#watched.size >= this.#limits.exportsMax) throw tooMany("watches of names", this.#limits.exportsMax);
    let isTold = false;
    const endWatch = this.#options.publications.onTerminated(name, (termination) => {
      isTold = true;
      this.#watched.delete(name);
      this.#tellEnd(name, termination);
    });
    if (!isTold) this.#watched.set(name, endWatch);
  }

  #unwatch(to: PeerTarget, listener: Listener): void {
    const listeners = this.#listeners.get(to);
    if (listeners?.delete(listener) !== true || listeners.size > 0) return;
    this.#listeners.delete(to);
    if (typeof to === "string") this.#write({ type: "unwatch", name: to });
  }

  #takeEnd(to: PeerTarget, termination: Termination): void {
    if (typeof to === "number") {
      this.#imports.delete(to);
      this.#credit.endTarget(to);
    }
    const listeners = this.#listeners.get(to);
    this.#listeners.delete(to);
    for (const listener of listeners ?? []) listener(termination);
  }

  #tellEnd(to: PeerTarget, termination: Termination): void {
    this.#write({ type: "terminated", to, termination });
  }

  readonly #exportReference = (reference: ActorReference<never>): WireReference => {
    const target = reference instanceof RemoteReference ? reference.targetOn(this) : undefined;
    if (target !== undefined) return { kind: "yours", target };
    return { kind: "mine", id: this.#exports.idOf(reference), path: reference.path };
  };

  readonly #importReference = (wire: WireReference): ActorReference<never> => {
    if (wire.kind === "yours") {
      const { target } = wire;
      const { localRoute } = this.#options;
      return this.#actorOf(target) ?? new RemoteReference<never>(String(target), target, () => localRoute);
    }
    const known = this.#imports.get(wire.id);
    if (known !== undefined) return known;
    if (this.#imports.size >= this.#limits.exportsMax) throw tooMany("references", this.#limits.exportsMax);
    const reference = new RemoteReference<never>(`${this.#options.node}:${wire.path}`, wire.id, () => this);
    this.#imports.set(wire.id, reference);
    return reference;
  };

  #actorOf(to: PeerTarget): ActorReference<unknown> | undefined {
    return typeof to === "number" ? this.#exports.actorOf(to) : this.#options.publications.actorOf(to);
  }

  /** Whether the link has ended, or the peer told that this actor has. */
  #isGone(to: PeerTarget): boolean {
    return this.#isEnded || (typeof to === "number" && !this.#imports.has(to));
  }

  #write(frame: Exclude<PeerFrame, { readonly type: "unknown" }>): void {
    if (this.#isEnded) return;
    this.#exports.whileExporting(() => this.#options.socket.send(encodePeerFrame(frame, this.#exportReference)));
    if (frame.type !== "credit") this.#inbound.flush();
  }

  #dropOutbound(to: PeerTarget, message: unknown): false {
    const reason = this.#isEnded ? "unknown_actor" : "stopped";
    this.#options.onDeadLetter(`${this.#options.node}:${to}`, reason, message);
    return false;
  }

  #connectionLost(): Termination {
    const { node } = this.#options;
    const error = new UnavailableError("CONNECTION_LOST", `Cannot reach ${node} as the link to it has ended`);
    return { kind: "failed", error };
  }
}

const tooMany = (what: string, limit: number): RejectedError =>
  new RejectedError(
    "FRAME_TOO_COMPLEX",
    `Cannot accept a frame as a peer may have at most ${limit} ${what}: it has all`,
  );
