/**
 * Registers every connection of the port when it is accepted, and ends those that `connection_places.ts` chooses. HTTP
 * connections, WebSockets and links of other nodes count alike, and so do silent connections.
 */
import type { Socket } from "node:net";
import type { Timer } from "../../../actors/kernel/actor.ts";
import { addressGroup } from "../../../actors/transport/network_address.ts";
import { OverloadedError } from "../../../protocols/errors.ts";
import { ConnectionPlaces, type Phase, type PlaceLimits } from "./connection_places.ts";

const RETRY_AFTER_MS = 2_000;
const FULL =
  "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 2\r\nContent-Length: 0\r\n\r\n" as const;

/** Time between looks at addresses over their share, in ms. */
const LOOK_EVERY_MS = 20;
/** Most connections of one address ended in one look: thousands in one turn of the loop would delay all others. */
const ENDED_AT_ONCE_MAX = 20;

export interface GateWorld {
  /** Monotonic. */
  nowMs(): number;
  setTimer(delayMs: number, callback: () => void): Timer;
}

const OWN_WORLD: GateWorld = {
  nowMs: () => performance.now(),
  setTimer(delayMs, callback) {
    const timer = setTimeout(callback, delayMs).unref();
    return { cancel: () => clearTimeout(timer) };
  },
};

interface Seen {
  readonly id: number;
  readonly address: string;
  readonly socket: Socket;
  /** How many requests of this connection have no answer yet. */
  asked: number;
}

export class ConnectionGate {
  readonly #limits: PlaceLimits;
  readonly #world: GateWorld;
  readonly #places: ConnectionPlaces;
  readonly #seen = new Map<number, Seen>();
  /** A TLS socket and the socket below it share both ends' address and port. */
  readonly #byEnds = new Map<string, Seen>();
  /** Addresses over their share. */
  readonly #crowded = new Set<string>();
  #isLookDue = false;
  #accepted = 0;
  /** How many connections since the start gave way to another, or found no place. */
  shed = 0;

  constructor(limits: PlaceLimits, world: GateWorld = OWN_WORLD) {
    this.#limits = limits;
    this.#world = world;
    this.#places = new ConnectionPlaces(limits);
  }

  countIn(phase: Phase): number {
    return this.#places.countIn(phase);
  }

  /** To be called for each accepted connection, before anything is read from it. A known connection is ignored. */
  accept(socket: Socket): void {
    if (this.#of(socket)?.socket === socket) return;
    const { remoteAddress } = socket;
    const ends = endsOf(socket);
    if (remoteAddress === undefined || ends === undefined) {
      socket.destroy(); // closed before it was registered
      return;
    }
    this.#accepted += 1;
    const seen: Seen = { id: this.#accepted, address: addressGroup(remoteAddress), socket, asked: 0 };
    const ended = this.#places.arrive(seen.id, seen.address, this.#world.nowMs());
    if (ended === undefined) {
      this.shed += 1;
      socket.on("error", () => socket.destroy());
      socket.end(FULL, () => socket.destroy());
      return;
    }
    this.#seen.set(seen.id, seen);
    this.#byEnds.set(ends, seen);
    socket.once("close", () => {
      this.#places.leave(seen.id);
      this.#seen.delete(seen.id);
      if (this.#byEnds.get(ends) === seen) this.#byEnds.delete(ends);
    });
    this.#end(ended);
    this.#settleLater(seen.address);
  }

  /** A request has come; `onAnswered` must be called after it. Throws `OverloadedError` `TOO_MANY_CONNECTIONS`. */
  ask(socket: Socket): { readonly onAnswered: () => void } {
    const seen = this.#of(socket);
    if (seen === undefined) return { onAnswered: () => undefined };
    if (this.#places.ask(seen.id) === undefined) throw this.#full(seen.address, "asking");
    seen.asked += 1;
    return {
      onAnswered: () => {
        seen.asked -= 1;
        if (seen.asked > 0) return;
        this.#places.rest(seen.id, this.#world.nowMs());
        this.#settleLater(seen.address);
      },
    };
  }

  /** An upgrade has come. Throws `OverloadedError` `TOO_MANY_CONNECTIONS`. */
  upgrade(socket: Socket): void {
    const seen = this.#of(socket);
    if (seen === undefined) return;
    const ended = this.#places.upgrade(seen.id);
    if (ended === undefined) throw this.#full(seen.address, "welcomed");
    this.#end(ended);
  }

  /** The connection has shown a valid token, or belongs to another node. It keeps its place. */
  welcome(socket: Socket): void {
    const seen = this.#of(socket);
    if (seen !== undefined) this.#places.welcome(seen.id);
  }

  #of(socket: Socket): Seen | undefined {
    const ends = endsOf(socket);
    return ends === undefined ? undefined : this.#byEnds.get(ends);
  }

  #full(address: string, phase: Phase): OverloadedError {
    this.shed += 1;
    const { upgradesMax, perAddressMax } = this.#limits;
    const all = phase === "welcomed" ? this.#places.countIn("welcomed") + this.#places.countIn("greeting") : undefined;
    return new OverloadedError(
      "TOO_MANY_CONNECTIONS",
      `Cannot take the connection as connections must stay below ${upgradesMax}, and ${perAddressMax} from one address: current values are ${all ?? this.#places.count} and ${this.#places.countOf(address, phase)}`,
      RETRY_AFTER_MS,
    );
  }

  #end(ids: readonly number[]): void {
    for (const id of ids) {
      this.shed += 1;
      this.#seen.get(id)?.socket.destroy();
    }
  }

  /** Looks at an address again until it is within its share, as its connections end only after some waiting. */
  #settleLater(address: string): void {
    if (!this.#places.isOverShare(address)) return;
    this.#crowded.add(address);
    if (this.#isLookDue) return;
    this.#isLookDue = true;
    this.#world.setTimer(LOOK_EVERY_MS, () => this.#settle());
  }

  #settle(): void {
    this.#isLookDue = false;
    const crowded = [...this.#crowded];
    this.#crowded.clear();
    for (const address of crowded) {
      this.#end(this.#places.overShare(address, this.#world.nowMs(), ENDED_AT_ONCE_MAX));
      this.#settleLater(address);
    }
  }
}

function endsOf({ remoteAddress, remotePort }: Socket): string | undefined {
  return remoteAddress === undefined ? undefined : `${remoteAddress} ${remotePort}`;
}
