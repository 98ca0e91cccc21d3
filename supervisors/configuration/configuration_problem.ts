/** A problem of a configuration, with its place. */

export interface Problem {
  /** 1-based; 0 if the problem belongs to no line. */
  readonly line: number;
  /** JSON Pointer to the place. */
  readonly path: string;
  readonly reason: string;
}

/** The 1-based line of a place, or of the nearest one around it. */
export type LineAt = (path: readonly (string | number)[]) => number;

/** @param path the parts of the place, which hold no slash */
export const problemAt = (lineAt: LineAt, path: readonly (string | number)[], reason: string): Problem => ({
  line: lineAt(path),
  path: `/${path.join("/")}`,
  reason,
});
