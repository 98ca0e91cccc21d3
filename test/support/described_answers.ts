/** Asks a server, and holds each answer to the schema that the server's own /openapi.json has for it. */
import { Ajv2020 } from "ajv/dist/2020.js";
import * as assert from "uvu/assert";

export interface Operation {
  readonly summary?: string;
  readonly security?: readonly object[];
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly schema: object }[];
  readonly requestBody?: { readonly content: object };
  readonly responses: Readonly<Record<string, Described>>;
}
interface Described {
  readonly description: string;
  readonly headers?: Readonly<Record<string, { readonly schema: { readonly type?: string } }>>;
  readonly content?: Readonly<Record<string, { readonly schema: object }>>;
}
export interface OpenApi {
  readonly openapi: string;
  readonly info: { readonly title: string; readonly version: string };
  readonly security: readonly object[];
  readonly paths: Readonly<Record<string, { readonly [method: string]: Operation; readonly post?: Operation }>>;
  readonly components: { readonly schemas: Readonly<Record<string, object>> };
}

/** Knows the document as `document`, and refuses keywords that JSON Schema does not have. */
export function strictAjv(document: unknown): Ajv2020 {
  const ajv = new Ajv2020({ strict: true, allErrors: true, formats: { binary: true } });
  ajv.addVocabulary(["openapi", "info", "security", "components", "paths"]);
  return ajv.addSchema(document as object, "document");
}

const pointer = (...parts: readonly string[]): string =>
  parts.map((part) => `/${encodeURIComponent(part.replaceAll("~", "~0").replaceAll("/", "~1"))}`).join("");

/** The same, where an object has no fields but those that are described. */
function closed(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(closed);
  const fields = Object.fromEntries(Object.entries(value).map(([key, one]) => [key, closed(one)]));
  const isShut = fields.type === "object" && "properties" in fields && !("additionalProperties" in fields);
  return isShut ? { ...fields, additionalProperties: false } : fields;
}

export interface Asked {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Readonly<Record<string, unknown>>;
}

export class DescribedAnswers {
  readonly document: OpenApi;
  /** Such as `GET /v1/streams/{stream} 200`. */
  readonly seen = new Set<string>();
  readonly #address: string;
  readonly #ajv: Ajv2020;

  private constructor(address: string, document: OpenApi) {
    this.#address = address;
    this.document = document;
    this.#ajv = strictAjv(closed(document));
  }

  static async of(address: string): Promise<DescribedAnswers> {
    return new DescribedAnswers(address, (await (await fetch(`${address}/openapi.json`)).json()) as OpenApi);
  }

  async ask(path: string, options: RequestInit = {}): Promise<Asked> {
    const response = await fetch(`${this.#address}${path}`, options);
    const text = await response.text();
    const { method = "GET" } = options;
    const [template, operation] = this.#operationOf(method, path);
    const what = `${method} ${template} ${response.status}`;
    this.seen.add(what);
    const described = operation.responses[response.status];
    assert.ok(described, `${what} is described: ${text}`);
    for (const [name, { schema }] of Object.entries(described.headers ?? {})) {
      if (schema.type === "integer") assert.match(response.headers.get(name) ?? "", /^\d+$/, `${what} ${name}`);
    }
    const [type = ""] = (response.headers.get("content-type") ?? "").split(";");
    assert.ok(described.content?.[type], `${what} is described as ${type}`);
    const at = pointer("paths", template, method.toLowerCase(), "responses", String(response.status), "content", type);
    const body: unknown = type === "application/json" ? JSON.parse(text) : text;
    const check = this.#ajv.compile({ $ref: `document#${at}/schema` });
    assert.ok(check(body), `${what}: ${this.#ajv.errorsText(check.errors)} in ${text}`);
    return { status: response.status, headers: response.headers, body: body as Asked["body"] };
  }

  #operationOf(method: string, path: string): readonly [string, Operation] {
    const given = (path.split("?")[0] ?? "").split("/");
    for (const [template, operations] of Object.entries(this.document.paths)) {
      const parts = template.split("/");
      const operation = operations[method.toLowerCase()];
      const isSame = parts.every((part, at) => part === given[at] || part.startsWith("{"));
      if (operation !== undefined && parts.length === given.length && isSame) return [template, operation];
    }
    throw new Error(`no route of /openapi.json is ${method} ${path}`);
  }
}
