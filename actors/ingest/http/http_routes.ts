/**
 * `POST /v1/streams/:stream/events`: one event or many, as JSON, lines of JSON or MessagePack, answered once they are
 * durable. 200 with the accepted and the rejected events; 422 where all events were rejected; 429 where a partition
 * refuses appends for now; 503 where some events had no answer in time.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { UnavailableError } from "../../../protocols/errors.ts";
import { isTraceparent } from "../../../protocols/traceparent.ts";
import type { Permissions, StreamDirectory } from "../session.ts";
import { checkScope } from "../shown_streams.ts";
import type { IngestAnswer } from "./http_answer.ts";
import { holderOf, isKnownEncoding, readBody } from "./http_body.ts";
import { chooseFormat, parseEvents } from "./http_events.ts";
import { type HttpIngest, INGEST_LIMITS } from "./http_ingest.ts";
import type { HttpMemory } from "./http_memory.ts";
import { readKey } from "./idempotency_key.ts";
import { INGEST_ROUTE } from "./ingest_schema.ts";

interface IngestRoutesOptions {
  readonly ingest: HttpIngest;
  readonly memory: HttpMemory;
  readonly directory: Pick<StreamDirectory, "describe">;
  readonly permissionsOf: (request: object) => Permissions;
  /** Formats of bodies that the stream takes besides JSON and MessagePack: `form`, `text`. */
  readonly bodyFormatsOf: (stream: string) => readonly string[];
  /** The reason why no event can be stored now; undefined where the log is ready. */
  readonly unreadiness: () => string | undefined;
}

export function mountIngestRoutes(server: FastifyInstance, options: IngestRoutesOptions): void {
  // Bodies are read here, within bounds of our own, whatever their type.
  server.removeAllContentTypeParsers();
  server.addContentTypeParser("*", (_request, _payload, done) => done(null));
  server.post<{ Params: { stream: string } }>(
    "/v1/streams/:stream/events",
    { schema: INGEST_ROUTE },
    (request, reply) => ingest(request, reply, options),
  );
}

async function ingest(
  request: FastifyRequest<{ Params: { stream: string } }>,
  reply: FastifyReply,
  options: IngestRoutesOptions,
): Promise<FastifyReply> {
  const { stream } = request.params;
  const permissions = options.permissionsOf(request);
  const { subject, owner, quota } = permissions;
  checkScope(options.directory.describe(), permissions, stream, "produce", "append to");
  const unreadiness = options.unreadiness();
  if (unreadiness !== undefined) {
    throw new UnavailableError("NOT_READY", `Cannot append to ${stream} as the log must be ready: ${unreadiness}`);
  }
  quota?.admit();
  const chosen = chooseFormat(request.headers["content-type"], options.bodyFormatsOf(stream));
  const encoding = (request.headers["content-encoding"] ?? "identity").trim().toLowerCase();
  if (chosen.kind === "refused") return refuseMedia(reply, chosen.reason);
  if (!isKnownEncoding(encoding)) {
    return refuseMedia(reply, `its encoding must be gzip or identity: current value is ${encoding}`);
  }
  const key = readKey(request.raw.headersDistinct["idempotency-key"]);
  const holder = holderOf(request.raw, owner);
  const body = await readBody(request.raw, encoding, options.memory, holder).catch((error: unknown) => {
    reply.header("Connection", "close"); // the rest of the body is not read
    throw error;
  });
  try {
    const events = parseEvents(chosen.format, body.bytes);
    // Requests that began together passed the first check together: each is checked again once its size is known.
    quota?.admit();
    quota?.take(events.length, body.bytes.byteLength);
    const idempotency = key === undefined ? undefined : { key, subject, owner, payload: body.bytes };
    const answer = await options.ingest.append({ stream, events, traceparent: traceparentOf(request), idempotency });
    return send(reply, answer, key);
  } finally {
    body.release();
  }
}

/** A trace context that is not well formed counts as none (W3C Trace Context, 3.2). */
function traceparentOf(request: FastifyRequest): string | undefined {
  const header = request.headers.traceparent;
  return typeof header === "string" && isTraceparent(header) ? header : undefined;
}

const refuseMedia = (reply: FastifyReply, reason: string): FastifyReply =>
  reply
    .status(415)
    .header("Accept-Post", "application/json, application/*+json, application/x-ndjson, application/msgpack")
    .header("Accept-Encoding", "gzip, identity")
    .header("Connection", "close")
    .send({ code: "UNSUPPORTED_MEDIA_TYPE", message: `Cannot read the request as ${reason}` });

function send(reply: FastifyReply, answer: IngestAnswer, key: string | undefined): FastifyReply {
  const { accepted, rejected, partitions, unknown, refused, refusal, isReplayed } = answer;
  if (isReplayed) reply.header("Idempotency-Replayed", "true");
  if (unknown.length === 0 && refusal !== undefined) {
    return reply
      .status(429)
      .header("Retry-After", Math.ceil(refusal.retryAfterMs / 1_000))
      .send({ code: refusal.code, message: refusal.message, accepted, rejected, partitions, refused });
  }
  if (unknown.length === 0) {
    return reply.status(accepted === 0 ? 422 : 200).send({ accepted, rejected, partitions });
  }
  const advice =
    key === undefined
      ? "sent again, they may be stored twice: use an Idempotency-Key"
      : "a retry with the same Idempotency-Key completes them";
  return reply
    .status(503)
    .header("Retry-After", Math.ceil(INGEST_LIMITS.retryAfterMs / 1_000))
    .send({
      code: "TIMEOUT",
      message: `Cannot tell what became of ${unknown.length} events as the log must answer in time: ${advice}`,
      accepted,
      rejected,
      partitions,
      unknown,
      ...(refused.length === 0 ? {} : { refused }),
    });
}
