/**
 * One request over a kept connection, up to the head of its final answer. Effects only. The requests of node:http read over interim
 * answers (1xx), as RFC 9110, section 15.2, asks of each client. `fetch` of Node fails at a 100 that it did not ask for.
 */
import { type IncomingMessage, request as plainRequest } from "node:http";
import { request as secureRequest } from "node:https";
import { pipeline, type Readable } from "node:stream";
import { constants, createBrotliDecompress, createGunzip, createInflate } from "node:zlib";
import { type HttpHeaders, mergeHeaders } from "./http_headers.ts";

export interface AnswerHead {
  readonly status: number;
  readonly retryAfter: string | null;
  readonly location: string | null;
  /** Decompressed. Whoever reads it to its end leaves the connection for the next request; whoever destroys it ends both. */
  readonly body: Readable;
}

const STANDARD_HEADERS: HttpHeaders = { accept: "*/*", "accept-encoding": "gzip, deflate", "user-agent": "headrace" };

/** Rejects where no answer comes, or none that can be read, and once `signal` aborts. */
export function sendPost(url: string, headers: HttpHeaders, body: string, signal: AbortSignal): Promise<AnswerHead> {
  const send = url.startsWith("https:") ? secureRequest : plainRequest;
  // `Headers` takes off the blanks around a value, such as the line break at the end of a file that holds a secret.
  const sent = Object.fromEntries(new Headers(mergeHeaders(STANDARD_HEADERS, headers)));
  return new Promise((resolve, reject) => {
    const request = send(url, { method: "POST", headers: sent, signal });
    request.on("response", (response) => resolve(headOf(response)));
    request.on("error", reject);
    request.on("close", () => reject(new Error("the connection closed before an answer")));
    // As bytes: next to a text, node:http would write the headers as UTF-8.
    request.end(new TextEncoder().encode(body));
  });
}

function headOf(response: IncomingMessage): AnswerHead {
  const { statusCode = 0, headers } = response;
  const { location = null, "retry-after": retryAfter = null } = headers;
  return { status: statusCode, location, retryAfter, body: decompressed(response, headers["content-encoding"]) };
}

function decompressed(response: IncomingMessage, encoding: string | undefined): Readable {
  const decoder = decoderOf(encoding?.trim().toLowerCase());
  // An error reaches the reader of the body; here it concerns nobody.
  response.on("error", ignore);
  return decoder === undefined ? response : pipeline(response, decoder, ignore);
}

/** An end without its checksum, or a body of no bytes, is an end: its length is the connection's to say. */
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
