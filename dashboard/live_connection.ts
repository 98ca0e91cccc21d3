/**
 * The page's connection to the node, by the public protocol and the same client that any program uses. It stays with
 * the node that served the page, as a page may connect to no other. That node passes on reads and appends to other
 * owners.
 */
import { Consumer, connectWebSocket, Producer, SUBPROTOCOL_MSGPACK } from "../protocols/mod.ts";
import { Changes } from "./changes.ts";
import type { ToldState } from "./connection_words.ts";

export class LiveConnection {
  readonly changes = new Changes();
  readonly consumer: Consumer;
  readonly token: string | undefined;
  /** Undefined before the consumer has told its first state. */
  told: ToldState | undefined;
  readonly #address: string;
  #producer: Producer | undefined;

  constructor(pageAddress: string, token: string | undefined) {
    const url = new URL("/v1/connect", pageAddress);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    this.#address = url.href;
    this.token = token;
    this.consumer = new Consumer({
      connect: connectWebSocket({ subprotocol: SUBPROTOCOL_MSGPACK }),
      ...this.#identity(),
      onState: (state) => {
        this.told = { ...state, atMs: Date.now() };
        this.changes.announce();
      },
    });
  }

  /** The page's own producer, opened when an event is first sent: most pages send none. */
  get producer(): Producer {
    this.#producer ??= new Producer({
      connect: connectWebSocket({ subprotocol: SUBPROTOCOL_MSGPACK }),
      producerId: `page-${crypto.getRandomValues(new Uint32Array(2)).join("-")}`,
      ...this.#identity(),
    });
    return this.#producer;
  }

  close(): void {
    this.consumer.close();
    void this.#producer?.close({ timeoutMs: 1_000 });
  }

  #identity() {
    const { token } = this;
    return {
      ...{ addresses: [this.#address], client: "headrace-page", forward: true },
      ...(token === undefined ? {} : { token }),
    };
  }
}
