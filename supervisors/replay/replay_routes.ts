/**
 * Begins, follows and ends replays into sinks and pipelines over HTTP. For administrators only, as a replay may write
 * to any sink.
 */
import type { FastifyInstance, FastifyReply } from "fastify";
import type { Channel } from "../../actors/log/log.ts";
import { loadDriver } from "../../deps.ts";
import { RejectedError } from "../../protocols/errors.ts";
import type { Grants } from "../security/access/access.ts";
import type { HiddenTexts } from "../security/secrets/hidden_texts.ts";
import type { ReplayRequest } from "./replay_request.ts";
import type { Replays } from "./replays.ts";

const wholeNumber = { type: "integer", minimum: 0, maximum: Number.MAX_SAFE_INTEGER } as const;
const place = (word: string) =>
  ({
    oneOf: [
      { enum: ["earliest", word] },
      { type: "object", additionalProperties: false, required: ["offset"], properties: { offset: wholeNumber } },
      { type: "object", additionalProperties: false, required: ["timeMs"], properties: { timeMs: wholeNumber } },
    ],
  }) as const;

export const REPLAY_SCHEMA = {
  type: "object",
  additionalProperties: false,
  required: ["name", "stream"],
  properties: {
    name: { type: "string", description: "Begun again under its name, a replay goes on and repeats nothing." },
    stream: { type: "string" },
    channel: {
      type: "string",
      pattern: "^(records|rejected|dead_letters/.+)$",
      default: "records",
      description: "records, rejected or dead_letters/<sink>.",
    },
    from: { ...place("earliest"), description: "earliest (default), {offset} or {timeMs}, a time of append." },
    to: { ...place("latest"), description: "Not included: latest (default: the end seen now), {offset} or {timeMs}." },
    partitions: { type: "array", items: wholeNumber, minItems: 1, uniqueItems: true, description: "Default: all." },
    sink: { type: "string", description: "Straight into this sink." },
    pipeline: { type: "string", description: "Through the steps of this pipeline, into its sinks." },
    isDryRun: { type: "boolean", default: false, description: "Judge and count only." },
  },
} as const;

type Body = Pick<ReplayRequest, "name" | "stream"> & Partial<ReplayRequest>;

/** @param hidden takes secrets out of the reasons why a sink is tried again */
export async function createReplayRoutes(
  replays: Replays,
  grantsOf: (request: object) => Grants,
  hidden: Pick<HiddenTexts, "hideIn">,
) {
  const { Ajv2020 } = await loadDriver("ajv");
  const validate = new Ajv2020({ strict: false }).compile<Body>(REPLAY_SCHEMA);
  const requestOf = (body: unknown): ReplayRequest => {
    if (validate(body)) {
      const { channel = "records" as Channel, from = "earliest", to = "latest", isDryRun = false } = body;
      return { ...body, channel, from, to, isDryRun };
    }
    const [error] = validate.errors ?? [];
    throw new RejectedError(
      "MALFORMED_FRAME",
      `Cannot replay as ${error?.instancePath || "the body"} ${error?.message?.replace("be object", "be an object") ?? "must be valid"}: see /openapi.json`,
    );
  };
  return (server: FastifyInstance): void => {
    server.addHook("onRequest", async (request) => refuseOthers(grantsOf(request)));
    server.get("/v1/replays", async () => ({ replays: hidden.hideIn(await replays.list()) }));
    server.post("/v1/replays", async (request) => replays.begin(requestOf(request.body)));
    server.get<{ Params: ReplayPath }>("/v1/replays/:name", async ({ params: { name } }, reply) => {
      const found = await replays.get(name);
      return found === undefined ? tellNone(reply, name) : hidden.hideIn(found);
    });
    server.delete<{ Params: ReplayPath }>(
      "/v1/replays/:name",
      async ({ params: { name } }, reply) => (await replays.cancel(name)) ?? tellNone(reply, name),
    );
  };
}

interface ReplayPath {
  readonly name: string;
}

const tellNone = (reply: FastifyReply, name: string): FastifyReply =>
  reply.status(404).send({ code: "NOT_FOUND", message: `Cannot find a replay called ${name}: see GET /v1/replays` });

function refuseOthers({ mayAdministrate, subject }: Grants): void {
  if (mayAdministrate) return;
  throw new RejectedError("FORBIDDEN", `Cannot replay as the token must have the scope admin: subject is ${subject}`);
}
