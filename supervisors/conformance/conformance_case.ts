/** One case of a suite, for any runner of tests. Cases are independent of one another, and may run in any order. */
export interface ConformanceCase {
  /** A sentence that is true where the case passes, behind the name of the harness. */
  readonly name: string;
  /** Rejects where the case fails. */
  run(): Promise<void>;
}

export const test = (name: string, run: () => Promise<void>): ConformanceCase => ({ name, run });
