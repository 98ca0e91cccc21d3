/**
 * A WebSocket client whose frames of one turn of the event loop leave in one write, for every load generator that speaks
 * WebSocket through `ws`: else a system call for each small frame is what a benchmark measures.
 */
import type { Socket } from "node:net";
import WebSocket from "ws";

export class GatheredSocket extends WebSocket {
  #isCorked = false;

  sendGathered(data: Uint8Array | string): void {
    const socket = (this as unknown as { readonly _socket: Socket })._socket;
    if (!this.#isCorked) {
      this.#isCorked = true;
      socket.cork();
      setImmediate(() => {
        this.#isCorked = false;
        socket.uncork();
      });
    }
    this.send(data);
  }
}
