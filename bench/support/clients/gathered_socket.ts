/**
 * A WebSocket client whose small frames leave together, for every load generator that uses `ws`. Without it a benchmark
 * would measure a system call for each frame.
 */
import type { Socket } from "node:net";
import WebSocket from "ws";

/** A frame of this size is written at once, so that the other side can begin with it. */
const LARGE_BYTES = 8_192;

export class GatheredSocket extends WebSocket {
  #isCorked = false;

  sendGathered(data: Uint8Array | string): void {
    const socket = (this as unknown as { readonly _socket: Socket })._socket;
    if (!this.#isCorked && data.length < LARGE_BYTES) {
      this.#isCorked = true;
      socket.cork();
      queueMicrotask(() => {
        this.#isCorked = false;
        socket.uncork();
      });
    }
    this.send(data);
  }
}
