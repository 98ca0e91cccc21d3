/** The requests under way at a node's stop. One that is cut before its answer would leave its sender in doubt. */
import type { FastifyReply } from "fastify";
import { UnavailableError } from "../../protocols/errors.ts";

const REFUSAL = "the node must take requests: it is stopping";

export class RequestsUnderWay {
  readonly #replies = new Set<FastifyReply>();
  #isDraining = false;
  #onEmpty: (() => void) | undefined;

  begin(reply: FastifyReply): void {
    this.#replies.add(reply);
    if (this.#isDraining) reply.raw.shouldKeepAlive = false;
    reply.raw.once("close", () => {
      this.#replies.delete(reply);
      if (this.#replies.size === 0) this.#onEmpty?.();
    });
  }

  /** Throws `UnavailableError` `STOPPING`. */
  refuseDraining(): void {
    if (this.#isDraining) throw new UnavailableError("STOPPING", `Cannot answer as ${REFUSAL}`);
  }

  async drain(withinMs: number): Promise<void> {
    this.#isDraining = true;
    for (const { raw } of this.#replies) if (!raw.headersSent) raw.shouldKeepAlive = false;
    await this.#empty(withinMs);
    for (const reply of this.#replies) cutShort(reply);
    await this.#empty(CUT_SHORT_WITHIN_MS);
  }

  #empty(withinMs: number): Promise<void> {
    if (this.#replies.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, withinMs);
      this.#onEmpty = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** Milliseconds for an answer to be sent. */
const CUT_SHORT_WITHIN_MS = 250;

/** Discards the later result of the request's handler. */
function cutShort(reply: FastifyReply): void {
  if (reply.raw.headersSent) return;
  reply.hijack();
  const message = `Cannot tell what became of the request as ${REFUSAL}`;
  const body = JSON.stringify({ code: "STOPPING", message });
  const headers = {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
    connection: "close",
  };
  reply.raw.writeHead(503, headers).end(body);
}
