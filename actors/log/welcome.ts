/** Which epoch a producer's instance gets (E1): pure, the same in every log but Redis, whose function says it in Lua. */
import type { WelcomeOutcome } from "./log.ts";

export interface ProducerRecord {
  readonly instance: string;
  readonly producerEpoch: number;
  readonly seenAtMs: number;
}

/** The same instance keeps its epoch; another one gets a higher, unless it shows one that was fenced since. */
export function judgeWelcome(
  known: ProducerRecord | undefined,
  instance: string,
  heldEpoch: number | undefined,
  nowMs: number,
): WelcomeOutcome {
  const stored = known?.producerEpoch ?? 0;
  const held = heldEpoch ?? 0;
  if (known?.instance === instance && held <= stored) return { kind: "welcomed", producerEpoch: stored };
  if (known !== undefined && known.instance !== instance && heldEpoch !== undefined && stored > held) {
    return { kind: "fenced", current: stored };
  }
  return { kind: "welcomed", producerEpoch: Math.max(stored + 1, held + 1, Math.floor(nowMs), 1) };
}
