export const EXPECTED: readonly string[] = [];
