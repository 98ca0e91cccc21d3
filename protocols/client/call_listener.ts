/** Calls a function of the application. Its error must not stop the client: a microtask throws it to the runtime. */
export function callListener(call: () => void): void {
  try {
    call();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
