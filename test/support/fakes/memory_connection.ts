/** Connections in memory to a function that answers frames with frames. */

import type { Connect, ConnectionEvents } from "../../../protocols/connection.ts";
import { UnavailableError } from "../../../protocols/errors.ts";
import { encodeFrame, wireBytes } from "../../../protocols/wire/codec.ts";
import { type ClientFrame, type NodeFrame, SUBPROTOCOL_MSGPACK } from "../../../protocols/wire/frames.ts";

export class MemoryNetwork {
  readonly addresses: string[] = [];
  isUp = true;
  /** Answers wait here while the network is held. */
  isHeld = false;
  private held: (() => void)[] = [];
  private open: ConnectionEvents | undefined;
  private readonly answer: (frame: ClientFrame, bytes: number) => NodeFrame[];

  constructor(answer: (frame: ClientFrame, bytes: number) => NodeFrame[]) {
    this.answer = answer;
  }

  readonly connect: Connect = async (address, events) => {
    this.addresses.push(address);
    if (!this.isUp) throw new UnavailableError("CONNECTION_LOST", "down");
    this.open = events;
    return {
      bufferedBytes: 0,
      send: (frame) => {
        const bytes = wireBytes(encodeFrame(frame, SUBPROTOCOL_MSGPACK));
        for (const answer of this.answer(frame, bytes)) {
          const deliver = () =>
            this.open === events && events.onFrame(answer, wireBytes(encodeFrame(answer, SUBPROTOCOL_MSGPACK)));
          if (this.isHeld) this.held.push(deliver);
          else queueMicrotask(deliver);
        }
        return bytes;
      },
      close: () => {
        if (this.open === events) this.open = undefined;
      },
    };
  };

  say(frame: NodeFrame): void {
    this.open?.onFrame(frame, wireBytes(encodeFrame(frame, SUBPROTOCOL_MSGPACK)));
  }

  release(): void {
    this.isHeld = false;
    for (const deliver of this.held.splice(0)) deliver();
  }

  cut(): void {
    this.held = [];
    const events = this.open;
    this.open = undefined;
    events?.onClose(new UnavailableError("CONNECTION_LOST", "cut"));
  }
}
