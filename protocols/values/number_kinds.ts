/** What numbers a value may hold: whoever has walked over it anyway spares its packer the walks (packed_numbers.ts). */
export interface NumberKinds {
  /** Beyond 32 bits. */
  readonly mayBeLong: boolean;
  readonly mayBeMinusZero: boolean;
}

export const ANY_NUMBERS: NumberKinds = { mayBeLong: true, mayBeMinusZero: true };
