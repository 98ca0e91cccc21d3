/** One clock for all processes of a machine, never set back: what one of them did is timed against another's answer. */
export const monotonicMs = (): number => Number(process.hrtime.bigint()) / 1e6;

export const delay = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
