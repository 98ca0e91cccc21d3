/**
 * One connection of a client, as its machine sees it: whether the connection is open, and whether the node still
 * answers. `links.ts` decides which links exist and when each is tried again.
 */
import { UnavailableError } from "../errors.ts";
import type { NodeFrame } from "../wire/frames.ts";
import type { ConnectionState } from "./connection_state.ts";

/** Milliseconds that an owed answer may take before the connection is given up. */
export const SILENCE_MS = 30_000;
/**
 * The same for a client that knows another node. A frozen node loses its partitions within about 2 s, while its
 * connections stay open. The time here is longer, so that the other nodes know the new owners by then.
 */
export const SILENCE_ELSEWHERE_MS = 3_000;
/** Looks at a connection within `silenceMs`, at least. A silent connection is given up at most one look late. */
export const SILENT_LOOKS = 8;
/** The longest time between two looks: it decides how soon silence is told. */
export const LOOK_EVERY_MS_MAX = 1_000;
/** An application is told of silence after about this time, in ms, though the connection may be kept for longer. */
export const SILENT_TOLD_MS = 3_000;

export interface Link {
  /** `HOME`, or the address of an owner. */
  readonly name: string;
  address: string;
  /** `SILENCE_MS`, or `SILENCE_ELSEWHERE_MS`. */
  silenceMs: number;
  phase: "offline" | "connecting" | "greeting" | "online";
  /** The minor version in use, once it is online. */
  minor: number;
  /** Looks since the link's last frame, or since an answer is owed. Counted, not timed: a clock may jump (E24). */
  silentLooks: number;
  /** The node owes an answer, and has sent no frame for about `SILENT_TOLD_MS`. */
  isQuiet: boolean;
  /** Partitions that use this link. */
  uses: number;
}

/** What a client's machine asks of its shell, for its links. */
export type LinkEffect =
  | { readonly type: "connect"; readonly link: string; readonly address: string }
  | { readonly type: "disconnect"; readonly link: string }
  /** The shell puts the jittered time in `nextTryMs`. */
  | { readonly type: "state"; readonly state: ConnectionState }
  /** The shell adds jitter. Setting a timer again replaces it. */
  | { readonly type: "set_timer"; readonly timer: string; readonly delayMs: number };

/** What the shell tells a machine about its links. */
export type LinkMessage =
  | { readonly type: "connected"; readonly link: string }
  | { readonly type: "disconnected"; readonly link: string; readonly error: Error | undefined }
  | { readonly type: "frame"; readonly link: string; readonly frame: NodeFrame; readonly wireBytes: number }
  | { readonly type: "timer"; readonly timer: string };

export interface LinkEffects {
  push(...effects: LinkEffect[]): unknown;
}

export const createLink = (name: string, silenceMs: number = SILENCE_MS): Link => ({
  name,
  address: name,
  silenceMs,
  phase: "offline",
  minor: 0,
  silentLooks: 0,
  isQuiet: false,
  uses: 0,
});

export function connectLink(link: Link, address: string, effects: LinkEffects): void {
  link.address = address;
  link.phase = "connecting";
  hear(link);
  effects.push({ type: "connect", link: link.name, address });
}

/** A connection has opened. Answers whether the machine greets it: a link that was given up meanwhile is closed. */
export function isGreeted(link: Link, effects: LinkEffects): boolean {
  if (link.phase !== "connecting") {
    effects.push({ type: "disconnect", link: link.name });
    return false;
  }
  link.phase = "greeting";
  hear(link);
  lookAgain(link, effects);
  return true;
}

/** The node has sent a frame, or its time to answer begins anew. */
export function hear(link: Link): void {
  link.silentLooks = 0;
  link.isQuiet = false;
}

/** Looks that fit in `timeMs`. */
export const looksWithin = ({ silenceMs }: Link, timeMs: number): number => Math.ceil(timeMs / lookEveryMs(silenceMs));

const lookEveryMs = (silenceMs: number): number => Math.min(LOOK_EVERY_MS_MAX, silenceMs / SILENT_LOOKS);

/** Takes one look at a connection. Answers true where the node has owed an answer for longer than `silenceMs`. */
export function isSilent(link: Link, isOwed: boolean, effects: LinkEffects): boolean {
  if (link.phase !== "online" && link.phase !== "greeting") return false;
  link.silentLooks = isOwed || link.phase === "greeting" ? link.silentLooks + 1 : 0;
  link.isQuiet = link.silentLooks >= looksWithin(link, SILENT_TOLD_MS);
  lookAgain(link, effects);
  return link.silentLooks > looksWithin(link, link.silenceMs);
}

/** The client knows another node: the shorter time of silence holds from now on. */
export function knowsElsewhere(link: Link, effects: LinkEffects): void {
  if (link.silenceMs <= SILENCE_ELSEWHERE_MS) return;
  link.silenceMs = SILENCE_ELSEWHERE_MS;
  lookAgain(link, effects);
}

/** The reason for giving up a connection for which `isSilent` answered true. */
export const silenceError = ({ address, silenceMs }: Link): UnavailableError =>
  new UnavailableError(
    "TIMEOUT",
    `Cannot go on with ${address} as it must answer within ${silenceMs} ms: it said nothing`,
  );

function lookAgain(link: Link, effects: LinkEffects): void {
  effects.push({ type: "set_timer", timer: `silence ${link.name}`, delayMs: lookEveryMs(link.silenceMs) });
}
