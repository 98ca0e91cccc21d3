/**
 * Sends one post, follows redirects, and reads the start of the answer's body, bounded in bytes and time. Decides
 * nothing: http_redirects.ts and http_answer.ts do.
 */
import type { Readable } from "node:stream";
import type { HttpClient } from "./http_client.ts";
import { sendRequest } from "./http_connection.ts";
import { type HttpHeaders, mergeHeaders } from "./http_headers.ts";
import { isRedirect, judgeRedirect, type RedirectOptions } from "./http_redirects.ts";

export interface Answer {
  readonly status: number;
  readonly retryAfter: string | null;
  readonly body: string;
  readonly isBodyWhole: boolean;
}

export type Exchange =
  | ({ readonly kind: "answered" } & Answer)
  /** No readable answer came: whether the records were taken is not known. */
  | { readonly kind: "unanswered"; readonly reason: string }
  | { readonly kind: "misdirected"; readonly reason: string };

export interface PostOptions {
  readonly client: HttpClient;
  readonly url: string;
  readonly redirects?: RedirectOptions;
  /** Deadline of the whole exchange, in ms. */
  readonly timeoutMs: number;
  readonly bodyBytesMax: number;
  /** Time for the body of the answer, from the end of its head, in ms. */
  readonly bodyWithinMs: number;
}

export interface Post {
  readonly body: string;
  /** The address of this request, at the origin of the configured one. Absent: the configured one. */
  readonly url?: string;
  /** Headers of the configuration, sent to the endpoint's own origin only. */
  readonly ownHeaders: HttpHeaders;
  /** Headers of the sink, sent to each origin. */
  readonly headers: HttpHeaders;
}

export class HttpPoster {
  readonly #options: PostOptions;
  /** The address that a 308 led to: the endpoint has moved for good. */
  #moved: { readonly url: string; readonly isOwnOrigin: boolean } | undefined;

  constructor(options: PostOptions) {
    this.#options = options;
  }

  async post(post: Post, signal?: AbortSignal): Promise<Exchange> {
    const { timeoutMs } = this.#options;
    const deadline = AbortSignal.timeout(timeoutMs);
    try {
      return await this.#follow(post, signal === undefined ? deadline : AbortSignal.any([signal, deadline]));
    } catch (error) {
      this.#moved = undefined;
      return { kind: "unanswered", reason: deadline.aborted ? `no answer within ${timeoutMs} ms` : causeOf(error) };
    }
  }

  async #follow(post: Post, signal: AbortSignal): Promise<Exchange> {
    const { client, url: configured, redirects, bodyBytesMax, bodyWithinMs } = this.#options;
    // Where each record has an address of its own, no move of one of them is remembered.
    let at = (post.url === undefined ? this.#moved : undefined) ?? { url: post.url ?? configured, isOwnOrigin: true };
    let isForGood = post.url === undefined;
    for (let followed = 0; ; followed += 1) {
      const headers = at.isOwnOrigin ? mergeHeaders(post.ownHeaders, post.headers) : post.headers;
      const answer = await sendRequest({ method: "POST", url: at.url, headers, body: post.body, client, signal });
      const { status, retryAfter, location } = answer;
      if (!isRedirect(status)) {
        const { text, isWhole } = await readStart(answer.body, bodyBytesMax, bodyWithinMs);
        if (followed > 0 && isForGood) this.#moved = at;
        if (status < 200 || status > 299) this.#moved = undefined;
        return { kind: "answered", status, retryAfter, body: text, isBodyWhole: isWhole };
      }
      await readStart(answer.body, bodyBytesMax, bodyWithinMs); // to its end, so that the connection is kept
      const redirect = judgeRedirect({ status, location }, at.url, configured, followed, redirects);
      if (redirect.kind === "refused") return { kind: "misdirected", reason: redirect.reason };
      isForGood &&= status === 308;
      at = redirect;
    }
  }
}

/** Reads the body within the bounds. A body that was read to its end leaves the connection for the next post. */
async function readStart(body: Readable, bytesMax: number, withinMs: number) {
  const chunks: AsyncIterator<Uint8Array> = body[Symbol.asyncIterator]();
  const decoder = new TextDecoder();
  let text = "";
  let left = bytesMax;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<"late">((resolve) => {
    timer = setTimeout(() => resolve("late"), withinMs);
  });
  try {
    for (;;) {
      const next = await Promise.race([chunks.next(), late]);
      if (next === "late") return { text, isWhole: false };
      if (next.done === true) return { text: text + decoder.decode(), isWhole: true };
      text += decoder.decode(next.value.subarray(0, left), { stream: true });
      left -= next.value.byteLength;
      if (left < 0) return { text, isWhole: false };
    }
  } catch (error) {
    // The head of the answer suffices, unless the caller needs the whole body.
    return { text: `${text} (broke off: ${causeOf(error)})`, isWhole: false };
  } finally {
    clearTimeout(timer);
    if (!body.readableEnded) body.destroy();
  }
}

/** Where all addresses of a host fail, the reason of the first one. */
export function causeOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === "") return causeOf(error.errors[0]);
  return error instanceof Error ? ((error.cause as Error | undefined)?.message ?? error.message) : String(error);
}
