/** The connections of one http sink on this node. All its partitions share them, redirects to other origins included. */
import { Agent as PlainAgent } from "node:http";
import { Agent as SecureAgent } from "node:https";
import type { SinkClient } from "../sink.ts";

/** Most connections to one origin. A request beyond them waits for one, within its own deadline. */
const CONNECTIONS_MAX = 256;
/** Milliseconds after which a connection without a request is closed: less than most servers wait. */
const IDLE_TIMEOUT_MS = 5_000;

export class HttpClient implements SinkClient {
  readonly #plain: PlainAgent;
  readonly #secure: SecureAgent;

  constructor() {
    const options = { keepAlive: true, maxSockets: CONNECTIONS_MAX, timeout: IDLE_TIMEOUT_MS } as const;
    this.#plain = new PlainAgent(options);
    this.#secure = new SecureAgent(options);
  }

  agentOf(url: string): PlainAgent | SecureAgent {
    return url.startsWith("https:") ? this.#secure : this.#plain;
  }

  async close(): Promise<void> {
    this.#plain.destroy();
    this.#secure.destroy();
  }
}
