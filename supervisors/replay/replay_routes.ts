/** Begins, follows and ends replays over HTTP. For administrators only, as a replay may write to any sink. */
import type { FastifyInstance, FastifyReply, FastifySchemaCompiler } from "fastify";
import type { Schema } from "../../actors/ingest/http/route_schemas.ts";
import { loadDriver } from "../../deps.ts";
import { RejectedError } from "../../protocols/errors.ts";
import type { Grants } from "../security/access/access.ts";
import type { HiddenTexts } from "../security/secrets/hidden_texts.ts";
import type { ReplayRequest } from "./replay_request.ts";
import { BEGIN_ROUTE, CANCEL_ROUTE, REPLAY_ROUTE, REPLAYS_ROUTE } from "./replay_schemas.ts";
import type { Replays } from "./replays.ts";

export interface ReplayRoutesOptions {
  readonly replays: Replays;
  readonly permissionsOf: (request: object) => Grants;
  /** Takes secrets out of every answer: a sink's reason to try again may repeat what its endpoint said. */
  readonly hidden: Pick<HiddenTexts, "hideIn">;
}

interface ReplayPath {
  Params: { readonly name: string };
}

export function mountReplayRoutes(server: FastifyInstance, options: ReplayRoutesOptions): void {
  const { replays, permissionsOf, hidden } = options;
  server.addHook("onRequest", async (request) => refuseOthers(permissionsOf(request)));
  server.addHook("preSerialization", async (_request, _reply, answer) => hidden.hideIn(answer));
  server.get("/v1/replays", { schema: REPLAYS_ROUTE }, async () => ({ replays: await replays.list() }));
  server.post<{ Body: ReplayRequest }>(
    "/v1/replays",
    { schema: BEGIN_ROUTE, validatorCompiler: bodyCheck },
    async ({ body }) => replays.begin(body),
  );
  server.get<ReplayPath>(
    "/v1/replays/:name",
    { schema: REPLAY_ROUTE },
    async ({ params: { name } }, reply) => (await replays.get(name)) ?? tellNone(reply, name),
  );
  server.delete<ReplayPath>(
    "/v1/replays/:name",
    { schema: CANCEL_ROUTE },
    async ({ params: { name } }, reply) => (await replays.cancel(name)) ?? tellNone(reply, name),
  );
}

type Check = ReturnType<FastifySchemaCompiler<Schema>>;

/** Checks bodies and fills in defaults. The schema is compiled at the first request, so that no node waits for it to start. */
function bodyCheck({ schema }: { readonly schema: unknown }): Check {
  const compile = async () => {
    const { Ajv2020 } = await loadDriver("ajv");
    return new Ajv2020({ strict: false, useDefaults: true }).compile(schema as Schema);
  };
  let compiled: ReturnType<typeof compile> | undefined;
  const check = async (body: unknown): Promise<void> => {
    compiled ??= compile();
    compiled.catch(() => (compiled = undefined)); // the next request tries again
    const validate = await compiled;
    if (validate(body)) return;
    const [error] = validate.errors ?? [];
    throw new RejectedError(
      "MALFORMED_FRAME",
      `Cannot replay as ${error?.instancePath || "the body"} ${error?.message?.replace("be object", "be an object") ?? "must be valid"}: see /openapi.json`,
    );
  };
  return check as Check;
}

const tellNone = (reply: FastifyReply, name: string): FastifyReply =>
  reply.status(404).send({ code: "NOT_FOUND", message: `Cannot find a replay called ${name}: see GET /v1/replays` });

function refuseOthers({ mayAdministrate, subject }: Grants): void {
  if (mayAdministrate) return;
  throw new RejectedError("FORBIDDEN", `Cannot replay as the token must have the scope admin: subject is ${subject}`);
}
