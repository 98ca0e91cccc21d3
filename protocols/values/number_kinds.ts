/** The kinds of numbers that a value may hold. Known from an earlier walk, they spare the packer another walk. */
export interface NumberKinds {
  /** True where a number may be beyond 32 bits. */
  readonly mayBeLong: boolean;
  /** True where a number may be -0. */
  readonly mayBeMinusZero: boolean;
}

/** For a value that was not walked over. */
export const ANY_NUMBERS: NumberKinds = { mayBeLong: true, mayBeMinusZero: true };
