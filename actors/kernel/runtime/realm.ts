/** The parts of an actor system that all its actors have in common. */
import type { TimedWorld } from "../world.ts";
import type { DeadLetters } from "./dead_letter_office.ts";
import type { StatisticsBook } from "./kernel_statistics.ts";

export interface Realm {
  readonly world: TimedWorld;
  readonly deadLetters: DeadLetters;
  readonly statistics: StatisticsBook;
  stopwatchMs(): number;
}
