/**
 * The budget of one comparison of schemas, in steps. Steps are counted instead of time, so that the verdict is the same
 * on every machine and at every start. Every loop whose length the schemas decide takes its steps before it begins.
 */

/** The most steps of one comparison, each as long as a step of `run.ts`: 50 to 200 ms on one core of 2026. */
const STEPS_MAX = 8_000_000;

/** Thrown where the steps are spent, and caught where the comparison began. */
export class BudgetSpentError extends Error {}

export class ComparisonBudget {
  #left = STEPS_MAX;

  take(steps: number): void {
    this.#left -= steps;
    if (this.#left < 0) throw new BudgetSpentError(`a comparison may take ${STEPS_MAX} steps`);
  }
}
