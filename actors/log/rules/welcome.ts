/** Which epoch a producer's instance gets (E1): pure, the same in every log but Redis, whose function says it in Lua. */
import { type ProducerOwner, SHORT_LIVED_PRODUCERS, type WelcomeOutcome } from "../log.ts";

const KEPT_MS = 7 * 86_400_000;
/**
 * How far a shown epoch may lie ahead of the store's clock, in ms, where the store knows of none as high. Epochs are made from
 * that clock, which may have jumped by hours (E24): one from further ahead was given by no node (E26).
 */
export const EPOCH_AHEAD_MS_MAX = 86_400_000;

/** How long a producer's epoch is remembered after it was last welcomed; a later one is above it by the clock. */
export const producerKeptMs = (producerId: string): number =>
  producerId.startsWith(SHORT_LIVED_PRODUCERS.prefix) ? SHORT_LIVED_PRODUCERS.windowMs : KEPT_MS;

export const isForgotten = (producerId: string, { seenAtMs }: ProducerRecord, nowMs: number): boolean =>
  nowMs - seenAtMs > producerKeptMs(producerId);

export interface ProducerRecord {
  readonly instance: string;
  readonly producerEpoch: number;
  readonly seenAtMs: number;
  /** The principal that the name belongs to; absent where nobody was asked who it is. */
  readonly owner?: string;
}

export interface Arrival {
  readonly instance: string;
  readonly heldEpoch: number | undefined;
  readonly owner: ProducerOwner | undefined;
}

/**
 * The same instance keeps its epoch; another one gets a higher, unless it shows one that was fenced since.
 *
 * @param ownedBy how many names a principal has
 */
export function judgeWelcome(
  known: ProducerRecord | undefined,
  { instance, heldEpoch, owner }: Arrival,
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
