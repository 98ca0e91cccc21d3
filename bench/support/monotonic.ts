/** A monotonic clock in ms, the same for all processes of a machine, so that their times can be compared. */
export const monotonicMs = (): number => Number(process.hrtime.bigint()) / 1e6;

export const delay = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
