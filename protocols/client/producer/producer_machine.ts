/**
 * Decides what a producer sends next, and on which connection: which chains to open, and which batches to send, resend,
 * cut, hand back or declare lost. Leaves batching, encoding and the connections to `producer.ts`.
 *
 *   P1. The batches of a chain leave in order. Each names the last sequence before it (E2).
 *   P2. Each batch is told exactly once: as acknowledged, as refused, or as in doubt.
 *   P3. Every doubt about a chain (a reconnect, a gap, a move, an error) ends in one way: `open` it again, and go on
 *       behind the sequence that `opened` names. Batches that are stored already are sent again, as only their ack
 *       carries their verdicts (E4).
 *   P4. Acknowledged events that the log no longer holds are declared lost before any append follows them (E6). A producer
 *       that can send them again stops instead (`stopsAtLoss`).
 *   P5. A batch that was sent once is not sent again after the dedupe window: it is handed back in doubt (E5).
 *   P6. A fenced producer sends nothing more, and hands back every batch that has no ack (E1).
 *   P7. The appends that await an answer on a link never exceed its credit, and those of one partition never exceed its
 *       share. One append may always go (E19).
 *   P8. A connection that owes an answer and stays silent is given up: after `SILENCE_MS`, or after
 *       `SILENCE_ELSEWHERE_MS` where the client knows another node.
 *   P9. A chain uses one link at a time. A frame about it from another link gives its credit back and changes nothing
 *       else.
 *   P10. A chain whose owner cannot be reached goes home, to the addresses given.
 *   P11. A chain is never opened with a lower producer epoch than before: its link greets again first.
 */
import type { Step } from "../../machine.ts";
import { partitionName } from "../../position.ts";
import type { NodeFrame, WelcomeFrame } from "../../wire/frames.ts";
import {
  type ClientMachine,
  errorOf,
  giveUp,
  helloOf,
  takeConnectionError,
  takeLinkMessage,
} from "../client_machine.ts";
import { isSilent, silenceError } from "../link.ts";
import { connectHome, HOME, linkNamed, noteOwners, noteWelcome } from "../links.ts";
import { tellState } from "../tell_state.ts";
import { pump, serveStarved, takeAck } from "./producer_appends.ts";
import {
  chainOf,
  endWait,
  loseLink,
  openWaiting,
  reopen,
  takeMoved,
  takeMoving,
  takeOpened,
} from "./producer_chain.ts";
import type { ProducerBatch, ProducerEffect, ProducerMessage } from "./producer_messages.ts";
import { isFence, stepStopped, stop, takeChainError } from "./producer_refusals.ts";
import type { ProducerLink, ProducerState } from "./producer_state.ts";
import { numberBatch, queued } from "./queued_batch.ts";

export const stepProducer: Step<ProducerState, ProducerMessage, ProducerEffect> = (state, message, nowMs) => {
  const effects: ProducerEffect[] = [];
  if (state.isStopped) return [state, stepStopped(message)];
  switch (message.type) {
    case "start":
      connectHome(state.links, effects);
      break;
    case "batch":
      enqueue(state, message.batch, nowMs, effects);
      break;
    case "open": {
      const chain = chainOf(state, message.stream, message.partition, effects);
      chain.isWanted = true;
      reopen(state, chain, effects);
      break;
    }
    case "sent": {
      const { link, frame, wireBytes, estimatedBytes } = message;
      const key = partitionName(frame);
      linkNamed(state.links, link)?.credit.correct(key, frame, wireBytes, estimatedBytes);
      break;
    }
    case "stop":
      stop(state, undefined, effects);
      break;
    default:
      takeLinkMessage(MACHINE, state, message, nowMs, effects);
  }
  tellState(state.links, effects);
  return [state, effects];
};

const MACHINE: ClientMachine<ProducerState, ProducerLink, ProducerEffect[]> = {
  greet(state, { name }, effects) {
    const { producerId, instance, producerEpoch } = state;
    const epoch = producerEpoch === undefined ? {} : { producerEpoch };
    effects.push({ type: "send", link: name, frame: { ...helloOf(state), producerId, instance, ...epoch } });
  },
  takeFrame,
  breakSilence,
  endWait: (state, name, effects) => endWait(state, state.chains.get(name), effects),
  lose: loseLink,
  stop,
};

function enqueue(state: ProducerState, batch: ProducerBatch, nowMs: number, effects: ProducerEffect[]): void {
  const chain = chainOf(state, batch.stream, batch.partition, effects);
  const added = queued(batch);
  chain.queue.push(added);
  if (chain.isCounting) numberBatch(chain, added);
  if (chain.phase === "closed") reopen(state, chain, effects);
  else pump(state, chain, nowMs, effects);
}

/** P8. A browser cannot ping, so the machine counts looks without a frame. */
function breakSilence(state: ProducerState, link: ProducerLink, effects: ProducerEffect[]): void {
  const isOpening = () =>
    [...state.chains.values()].some((chain) => chain.link === link.name && chain.phase === "opening");
  if (isSilent(link, link.credit.isOwed || isOpening(), effects))
    giveUp(MACHINE, state, link, silenceError(link), 0, effects);
}

function takeFrame(
  state: ProducerState,
  link: ProducerLink,
  { frame }: Extract<ProducerMessage, { type: "frame" }>,
  nowMs: number,
  effects: ProducerEffect[],
): void {
  if (frame.type === "welcome") takeWelcome(state, link, frame, effects);
  else if (frame.type === "error" && (frame.stream === undefined || frame.partition === undefined)) {
    if (isFence(frame)) stop(state, errorOf(frame), effects);
    else takeConnectionError(MACHINE, state, link, frame, effects);
  } else if (link.phase === "online") {
    takeAnswer(state, link, frame, nowMs, effects);
    serveStarved(state, link, nowMs, effects);
  }
}

function takeWelcome(state: ProducerState, link: ProducerLink, frame: WelcomeFrame, effects: ProducerEffect[]): void {
  if (link.phase !== "greeting") return;
  link.phase = "online";
  link.minor = frame.minor;
  link.credit.reset(frame.creditBytes);
  link.isStarved = false;
  link.producerEpoch = frame.producerEpoch ?? state.producerEpoch;
  if ((link.producerEpoch ?? 0) >= (state.producerEpoch ?? 0)) state.producerEpoch = link.producerEpoch;
  if (link.name === HOME) {
    noteWelcome(state.links);
    noteOwners(state.links, frame.streams, effects);
  }
  const { streams, limits } = frame;
  state.dedupeWindowMs = limits.dedupeWindowMs;
  effects.push({ type: "welcomed", producerEpoch: state.producerEpoch, streams, limits });
  openWaiting(state, link, effects);
}

/** Takes a frame about one partition. P9: where its chain uses another link by now, only the frame's credit counts. */
function takeAnswer(
  state: ProducerState,
  link: ProducerLink,
  frame: NodeFrame,
  nowMs: number,
  effects: ProducerEffect[],
): void {
  if (frame.type === "credit") {
    link.credit.give(frame.creditBytes);
    return;
  }
  if (!("partition" in frame)) return;
  const { stream, partition } = frame;
  if (stream === undefined || partition === undefined) return;
  const key = partitionName({ stream, partition });
  const known = state.chains.get(key);
  const chain = known?.link === link.name ? known : undefined;
  switch (frame.type) {
    case "opened": {
      link.credit.settle(key);
      const loss = chain === undefined ? undefined : takeOpened(state, frame, chain, nowMs, effects);
      if (loss !== undefined) stop(state, loss, effects);
      break;
    }
    case "ack":
      link.credit.acknowledge(key, frame.lastSequence);
      link.credit.give(frame.creditBytes);
      if (chain !== undefined) takeAck(state, frame, chain, nowMs, effects);
      break;
    case "gap":
      link.credit.refuse(key);
      link.credit.give(frame.creditBytes);
      if (chain !== undefined) reopen(state, chain, effects);
      break;
    case "moved":
      // One `moved` may answer several appends. Their credit comes in a frame of its own.
      link.credit.settle(key);
      if (chain !== undefined) takeMoved(state, link, frame, chain, effects);
      break;
    case "moving":
      if (chain !== undefined) takeMoving(state, frame, effects);
      break;
    case "error":
      if ((frame.creditBytes ?? 0) > 0) link.credit.refuse(key);
      link.credit.give(frame.creditBytes ?? 0);
      if (chain !== undefined) takeChainError(state, frame, chain, effects);
      break;
    case "records":
    case "trimmed":
    case "truncated":
      break; // These are for consumers.
  }
}
