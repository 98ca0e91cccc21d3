/** Makes the OpenAPI document of the routes' schemas, loaded at the first request. For WebSockets: docs/protocol.md. */
import type { FastifyDynamicSwaggerOptions } from "@fastify/swagger";
import type { FastifyInstance, FastifySchema, HTTPMethods } from "fastify";
import { again, failure, json, type Schema } from "../../actors/ingest/http/route_schemas.ts";
import { loadDriver } from "../../deps.ts";
import { SCHEMA_CONTROLLER } from "./fastify_server.ts";

export interface DescribedRoute {
  readonly method: HTTPMethods;
  readonly url: string;
  readonly schema: FastifySchema | undefined;
  /** Needs no token. */
  readonly isOpen: boolean;
}

const OPENAPI_ROUTE: FastifySchema = {
  summary: "This document.",
  response: { 200: json("OpenAPI 3.1.", { type: "object" }) },
};

/** @param routes all routes of the server, once they are mounted */
export function mountOpenApi(server: FastifyInstance, routes: readonly DescribedRoute[]): void {
  let document: Promise<string> | undefined;
  server.get("/openapi.json", { schema: OPENAPI_ROUTE }, async (_request, reply) => {
    document ??= openApiOf(routes).then((made) => JSON.stringify(made));
    document.catch(() => (document = undefined)); // the next request tries again
    return reply.type("application/json; charset=utf-8").send(await document);
  });
}

const ABOUT = {
  openapi: "3.1.0",
  info: {
    title: "Headrace",
    version: "1",
    description: "Reads, and appends over HTTP. Producers and consumers that stay connected use /v1/connect.",
  },
  security: [{ bearer: [] }],
  components: { securitySchemes: { bearer: { type: "http" as const, scheme: "bearer" } } },
} satisfies FastifyDynamicSwaggerOptions["openapi"];

/** Answers of every route; a route may tell more of them. */
const ALWAYS: Schema = {
  400: failure("The request cannot be read, or a parameter is not as described."),
  403: failure("The token, the Host or the Origin does not allow this."),
  503: again("The node has too many connections, or is stopping."),
};
const NO_TOKEN: Schema = { 401: failure("No valid token was shown.") };

async function openApiOf(routes: readonly DescribedRoute[]): Promise<object> {
  const [{ fastify }, { default: swagger }] = await Promise.all([loadDriver("fastify"), loadDriver("fastify-swagger")]);
  // A server that never listens: it only knows the routes.
  const server = fastify({ exposeHeadRoutes: false, schemaController: SCHEMA_CONTROLLER });
  await server.register(swagger, {
    openapi: ABOUT,
    convertConstToEnum: false,
    refResolver: { buildLocalReference: ({ $id }) => String($id) },
  });
  const shared = new Map<string, Schema>();
  for (const { method, url, schema, isOpen } of routes) {
    if (schema === undefined) continue;
    const response = { ...ALWAYS, ...(isOpen ? {} : NO_TOKEN), ...(schema.response as Schema) };
    const described = referring({ ...schema, ...(isOpen ? { security: [] } : {}), response }, shared);
    server.route({ method, url, schema: described as FastifySchema, handler: () => undefined });
  }
  for (const schema of shared.values()) server.addSchema(schema);
  await server.ready();
  return server.swagger();
}

/** The same with a reference in place of each schema that has a name; these go to `shared`. */
function referring(value: unknown, shared: Map<string, Schema>): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map((one) => referring(one, shared));
  const fields = Object.entries(value).map(([key, one]) => [key, referring(one, shared)] as const);
  const { $id: name } = value as { readonly $id?: unknown };
  if (typeof name !== "string") return Object.fromEntries(fields);
  shared.set(name, Object.fromEntries(fields));
  return { $ref: `${name}#` };
}
