/** The producer machine's chains: their links, how each is opened, what follows `opened` (P3, P4, P5, P9, P10, P11). */
import { backoffMs } from "../../clock.ts";
import { FencedError, UnavailableError } from "../../errors.ts";
import { partitionName } from "../../position.ts";
import { compareSequences, type Sequence } from "../../sequence.ts";
import type { MovedFrame, MovingFrame, OpenedFrame } from "../../wire/frames.ts";
import {
  changeLink,
  closeUnused,
  forgetLink,
  HOME,
  type LinkHost,
  linkNamed,
  linkTo,
  mayFollow,
  prepareLink,
  reconnectHome,
} from "../links.ts";
import { pump } from "./producer_appends.ts";
import type { ProducerEffect } from "./producer_messages.ts";
import {
  type Chain,
  createChain,
  createProducerLink,
  PRODUCER_LIMITS,
  type ProducerLink,
  type ProducerState,
} from "./producer_state.ts";
import { cutAt, numberBatch, type QueuedBatch, settledOf } from "./queued_batch.ts";

export function chainOf(state: ProducerState, stream: string, partition: number, effects: ProducerEffect[]): Chain {
  const key = partitionName({ stream, partition });
  let chain = state.chains.get(key);
  if (chain === undefined) {
    chain = createChain(stream, partition);
    state.chains.set(key, chain);
    changeLink(state.links, undefined, HOME);
    place(state, chain, state.links.hints.get(key), effects);
  }
  return chain;
}

const hasWork = (chain: Chain): boolean => chain.queue.length > 0 || chain.isWanted;

const linkHost = (state: ProducerState, effects: ProducerEffect[]): LinkHost<ProducerLink> => ({
  create: (address) => createProducerLink(address),
  isBusy: (link) => [...state.chains.values()].some((chain) => chain.link === link.name && hasWork(chain)),
  leave(link) {
    for (const chain of state.chains.values()) {
      if (chain.link !== link.name) continue;
      goTo(state, chain, HOME);
      if (hasWork(chain)) reopen(state, chain, effects);
    }
  },
});

function goTo(state: ProducerState, chain: Chain, link: string): void {
  changeLink(state.links, chain.link, link);
  chain.link = link;
  chain.nextAddress = undefined;
  chain.phase = "closed";
  chain.sent = 0;
  chain.hasMoved = true;
}

/** Moves a chain to the link of its owner at `address`. Without an address the chain stays. */
function place(state: ProducerState, chain: Chain, address: string | undefined, effects: ProducerEffect[]): void {
  if (address === undefined) return;
  const link = linkTo(state.links, address, linkHost(state, effects), effects);
  if (link.name !== chain.link) goTo(state, chain, link.name);
}

/** A link was welcomed. Chains at home go to the owners that home named; the others are opened on this link. */
export function openWaiting(state: ProducerState, link: ProducerLink, effects: ProducerEffect[]): void {
  for (const chain of state.chains.values()) {
    if (chain.link !== link.name) continue;
    if (link.name === HOME) place(state, chain, state.links.hints.get(chain.key), effects);
    if (hasWork(chain)) reopen(state, chain, effects);
  }
}

/** P3. Opens a chain whose link is online. On another link the chain waits for the welcome. */
export function reopen(state: ProducerState, chain: Chain, effects: ProducerEffect[]): void {
  chain.sent = 0;
  const link = linkNamed(state.links, chain.link);
  if (link?.phase !== "online" || link.producerEpoch === undefined) {
    chain.phase = "closed";
    return;
  }
  if (chain.phase === "opening") return;
  if (link.producerEpoch < chain.openedEpoch) {
    effects.push({ type: "disconnect", link: link.name }); // P11: its next greeting names the higher epoch.
    loseLink(state, link, 0, effects);
    return;
  }
  const { stream, partition } = chain;
  chain.phase = "opening";
  chain.openedEpoch = link.producerEpoch;
  const frame = { type: "open", stream, partition, producerEpoch: link.producerEpoch } as const;
  effects.push({ type: "send", link: link.name, frame });
}

/** Opens the chain again after a backoff of at least `leastMs`, which grows with each try. */
export function retryLater(state: ProducerState, chain: Chain, leastMs: number, effects: ProducerEffect[]): void {
  if (chain.phase === "waiting" || linkNamed(state.links, chain.link)?.phase !== "online") return;
  chain.phase = "waiting";
  chain.sent = 0;
  chain.askedAt.clear();
  const delayMs = Math.max(leastMs, backoffMs(chain.tries++, PRODUCER_LIMITS.retryFirstMs, PRODUCER_LIMITS.retryMaxMs));
  effects.push({ type: "set_timer", timer: `chain ${chain.key}`, delayMs });
}

/** A chain's wait is over: it goes to the owner that the last `moved` named, if any, and opens again. */
export function endWait(state: ProducerState, chain: Chain | undefined, effects: ProducerEffect[]): void {
  if (chain?.phase !== "waiting") return;
  const before = chain.link;
  if (chain.nextAddress !== undefined) chain.askedAt.add(chain.nextAddress);
  place(state, chain, chain.nextAddress, effects);
  reopen(state, chain, effects);
  if (chain.link !== before) closeUnused(state.links, before, effects);
}

/** P9. A `moved` is followed at once. An owner that was asked already is asked again after a backoff only. */
export function takeMoved(
  state: ProducerState,
  link: ProducerLink,
  frame: MovedFrame,
  chain: Chain,
  effects: ProducerEffect[],
): void {
  const { stream, partition, address } = frame;
  effects.push({ type: "moved", stream, partition, address });
  const isElsewhere = address !== undefined && address !== link.address && mayFollow(state.links, address);
  chain.nextAddress = isElsewhere ? address : undefined;
  chain.askedAt.add(link.address);
  if (!isElsewhere || chain.askedAt.has(address)) {
    retryLater(state, chain, 0, effects);
    return;
  }
  chain.phase = "waiting";
  endWait(state, chain, effects);
}

/** Connects to the next owner ahead of the move (links L6). The chain stays on its link until `moved`. */
export function takeMoving(state: ProducerState, { address }: MovingFrame, effects: ProducerEffect[]): void {
  prepareLink(state.links, address, linkHost(state, effects), effects);
}

/** P10. A link broke: home is connected again after a backoff, and the chains of an owner go home. */
export function loseLink(state: ProducerState, link: ProducerLink, leastMs: number, effects: ProducerEffect[]): void {
  link.credit.reset(0);
  link.isStarved = false;
  if (link.name !== HOME) {
    forgetLink(state.links, link, linkHost(state, effects));
    return;
  }
  if (link.phase === "offline") return;
  for (const chain of state.chains.values()) {
    if (chain.link !== HOME) continue;
    chain.phase = "closed";
    chain.sent = 0;
  }
  reconnectHome(state.links, leastMs, effects);
}

/** Answers why the producer must stop, where it stops at a loss (P4). */
export function takeOpened(
  state: ProducerState,
  frame: OpenedFrame,
  chain: Chain,
  nowMs: number,
  effects: ProducerEffect[],
): UnavailableError | undefined {
  if (chain.phase !== "opening") return undefined;
  const { stream, partition } = chain;
  const stored = frame.lastSequence ?? undefined;
  const isLess = chain.previous !== undefined && compareSequences(chain.previous, stored) > 0;
  if (isLess && chain.hasMoved) {
    // This may answer an `open` from before the chain went to another link. Open once more before a loss is declared.
    chain.hasMoved = false;
    chain.phase = "closed";
    reopen(state, chain, effects);
    return undefined;
  }
  chain.phase = "open";
  chain.isWanted = false;
  effects.push({ type: "opened", stream, partition, lastSequence: stored, position: frame.position });
  dropAged(state, chain, nowMs, effects);
  const lost = lostOf(state, chain, stored, nowMs);
  if (lost !== undefined) effects.push({ type: "lost", stream, partition, from: stored, to: lost });
  if (lost !== undefined && state.stopsAtLoss) return lossError(chain, stored, lost);
  if (lost === undefined) chain.previous = stored;
  else declareLost(chain, stored, lost, effects);
  chain.touchedAtMs = nowMs;
  if (!chain.isCounting) {
    // E1: a new instance counts on from what the partition holds.
    chain.isCounting = true;
    chain.counted = stored;
    for (const batch of chain.queue) numberBatch(chain, batch);
  }
  cutAt(chain.queue, stored);
  pump(state, chain, nowMs, effects);
  return undefined;
}

/** P4. The last acknowledged sequence, where the log lost it. A chain that the log forgot after the dedupe window is no loss. */
function lostOf(state: ProducerState, chain: Chain, stored: Sequence | undefined, nowMs: number): Sequence | undefined {
  if (compareSequences(chain.previous, stored) <= 0) return undefined;
  const isForgotten = stored === undefined && nowMs - chain.touchedAtMs > state.dedupeWindowMs;
  return isForgotten ? undefined : chain.previous;
}

function declareLost(chain: Chain, stored: Sequence | undefined, to: Sequence, effects: ProducerEffect[]): void {
  const { stream, partition, link, openedEpoch: producerEpoch } = chain;
  const frame = { type: "lost", stream, partition, producerEpoch, from: stored ?? null, to } as const;
  effects.push({ type: "send", link, frame });
}

const lossError = ({ key }: Chain, stored: Sequence | undefined, acknowledged: Sequence): UnavailableError =>
  new UnavailableError(
    "STORE_LOST",
    `Cannot go on as ${key} must hold what it acknowledged, up to ${acknowledged.join("/")}: its last sequence is ${stored?.join("/") ?? "none"}`,
  );

/** P5. */
function dropAged(state: ProducerState, chain: Chain, nowMs: number, effects: ProducerEffect[]): void {
  const aged: QueuedBatch[] = [];
  for (let head = chain.queue[0]; head !== undefined; head = chain.queue[0]) {
    if (head.firstSentAtMs === undefined || nowMs - head.firstSentAtMs <= state.dedupeWindowMs) break;
    aged.push(head);
    chain.queue.shift();
  }
  if (aged.length === 0) return;
  const error = new FencedError(
    "UNKNOWN_PRODUCER",
    `Cannot resend a batch as it must be younger than ${state.dedupeWindowMs} ms`,
  );
  effects.push({ type: "in_doubt", batches: settledOf(aged), error });
}
