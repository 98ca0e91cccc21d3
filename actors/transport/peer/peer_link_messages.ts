/** The messages, effects and state of the peer link's machine, whose rules they cite. */
import type { HeadraceError } from "../../../protocols/errors.ts";
import type { NodeId } from "../../../protocols/position.ts";
import type { LinkEvent } from "../transport.ts";

/** Names a connection: a dialled one by its turn, an accepted one by a number below 0 that the shell chooses. */
export type ConnectionNumber = number;

export interface PeerLinkTimes {
  readonly heartbeatEveryMs: number;
  readonly silentAfterMs: number;
  /** Pause between attempts to dial: doubles from the first to the longest. */
  readonly redialFirstMs: number;
  readonly redialMaxMs: number;
}

export interface PeerLinkState {
  readonly self: NodeId;
  readonly peer: NodeId;
  /** Looks in a row without a frame, after which the peer counts as silent. */
  readonly looksMax: number;
  readonly times: PeerLinkTimes;
  incarnation: number;
  /** Where to dial; undefined while the node is not kept. */
  address: string | undefined;
  /** Counts the connections that were dialled or accepted. */
  turn: number;
  link: LinkUp | undefined;
  dial: { readonly connection: ConnectionNumber; looks: number } | undefined;
  /** The number of the pause before the next attempt; 0 for none. */
  pause: number;
  pauses: number;
  tries: number;
  looksUnheard: number;
  isSilentTold: boolean;
}

interface LinkUp {
  readonly connection: ConnectionNumber;
  readonly incarnation: number;
  /** The peer's turn when the link was made (L3). */
  readonly peerTurn: number;
}

export type PeerLinkMessage =
  | { readonly type: "keep"; readonly incarnation: number; readonly address: string }
  | { readonly type: "forget" }
  /** The tick, every `heartbeatEveryMs`, with whether a frame came since the last one. */
  | { readonly type: "look"; readonly wasHeard: boolean }
  | { readonly type: "paused"; readonly pause: number }
  /** The peer's address refused the connection: no process listens there. */
  | { readonly type: "refused"; readonly connection: ConnectionNumber }
  /** The peer has proved who it is, on a connection that was dialled (`ready`) or accepted (`asked`). */
  | {
      readonly type: "ready" | "asked";
      readonly connection: ConnectionNumber;
      readonly incarnation: number;
      readonly minor: number;
      readonly turn: number;
    }
  | { readonly type: "broke"; readonly connection: ConnectionNumber };

export type PeerLinkEffect =
  | { readonly type: "dial"; readonly connection: ConnectionNumber; readonly address: string }
  /** The shell answers with `paused` after `delayMs`, changed by its jitter. */
  | { readonly type: "pause"; readonly pause: number; readonly delayMs: number }
  /** Make the connection the link. On an accepted connection the shell first sends `ready` with the turn. */
  | { readonly type: "open"; readonly connection: ConnectionNumber; readonly turn: number }
  | { readonly type: "refuse"; readonly connection: ConnectionNumber; readonly error: HeadraceError }
  | { readonly type: "close"; readonly connection: ConnectionNumber }
  | { readonly type: "heartbeat"; readonly connection: ConnectionNumber }
  | { readonly type: "tell"; readonly event: LinkEvent };
