/** Handles single keys on a terminal, each with its action. Does nothing without a terminal. */

export function watchKeys(actions: Readonly<Record<string, () => void>>): { stop(): void } {
  const { stdin } = process;
  if (stdin.isTTY !== true) return { stop() {} };
  const onKeys = (keys: Buffer): void => {
    for (const key of keys.toString()) actions[key]?.();
  };
  stdin.setRawMode(true);
  stdin.on("data", onKeys);
  stdin.resume();
  return {
    stop() {
      stdin.off("data", onKeys);
      stdin.setRawMode(false);
      stdin.pause();
    },
  };
}
