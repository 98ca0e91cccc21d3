/** A bounded history of numbers on one time axis, in the column form that charts draw. */

/** A column without a value at some time holds null there: its line has a gap. */
export type Columns = readonly [timesSeconds: number[], ...values: (number | null)[][]];

export class TimeSeries {
  readonly #windowMs: number;
  readonly #times: number[] = [];
  readonly #rows: ReadonlyMap<string, number>[] = [];

  constructor(windowMs: number) {
    this.#windowMs = windowMs;
  }

  add(atMs: number, row: ReadonlyMap<string, number>): void {
    this.#times.push(atMs / 1_000);
    this.#rows.push(row);
    const firstKept = this.#times.findIndex((time) => atMs - time * 1_000 <= this.#windowMs);
    this.#times.splice(0, firstKept);
    this.#rows.splice(0, firstKept);
  }

  columns(names: readonly string[]): Columns {
    return [[...this.#times], ...names.map((name) => this.#rows.map((row) => row.get(name) ?? null))];
  }
}
