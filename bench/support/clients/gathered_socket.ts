/**
 * A WebSocket client whose small frames leave together, for every load generator that speaks WebSocket through `ws`: else a
 * system call for each frame is what a benchmark measures.
 */
import type { Socket } from "node:net";
import WebSocket from "ws";

/** A frame of this size is worth a write of its own, and the other side may begin with it. */
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
