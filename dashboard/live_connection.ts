/**
 * The page's connection to the node: the public WebSocket protocol, the same client that any program uses. It stays with the
 * node that served the page, as a page may speak to no other: what other nodes own is passed on.
 */
import { type Connect, Consumer, connectWebSocket, Producer, SUBPROTOCOL_MSGPACK } from "../protocols/mod.ts";
import { Changes } from "./changes.ts";

export type ConnectionState = "connecting" | "online" | "offline";

export class LiveConnection {
  readonly changes = new Changes();
  readonly consumer: Consumer;
  readonly token: string | undefined;
  state: ConnectionState = "connecting";
  readonly #address: string;
  #producer: Producer | undefined;

  constructor(pageAddress: string, token: string | undefined) {
    const url = new URL("/v1/connect", pageAddress);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    this.#address = url.href;
    this.token = token;
    const connect = reporting(connectWebSocket({ subprotocol: SUBPROTOCOL_MSGPACK }), (state) => {
      this.state = state;
      this.changes.announce();
    });
    this.consumer = new Consumer({ connect, ...this.#identity() });
  }

  /** A producer of this page's own, opened when something is first sent: most pages only look. */
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

/** The same connections, and what became of each. */
function reporting(connect: Connect, onState: (state: ConnectionState) => void): Connect {
  return async (address, events, signal) => {
    try {
      const connection = await connect(
        address,
        {
          onFrame: events.onFrame,
          onClose(error) {
            onState("offline");
            events.onClose(error);
          },
        },
        signal,
      );
      onState("online");
      return connection;
    } catch (error) {
      onState("offline");
      throw error;
    }
  };
}
