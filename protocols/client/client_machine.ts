/**
 * The part of a client's machine that producers and consumers share: which link a message is about, when a link is
 * greeted, given up or refused for good, and how the client ends. Each machine decides what a frame means, and what
 * follows from a lost link.
 */
import { errorFromCode, type HeadraceError, RejectedError } from "../errors.ts";
import { type ErrorFrame, type HelloFrame, PROTOCOL_MINOR } from "../wire/frames.ts";
import { hear, isGreeted, type Link, type LinkEffects, type LinkMessage } from "./link.ts";
import { connectHome, HOME, type Links, linkNamed, refusalForGood } from "./links.ts";
import { lossOfHome, noteLoss } from "./tell_state.ts";

interface ClientState<L extends Link> {
  readonly client: string;
  readonly token: string | undefined;
  readonly links: Links<L>;
}

export interface ClientMachine<State extends ClientState<L>, L extends Link, Effects extends LinkEffects> {
  greet(state: State, link: L, effects: Effects): void;
  takeFrame(
    state: State,
    link: L,
    message: Extract<LinkMessage, { type: "frame" }>,
    nowMs: number,
    effects: Effects,
  ): void;
  breakSilence(state: State, link: L, effects: Effects): void;
  /** A timer of the machine's own is over. @param name the timer's, without its first word */
  endWait(state: State, name: string, effects: Effects): void;
  lose(state: State, link: L, leastMs: number, effects: Effects): void;
  stop(state: State, error: HeadraceError | undefined, effects: Effects): void;
}

export function takeLinkMessage<State extends ClientState<L>, L extends Link, Effects extends LinkEffects>(
  machine: ClientMachine<State, L, Effects>,
  state: State,
  message: LinkMessage,
  nowMs: number,
  effects: Effects,
): void {
  if (message.type === "timer") {
    takeTimer(machine, state, message.timer, effects);
    return;
  }
  const link = linkNamed(state.links, message.link);
  if (link === undefined) return;
  switch (message.type) {
    case "connected":
      if (link.name === HOME) state.links.unopened = 0;
      if (isGreeted(link, effects)) machine.greet(state, link, effects);
      break;
    case "disconnected": {
      const refusal = link.name === HOME ? lossOfHome(state.links, message.error) : undefined;
      if (refusal === undefined) machine.lose(state, link, 0, effects);
      else machine.stop(state, refusal, effects);
      break;
    }
    case "frame":
      hear(link);
      machine.takeFrame(state, link, message, nowMs, effects);
      break;
  }
}

function takeTimer<State extends ClientState<L>, L extends Link, Effects extends LinkEffects>(
  machine: ClientMachine<State, L, Effects>,
  state: State,
  timer: string,
  effects: Effects,
): void {
  const [kind = ""] = timer.split(" ", 1);
  const name = timer.slice(kind.length + 1);
  if (kind === "reconnect") connectHome(state.links, effects);
  else if (kind === "silence") {
    const link = linkNamed(state.links, name);
    if (link !== undefined) machine.breakSilence(state, link, effects);
  } else machine.endWait(state, name, effects);
}

/** The greeting of a client; a producer adds its own fields. */
export const helloOf = ({ client, token, links }: ClientState<Link>): HelloFrame => ({
  type: "hello",
  client,
  minor: PROTOCOL_MINOR,
  ...(token === undefined ? {} : { token }),
  ...(links.isStaying ? { forward: true } : {}),
});

/** Takes an error that concerns a connection as a whole (links L7). */
export function takeConnectionError<State extends ClientState<L>, L extends Link, Effects extends LinkEffects>(
  machine: ClientMachine<State, L, Effects>,
  state: State,
  link: L,
  frame: ErrorFrame,
  effects: Effects,
): void {
  const error = errorOf(frame);
  const isFinal =
    link.name === HOME ? refusalForGood(state.links, error) !== undefined : error instanceof RejectedError;
  if (isFinal) machine.stop(state, error, effects);
  else giveUp(machine, state, link, error, frame.retryAfterMs ?? 0, effects);
}

/** Closes a connection of which nothing more is expected. */
export function giveUp<State extends ClientState<L>, L extends Link, Effects extends LinkEffects>(
  machine: Pick<ClientMachine<State, L, Effects>, "lose">,
  state: State,
  link: L,
  error: Error,
  leastMs: number,
  effects: Effects,
): void {
  if (link.name === HOME) noteLoss(state.links, error);
  effects.push({ type: "disconnect", link: link.name });
  machine.lose(state, link, leastMs, effects);
}

export const errorOf = ({ code, message, retryAfterMs }: ErrorFrame): HeadraceError =>
  errorFromCode(code, message, retryAfterMs);
