/**
 * A peer that is kept, linked or both: runs its machine (`peer_link_machine.ts`), which decides, and carries out the
 * machine's effects on the connections with that peer.
 */
import type { NodeId } from "../../../protocols/position.ts";
import type { Timer } from "../../kernel/actor.ts";
import type { LinkEvent } from "../transport.ts";
import type { PeerConnection } from "./peer_connection.ts";
import type { CreditGrant } from "./peer_frames.ts";
import type { PeerLink } from "./peer_link.ts";
import { isIdle, stepPeerLink } from "./peer_link_machine.ts";
import type { PeerLinkEffect, PeerLinkMessage, PeerLinkState } from "./peer_link_messages.ts";
import type { PeerSocket, SetTimer } from "./peer_socket.ts";

export interface NeighbourParts {
  readonly state: PeerLinkState;
  readonly setTimer: SetTimer;
  /** Takes the jitter off a pause, in ms. */
  shortened(delayMs: number): number;
  /** Begins a connection, and puts it into `connections` under its number. */
  dial(number: number, address: string): void;
  makeLink(socket: PeerSocket, granted: CreditGrant): PeerLink;
  tell(event: LinkEvent): void;
  onProblem(error: unknown): void;
  /** Called when the peer is neither kept nor linked any more. */
  onIdle(turn: number): void;
}

export class Neighbour {
  readonly connections = new Map<number, PeerConnection>();
  link: PeerLink | undefined;
  readonly #parts: NeighbourParts;
  readonly #queue: PeerLinkMessage[] = [];
  #state: PeerLinkState;
  #pauseTimer: Timer | undefined;
  #isStepping = false;

  constructor(parts: NeighbourParts) {
    this.#parts = parts;
    this.#state = parts.state;
  }

  get node(): NodeId {
    return this.#state.peer;
  }

  get isKept(): boolean {
    return this.#state.address !== undefined;
  }

  /** A message that comes up while effects are carried out, as from a listener that calls `keep`, waits for its step. */
  step(message: PeerLinkMessage): void {
    this.#queue.push(message);
    if (this.#isStepping) return;
    this.#isStepping = true;
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      const [state, effects] = stepPeerLink(this.#state, next, 0);
      this.#state = state;
      for (const effect of effects) {
        try {
          this.#perform(effect);
        } catch (error) {
          this.#parts.onProblem(error);
        }
      }
    }
    this.#isStepping = false;
    if (!isIdle(this.#state)) return;
    this.#pauseTimer?.cancel();
    this.#parts.onIdle(this.#state.turn);
  }

  #perform(effect: PeerLinkEffect) {
    const { setTimer, shortened, dial, makeLink, tell } = this.#parts;
    switch (effect.type) {
      case "dial":
        return dial(effect.connection, effect.address);
      case "pause": {
        const { pause, delayMs } = effect;
        this.#pauseTimer?.cancel();
        this.#pauseTimer = setTimer(shortened(delayMs), () => this.step({ type: "paused", pause }));
        return;
      }
      case "open":
        this.link = this.connections.get(effect.connection)?.speak(effect.turn, makeLink);
        return;
      case "refuse":
        return this.connections.get(effect.connection)?.refuse(effect.error);
      case "close":
        return this.connections.get(effect.connection)?.end(1000, "");
      case "heartbeat":
        return this.link?.heartbeat();
      case "tell":
        return tell(effect.event);
    }
  }
}
