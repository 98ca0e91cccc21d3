/**
 * Sends one request over a kept connection, up to the head of its final answer. Effects only. node:http skips interim
 * answers (1xx), as RFC 9110, section 15.2, asks of each client. `fetch` of Node fails at a 100 that it did not ask
 * for.
 */
import { type IncomingMessage, request as plainRequest } from "node:http";
import { request as secureRequest } from "node:https";
import { pipeline, type Readable } from "node:stream";
import { constants, createBrotliDecompress, createGunzip, createInflate } from "node:zlib";
import type { HttpClient } from "./http_client.ts";
import { type HttpHeaders, mergeHeaders } from "./http_headers.ts";

export interface AnswerHead {
  readonly status: number;
  readonly retryAfter: string | null;
  readonly location: string | null;
  /** Decompressed. Its end keeps the connection for the next request; destroying it closes the connection. */
  readonly body: Readable;
}

const STANDARD_HEADERS: HttpHeaders = { accept: "*/*", "accept-encoding": "gzip, deflate", "user-agent": "headrace" };

export interface OneRequest {
  readonly method: "POST" | "OPTIONS";
  readonly url: string;
  readonly headers: HttpHeaders;
  readonly body?: string;
  readonly client: HttpClient;
  readonly signal: AbortSignal;
}

/** Rejects where no readable answer comes, and once `signal` aborts. */
export function sendRequest({ method, url, headers, body, client, signal }: OneRequest): Promise<AnswerHead> {
  const send = url.startsWith("https:") ? secureRequest : plainRequest;
  // `Headers` trims values, such as the line break at the end of a file that holds a secret.
  const sent = Object.fromEntries(new Headers(mergeHeaders(STANDARD_HEADERS, headers)));
  return new Promise((resolve, reject) => {
    const request = send(url, { method, headers: sent, signal, agent: client.agentOf(url) });
    request.on("response", (response) => {
      const { statusCode: status = 0, headers } = response;
      const { location = null, "retry-after": retryAfter = null } = headers;
      resolve({ status, location, retryAfter, body: decompressed(response, headers["content-encoding"]) });
    });
    request.on("error", reject);
    request.on("close", () => reject(new Error("the connection closed before an answer")));
    // Given a text as the body, node:http would write the headers as UTF-8 too.
    request.end(body === undefined ? undefined : new TextEncoder().encode(body));
  });
}

function decompressed(response: IncomingMessage, encoding: string | undefined): Readable {
  const decoder = decoderOf(encoding?.trim().toLowerCase());
  // The reader of the body gets the error. Without this listener the process would end.
  response.on("error", ignore);
  return decoder === undefined ? response : pipeline(response, decoder, ignore);
}

/** Accepts a compressed body without its checksum, or without any bytes: the connection tells where the body ends. */
const LENIENT = { finishFlush: constants.Z_SYNC_FLUSH };

function decoderOf(encoding: string | undefined) {
  switch (encoding) {
    case "gzip":
    case "x-gzip":
      return createGunzip(LENIENT);
    case "deflate":
      return createInflate(LENIENT);
    case "br":
      return createBrotliDecompress({ finishFlush: constants.BROTLI_OPERATION_FLUSH });
  }
}

const ignore = (): void => undefined;
