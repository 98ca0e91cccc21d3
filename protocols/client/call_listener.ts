/**
 * Calls a function of the application. An error of that function must not stop the client or its further callbacks: it
 * is thrown from a microtask, where the runtime reports uncaught errors.
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
