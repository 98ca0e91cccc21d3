/** Resolves the references of a schema by JSON Pointer, anchor or absolute identity, within one document. */
import { isSchemaObject, type JsonSchema, subschemasOf } from "./keywords.ts";

/** A schema with an identity of its own, and the anchors within it. */
export interface Resource {
  readonly uri: string;
  readonly root: JsonSchema;
  readonly anchors: Map<string, JsonSchema>;
  readonly dynamicAnchors: Map<string, JsonSchema>;
}

export interface Target {
  readonly schema: unknown;
  readonly resource: Resource;
}

/** The base of references in a schema without `$id`. */
const NO_IDENTITY = "schema:/root";

export class References {
  readonly #resources = new Map<string, Resource>();
  readonly #resourceOf = new Map<JsonSchema, Resource>();
  readonly #root: Resource;
  /** Whether a `$dynamicRef` can lead to another resource than its own. */
  readonly isDynamic: boolean;

  /** Throws `Error` for an identity or anchor that is given twice or cannot be read. */
  constructor(root: JsonSchema) {
    const own = typeof root.$id === "string" ? resolve(root.$id, NO_IDENTITY) : NO_IDENTITY;
    this.#root = this.#add(own, root);
    this.#index(root, this.#root);
    this.isDynamic =
      this.#resources.size > 1 && [...this.#resources.values()].some((one) => one.dynamicAnchors.size > 0);
  }

  #add(uri: string, root: JsonSchema): Resource {
    if (this.#resources.has(uri)) throw new Error(`$id must be given once: current value is ${uri}`);
    const resource: Resource = { uri, root, anchors: new Map(), dynamicAnchors: new Map() };
    this.#resources.set(uri, resource);
    return resource;
  }

  #index(schema: JsonSchema, resource: Resource): void {
    this.#resourceOf.set(schema, resource);
    for (const [keyword, anchors] of [
      ["$anchor", resource.anchors],
      ["$dynamicAnchor", resource.dynamicAnchors],
    ] as const) {
      const name = schema[keyword];
      if (typeof name !== "string") continue;
      if (resource.anchors.has(name)) throw new Error(`anchors must be given once: current value is ${name}`);
      anchors.set(name, schema);
      resource.anchors.set(name, schema);
    }
    for (const subschema of subschemasOf(schema)) {
      if (!isSchemaObject(subschema)) continue;
      const { $id } = subschema;
      const isResource = typeof $id === "string" && !$id.startsWith("#");
      this.#index(subschema, isResource ? this.#add(resolve($id, resource.uri), subschema) : resource);
    }
  }

  /** Each resource that has a dynamic anchor of this name, with its schema. */
  *dynamicAnchors(name: string): Iterable<readonly [Resource, JsonSchema]> {
    for (const resource of this.#resources.values()) {
      const schema = resource.dynamicAnchors.get(name);
      if (schema !== undefined) yield [resource, schema];
    }
  }

  resourceOf(schema: JsonSchema): Resource {
    const resource = this.#resourceOf.get(schema);
    if (resource === undefined) throw new Error("a reference must lead to a schema: it leads elsewhere");
    return resource;
  }

  /** As `resourceOf`; the document's own resource for a schema that was made from parts of it. */
  resourceAround(schema: JsonSchema): Resource {
    return this.#resourceOf.get(schema) ?? this.#root;
  }

  /** The target of a `$ref` or, at first sight, of a `$dynamicRef`. Throws `Error` where it leads nowhere. */
  resolve(reference: string, from: Resource): Target {
    const [uri = "", fragment = ""] = resolve(reference, from.uri).split("#");
    const resource = this.#resources.get(uri);
    if (resource === undefined) {
      throw new Error(`can't resolve reference ${reference}: it must lead to a place in the same schema`);
    }
    const found = find(resource, decodeURIComponent(fragment));
    if (found === undefined) throw new Error(`can't resolve reference ${reference} from ${from.uri}`);
    if (!isSchemaObject(found)) return { schema: found, resource };
    if (!this.#resourceOf.has(found)) this.#index(found, resource); // below a keyword that is not known
    return { schema: found, resource: this.resourceOf(found) };
  }
}

function find(resource: Resource, fragment: string): unknown {
  if (fragment === "") return resource.root;
  if (!fragment.startsWith("/")) return resource.anchors.get(fragment);
  let value: unknown = resource.root;
  for (const part of fragment.slice(1).split("/")) {
    const key = part.replaceAll("~1", "/").replaceAll("~0", "~");
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<string, unknown>)[key];
  }
  return value;
}

function resolve(reference: string, base: string): string {
  try {
    return new URL(reference, base).href.replace(/#$/, "");
  } catch (error) {
    if (reference.startsWith("#")) return base.split("#")[0] + (reference === "#" ? "" : reference);
    throw new Error(`references must be URIs: current value is ${reference}`, { cause: error });
  }
}
