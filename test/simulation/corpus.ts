/**
 * Seeds that failed once, beyond those that every run of the tests has. A schedule that was found for one (`--minimise`) is kept
 * beside it: it fails sooner. A change of the simulator gives a seed another history, so an entry may lose its point; the test
 * that came with its mending holds the fault by itself.
 */
import type { SimulationKind } from "./seed_pool.ts";

export interface OnceFailed {
  readonly kind: SimulationKind;
  readonly seed: number;
  /** What was wrong. */
  readonly fault: string;
  readonly schedules: readonly { readonly only: string; readonly salt: number }[];
}

export const CORPUS: readonly OnceFailed[] = [
  {
    kind: "node",
    seed: 342,
    fault: "The events of a cut batch that the log held were told as refused with the others.",
    schedules: [],
  },
  {
    kind: "node",
    seed: 598,
    fault: "A batch that was refused stayed so after its events were written in another cut, and ended its source.",
    schedules: [{ only: "0,1,2,3,4,5,6,7,8", salt: 1 }],
  },
  {
    kind: "node",
    seed: 2_299,
    fault: "The same, with a batch that its chain had gone on without.",
    schedules: [{ only: "1,2,3,4,5,6,7", salt: 10 }],
  },
];
