/** A WebSocket client without rules: sends any bytes that it is given, and answers the frames that come back. */
import WebSocket from "ws";
import { decodeFrame, encodeFrame } from "../../../protocols/wire/codec.ts";
import {
  type ClientFrame,
  type NodeFrame,
  SUBPROTOCOL_MSGPACK,
  type Subprotocol,
} from "../../../protocols/wire/frames.ts";

export class RawClient {
  readonly socket: WebSocket;
  readonly subprotocol: Subprotocol;
  /** Frames that came and that the test has not taken. */
  readonly #frames: NodeFrame[] = [];
  readonly #waiting: ((frame: NodeFrame | undefined) => void)[] = [];
  /** The close code, once the connection has ended. */
  readonly closed: Promise<number>;
  #isClosed = false;

  static async open(
    endpoint: string,
    subprotocol: Subprotocol = SUBPROTOCOL_MSGPACK,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<RawClient> {
    const client = new RawClient(new WebSocket(endpoint, subprotocol, { headers }), subprotocol);
    await new Promise<void>((resolve, reject) => {
      client.socket.once("open", resolve);
      client.socket.once("error", reject);
    });
    return client;
  }

  private constructor(socket: WebSocket, subprotocol: Subprotocol) {
    this.socket = socket;
    this.subprotocol = subprotocol;
    socket.on("error", () => undefined); // the close code tells
    socket.on("message", (data, isBinary) => {
      const bytes = data as Buffer;
      const frame = decodeFrame(isBinary ? bytes : bytes.toString("utf8"), subprotocol) as NodeFrame;
      const waiter = this.#waiting.shift();
      if (waiter === undefined) this.#frames.push(frame);
      else waiter(frame);
    });
    this.closed = new Promise((resolve) =>
      socket.on("close", (code) => {
        this.#isClosed = true;
        for (const waiter of this.#waiting.splice(0)) waiter(undefined);
        resolve(code);
      }),
    );
  }

  raw(data: Uint8Array | string): void {
    this.socket.send(data);
  }

  send(frame: ClientFrame): void {
    this.raw(encodeFrame(frame, this.subprotocol));
  }

  /** The next frame, or undefined where the connection ended first. */
  next(): Promise<NodeFrame | undefined> {
    const frame = this.#frames.shift();
    if (frame !== undefined || this.#isClosed) return Promise.resolve(frame);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  async ask(frame: ClientFrame): Promise<NodeFrame | undefined> {
    this.send(frame);
    return this.next();
  }

  /** Greets as a producer and opens a chain; answers the producer epoch. */
  async produceTo(producerId: string, stream: string, partition: number, minor = 0): Promise<number> {
    const welcome = await this.ask({ type: "hello", client: "raw", minor, producerId, instance: "i" });
    if (welcome?.type !== "welcome") throw new Error(`no welcome: ${JSON.stringify(welcome)}`);
    const producerEpoch = welcome.producerEpoch ?? 0;
    const opened = await this.ask({ type: "open", stream, partition, producerEpoch });
    if (opened?.type !== "opened") throw new Error(`not opened: ${JSON.stringify(opened)}`);
    return producerEpoch;
  }

  end(): void {
    this.socket.terminate();
  }
}
