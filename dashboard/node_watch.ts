/** Looks at the node each second over HTTP, and keeps the data of the charts. */
import { reasonOf } from "../protocols/errors.ts";
import { Changes } from "./changes.ts";
import { type NodeAnswers, readNode, TokenRefused } from "./node_api.ts";
import { type Observation, Observer } from "./observation.ts";
import { TimeSeries } from "./time_series.ts";

const LOOK_EVERY_MS = 1_000;
export const HISTORY_MS = 5 * 60_000;

export class NodeWatch {
  readonly changes = new Changes();
  readonly rates = new TimeSeries(HISTORY_MS);
  readonly latencies = new TimeSeries(HISTORY_MS);
  observation: Observation | undefined;
  problem: string | undefined;
  isTokenWanted = false;
  readonly #token: string | undefined;
  readonly #observer = new Observer();
  #answers: NodeAnswers | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isStopped = false;

  constructor(token: string | undefined) {
    this.#token = token;
    void this.#look();
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  async #look(): Promise<void> {
    const startedAtMs = Date.now();
    try {
      this.#answers = await readNode(this.#token, this.#answers);
      this.#take(this.#observer.observe(this.#answers, Date.now()));
      this.problem = undefined;
    } catch (error) {
      this.isTokenWanted = error instanceof TokenRefused;
      this.problem = reasonOf(error);
    }
    this.changes.announce();
    if (this.#isStopped || this.isTokenWanted) return;
    this.#timer = setTimeout(() => void this.#look(), Math.max(0, startedAtMs + LOOK_EVERY_MS - Date.now()));
  }

  #take(observation: Observation): void {
    this.observation = observation;
    this.rates.add(observation.atMs, observation.rates);
    const { ackLatency } = observation;
    this.latencies.add(
      observation.atMs,
      ackLatency === undefined
        ? new Map()
        : new Map([
            ["p50", ackLatency.p50Ms],
            ["p99", ackLatency.p99Ms],
          ]),
    );
  }
}
