/**
 * One connection of a client, as its machine sees it: whether it stands, and whether the other side still answers. Leaves
 * which links there are, and when they are tried again, to `links.ts`.
 */

import { UnavailableError } from "../errors.ts";
import type { NodeFrame } from "../wire/frames.ts";
import type { ConnectionState } from "./connection_state.ts";

/** How long an answer that is owed may take before the connection is given up. */
export const SILENCE_MS = 30_000;
/**
 * The same where there is another node to go to: a node that is frozen loses its partitions within two seconds or so, and
 * its connections stay as they are. Longer than that, so that the others know who has them.
 */
export const SILENCE_ELSEWHERE_MS = 3_000;
/** Looks at a silent connection within that time, at least: it is given up at most one of them later. */
export const SILENT_LOOKS = 8;
/** The longest time between two looks: it decides how soon silence is told. */
export const LOOK_EVERY_MS_MAX = 1_000;
/** An application is told of silence that lasts about this long, though the connection may be kept for longer. */
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
  /** Looks since its last frame, or since an answer is owed. Counted and not timed: a clock may jump (E24). */
  silentLooks: number;
  /** An answer is owed, and nothing was heard for about `SILENT_TOLD_MS`. */
  isQuiet: boolean;
  /** Partitions that are spoken of on it. */
  uses: number;
}

/** What a client's machine asks of its shell, for its links. */
export type LinkEffect =
  | { readonly kind: "connect"; readonly link: string; readonly address: string }
  | { readonly kind: "disconnect"; readonly link: string }
  /** The shell puts the jittered time in `nextTryMs`. */
  | { readonly kind: "state"; readonly state: ConnectionState }
  /** The shell adds jitter. Setting a timer again replaces it. */
  | { readonly kind: "set_timer"; readonly timer: string; readonly delayMs: number };

/** What the shell tells of them. */
export type LinkMessage =
  | { readonly kind: "connected"; readonly link: string }
  | { readonly kind: "disconnected"; readonly link: string; readonly error: Error | undefined }
  | { readonly kind: "frame"; readonly link: string; readonly frame: NodeFrame; readonly wireBytes: number }
  | { readonly kind: "timer"; readonly timer: string };

/** A list of a machine's effects, of which only those of links are added here. */
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
  effects.push({ kind: "connect", link: link.name, address });
}

/** Whether the link is to be greeted: one that closed before it was told to be open is not. */
export function isGreeted(link: Link, effects: LinkEffects): boolean {
  if (link.phase !== "connecting") {
    effects.push({ kind: "disconnect", link: link.name });
    return false;
  }
  link.phase = "greeting";
  hear(link);
  lookAgain(link, effects);
  return true;
}

/** The other side has spoken, or is given its time anew. */
export function hear(link: Link): void {
  link.silentLooks = 0;
  link.isQuiet = false;
}

/** Looks that fit in `timeMs`. */
export const looksWithin = ({ silenceMs }: Link, timeMs: number): number => Math.ceil(timeMs / lookEveryMs(silenceMs));

const lookEveryMs = (silenceMs: number): number => Math.min(LOOK_EVERY_MS_MAX, silenceMs / SILENT_LOOKS);

/** Looks at a connection when its time has come: whether it owes an answer and has been silent for so long that it is given up. */
export function isSilent(link: Link, isOwed: boolean, effects: LinkEffects): boolean {
  if (link.phase !== "online" && link.phase !== "greeting") return false;
  link.silentLooks = isOwed || link.phase === "greeting" ? link.silentLooks + 1 : 0;
  link.isQuiet = link.silentLooks >= looksWithin(link, SILENT_TOLD_MS);
  lookAgain(link, effects);
  return link.silentLooks > looksWithin(link, link.silenceMs);
}

/** There is another node to go to, if there was none before. */
export function knowsElsewhere(link: Link, effects: LinkEffects): void {
  if (link.silenceMs <= SILENCE_ELSEWHERE_MS) return;
  link.silenceMs = SILENCE_ELSEWHERE_MS;
  lookAgain(link, effects);
}

/** Why a connection was given up that `isSilent` answered true for. */
export const silenceError = ({ address, silenceMs }: Link): UnavailableError =>
  new UnavailableError(
    "TIMEOUT",
    `Cannot go on with ${address} as it must answer within ${silenceMs} ms: it said nothing`,
  );

function lookAgain(link: Link, effects: LinkEffects): void {
  effects.push({ kind: "set_timer", timer: `silence ${link.name}`, delayMs: lookEveryMs(link.silenceMs) });
}
