/**
 * Calls a function of the application. Its error is no reason to lose the rest of what is to be told, or the client's own
 * work: the error is thrown by itself, where the runtime reports uncaught errors.
 */
export function callListener(call: () => void): void {
  try {
    call();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
