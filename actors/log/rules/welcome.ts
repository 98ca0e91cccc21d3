/** Decides which epoch a producer's instance gets (E1). Pure; the log on Redis has the same rule in Lua. */
import { type ProducerOwner, SHORT_LIVED_PRODUCERS, type WelcomeOutcome } from "../log.ts";

const KEPT_MS = 7 * 86_400_000;
/**
 * How far an epoch that a client shows may lie ahead of the store's clock, in ms. Epochs are made from that clock, which may
 * have jumped by hours (E24). A higher epoch that the store does not hold was given by no node (E26).
 */
export const EPOCH_AHEAD_MS_MAX = 86_400_000;

/** How long a producer's epoch is remembered after its last welcome, in ms. A later epoch is higher by the clock alone. */
export const producerKeptMs = (producerId: string): number =>
  producerId.startsWith(SHORT_LIVED_PRODUCERS.prefix) ? SHORT_LIVED_PRODUCERS.windowMs : KEPT_MS;

export const isForgotten = (producerId: string, { seenAtMs }: ProducerRecord, nowMs: number): boolean =>
  nowMs - seenAtMs > producerKeptMs(producerId);

export interface ProducerRecord {
  readonly instance: string;
  readonly producerEpoch: number;
  readonly seenAtMs: number;
  /** The principal that the name belongs to; absent where no client was asked for a token. */
  readonly owner?: string;
}

/**
 * Welcomes the same instance with its epoch, and another instance with a higher one, unless it shows a fenced epoch.
 *
 * @param ownedBy counts the names of a principal
 */
export function judgeWelcome(
  known: ProducerRecord | undefined,
  instance: string,
  heldEpoch: number | undefined,
  owner: ProducerOwner | undefined,
  nowMs: number,
  ownedBy: (subject: string) => number,
): WelcomeOutcome {
  const stored = known?.producerEpoch ?? 0;
  const held = heldEpoch ?? 0;
  if (known?.owner !== undefined && owner !== undefined && known.owner !== owner.subject) return { kind: "owned" };
  const max = Math.max(stored, Math.floor(nowMs) + EPOCH_AHEAD_MS_MAX);
  if (held > max) return { kind: "unknown_epoch", max };
  if (known?.owner === undefined && owner?.producersMax !== undefined && ownedBy(owner.subject) >= owner.producersMax) {
    return { kind: "crowded", max: owner.producersMax };
  }
  if (known?.instance === instance && held <= stored) return { kind: "welcomed", producerEpoch: stored };
  if (known !== undefined && known.instance !== instance && heldEpoch !== undefined && stored > held) {
    return { kind: "fenced", current: stored };
  }
  return { kind: "welcomed", producerEpoch: Math.max(stored + 1, held + 1, Math.floor(nowMs), 1) };
}
