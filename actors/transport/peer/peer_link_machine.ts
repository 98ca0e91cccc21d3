/**
 * Keeps one link with one node. Decides which node dials and when, which of two connections stays, when the peer counts as
 * silent, and which events are told. Leaves connections, handshakes and messages to `peer_links.ts`.
 * A "look" is the machine's tick, every `heartbeatEveryMs`.
 *   L1. `up` and `closed` take turns: each link of a life is told up once, and closed once when it ends.
 *   L2. The node with the lower name dials at once, the other one after a look. Where both dial, the lower name's connection
 *       stays. After a link broke both dial at once, so that each notices whether the other's process still listens.
 *   L3. A node that asks for a link while one is up has lost that one: the newer connection stays. A connection that it
 *       began before the present link has a lower turn, and is refused.
 *   L4. A higher incarnation ends the link and the attempts with the lower one. A lower incarnation is refused.
 *   L5. Silence is counted in looks, never by a clock (E24): a node that slept for an hour counts one look.
 *   L6. A node that has shown that it is of the cluster is linked even where no list names it, because lists lag.
 */
import { backoffMs } from "../../../protocols/clock.ts";
import { FencedError, type HeadraceError, UnavailableError } from "../../../protocols/errors.ts";
import type { Step } from "../../../protocols/machine.ts";
import type { NodeId } from "../../../protocols/position.ts";
import type {
  ConnectionNumber,
  PeerLinkEffect,
  PeerLinkMessage,
  PeerLinkState,
  PeerLinkTimes,
} from "./peer_link_messages.ts";

/** The next look comes after less than a whole period, so it does not count. */
const BETWEEN_LOOKS = -1;

type Effects = PeerLinkEffect[];
type Shown = Extract<PeerLinkMessage, { type: "ready" | "asked" }>;

export function initialPeerLink(self: NodeId, peer: NodeId, times: PeerLinkTimes, turn: number): PeerLinkState {
  return {
    self,
    peer,
    times,
    looksMax: Math.max(1, Math.ceil(times.silentAfterMs / times.heartbeatEveryMs)),
    incarnation: 0,
    address: undefined,
    turn,
    link: undefined,
    dial: undefined,
    pause: 0,
    pauses: 0,
    tries: 0,
    looksUnheard: BETWEEN_LOOKS,
    isSilentTold: false,
  };
}

/** Whether the peer is neither kept nor linked, so that the machine can be forgotten. */
export const isIdle = ({ address, link }: PeerLinkState): boolean => address === undefined && link === undefined;

export const stepPeerLink: Step<PeerLinkState, PeerLinkMessage, PeerLinkEffect> = (state, message) => {
  const effects: Effects = [];
  switch (message.type) {
    case "keep":
      keep(state, message.incarnation, message.address, effects);
      break;
    case "forget":
      state.address = undefined;
      endAttempts(state, effects);
      endLink(state, effects);
      break;
    case "look":
      look(state, message.wasHeard, effects);
      break;
    case "paused":
      if (message.pause === state.pause) dial(state, effects);
      break;
    case "refused":
      if (message.connection !== state.dial?.connection) break;
      state.dial = undefined;
      effects.push({ type: "tell", event: { kind: "refused", node: state.peer, incarnation: state.incarnation } });
      pause(state, effects);
      break;
    case "ready":
      ready(state, message, effects);
      break;
    case "asked":
      asked(state, message, effects);
      break;
    case "broke":
      broke(state, message.connection, effects);
      break;
  }
  return [state, effects];
};

function keep(state: PeerLinkState, incarnation: number, address: string, effects: Effects): void {
  const isNewer = incarnation > state.incarnation;
  const isMoved = address !== state.address;
  state.address = address;
  if (isNewer) {
    state.incarnation = incarnation;
    state.looksUnheard = BETWEEN_LOOKS;
    state.isSilentTold = false;
  }
  if (state.link !== undefined && state.link.incarnation >= incarnation) return;
  if (!isNewer && !isMoved) return;
  endLink(state, effects); // L4
  endAttempts(state, effects);
  if (state.self < state.peer) dial(state, effects);
  else pauseFor(state, state.times.heartbeatEveryMs, effects); // L2
}

function look(state: PeerLinkState, wasHeard: boolean, effects: Effects): void {
  if (state.link === undefined) {
    state.looksUnheard += 1;
    if (state.dial !== undefined) {
      state.dial.looks += 1;
      if (state.dial.looks >= state.looksMax) {
        endAttempts(state, effects);
        pause(state, effects);
      }
    }
    tellSilent(state, effects);
    return;
  }
  state.looksUnheard = wasHeard ? 0 : state.looksUnheard + 1;
  if (state.looksUnheard < state.looksMax) {
    effects.push({ type: "heartbeat", connection: state.link.connection });
    return;
  }
  endLink(state, effects);
  tellSilent(state, effects);
  dial(state, effects);
}

function tellSilent(state: PeerLinkState, effects: Effects): void {
  if (state.looksUnheard < state.looksMax || state.isSilentTold) return;
  state.isSilentTold = true;
  effects.push({ type: "tell", event: { kind: "silent", node: state.peer, incarnation: state.incarnation } });
}

function ready(state: PeerLinkState, message: Shown, effects: Effects): void {
  if (message.connection !== state.dial?.connection) {
    effects.push({ type: "close", connection: message.connection });
    return;
  }
  if (message.incarnation < state.incarnation) {
    endAttempts(state, effects); // L4: a former life of the peer still listens at that address
    pause(state, effects);
    return;
  }
  state.dial = undefined;
  open(state, message, effects);
}

function asked(state: PeerLinkState, message: Shown, effects: Effects): void {
  const error = refusalOf(state, message);
  if (error !== undefined) {
    effects.push({ type: "refuse", connection: message.connection, error });
    return;
  }
  state.turn += 1;
  endLink(state, effects); // L3, L4
  endAttempts(state, effects);
  open(state, message, effects);
}

function refusalOf(state: PeerLinkState, { incarnation, turn }: Shown): HeadraceError | undefined {
  const { peer, link, dial: attempt } = state;
  if (incarnation < state.incarnation) {
    return new FencedError(
      "STALE_EPOCH",
      `Cannot link with ${peer} as its incarnation must be at least ${state.incarnation}: current value is ${incarnation}`,
    );
  }
  if (incarnation > state.incarnation) return undefined;
  if (link !== undefined && link.incarnation === incarnation && turn <= link.peerTurn) {
    return new UnavailableError(
      "NOT_READY",
      `Cannot link with ${peer} as its attempt must be newer than the link that is up, made at turn ${link.peerTurn}: current turn is ${turn}`,
    );
  }
  // L2 holds for a young attempt only: one that may lead nowhere must not keep the peer's connection out.
  const isOursYoung = attempt !== undefined && attempt.looks <= state.looksMax / 2;
  if (isOursYoung && state.self < peer) {
    return new UnavailableError(
      "NOT_READY",
      `Cannot link with ${peer} by its connection as the one that ${state.self} dials must stay: both nodes dial`,
    );
  }
  return undefined;
}

function open(state: PeerLinkState, { connection, incarnation, minor, turn }: Shown, effects: Effects): void {
  state.pause = 0;
  state.incarnation = incarnation;
  state.link = { connection, incarnation, peerTurn: turn };
  state.tries = 0;
  state.looksUnheard = 0;
  state.isSilentTold = false;
  effects.push(
    { type: "open", connection, turn: state.turn },
    { type: "tell", event: { kind: "up", node: state.peer, incarnation, minor } },
  );
}

function broke(state: PeerLinkState, connection: ConnectionNumber, effects: Effects): void {
  if (connection === state.dial?.connection) {
    state.dial = undefined;
    pause(state, effects);
  } else if (connection === state.link?.connection) {
    endLink(state, effects);
    dial(state, effects);
  }
}

/** L1. */
function endLink(state: PeerLinkState, effects: Effects): void {
  if (state.link === undefined) return;
  const { connection, incarnation } = state.link;
  state.link = undefined;
  if (state.looksUnheard === 0) state.looksUnheard = BETWEEN_LOOKS;
  effects.push(
    { type: "close", connection },
    { type: "tell", event: { kind: "closed", node: state.peer, incarnation } },
  );
}

function endAttempts(state: PeerLinkState, effects: Effects): void {
  if (state.dial !== undefined) effects.push({ type: "close", connection: state.dial.connection });
  state.dial = undefined;
  state.pause = 0;
}

function dial(state: PeerLinkState, effects: Effects): void {
  state.pause = 0;
  if (state.address === undefined) return;
  state.turn += 1;
  state.dial = { connection: state.turn, looks: 0 };
  effects.push({ type: "dial", connection: state.turn, address: state.address });
}

function pause(state: PeerLinkState, effects: Effects): void {
  const { redialFirstMs, redialMaxMs } = state.times;
  pauseFor(state, backoffMs(state.tries++, redialFirstMs, redialMaxMs), effects);
}

function pauseFor(state: PeerLinkState, delayMs: number, effects: Effects): void {
  if (state.address === undefined) return;
  state.pauses += 1;
  state.pause = state.pauses;
  effects.push({ type: "pause", pause: state.pause, delayMs });
}
