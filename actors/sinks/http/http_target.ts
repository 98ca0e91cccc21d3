/**
 * The address and the headers of a request, which records may fill (template.ts). Pure. A value never leads to another
 * origin, and never to another folder of it: each is one part of a segment of the path, or of the query.
 */
import { ConfigurationError } from "../../../protocols/errors.ts";
import type { PartitionReference } from "../../../protocols/position.ts";
import type { Inexpressible } from "../expressible.ts";
import type { SinkRecord } from "../sink.ts";
import { compileTemplate, type Template } from "../template.ts";
import type { HttpHeaders } from "./http_headers.ts";

export interface TargetOptions {
  readonly url: string;
  readonly headers?: HttpHeaders;
}

export type Target =
  | { readonly kind: "target"; readonly url: string; readonly headers: HttpHeaders }
  | ({ readonly kind: "fault" } & Inexpressible);

/** The scheme and the host, and the character that ends them. */
const ORIGIN = /^https?:\/\/[^/?#]+[/?#]/;
const DOT_SEGMENT = /^(?:\.|%2e){1,2}$/i;

export class HttpTargets {
  /** True where all records go to one address, with the same headers. */
  readonly isFixed: boolean;
  readonly #url: Template;
  readonly #headers: readonly (readonly [name: string, value: Template])[];
  readonly #fixed: Target;

  /** Throws `ConfigurationError` for a template that cannot be used. */
  constructor({ url, headers = {} }: TargetOptions) {
    this.#url = compileTemplate(url, "'url'");
    this.#headers = Object.entries(headers).map(([name, value]) => [name, compileTemplate(value, `header '${name}'`)]);
    this.isFixed = this.#url.isFixed && this.#headers.every(([, value]) => value.isFixed);
    this.#fixed = { kind: "target", url, headers };
    if (this.#url.isFixed || ORIGIN.test(this.#url.fixedStart)) return;
    const must = "a template must stand behind the host and a '/', '?' or '#'";
    throw new ConfigurationError(
      "INVALID_CONFIGURATION",
      `Cannot post records as in 'url' ${must}: current value is ${url.slice(0, 200)}`,
    );
  }

  of(record: Pick<SinkRecord, "event" | "timeMs">, place: PartitionReference): Target {
    if (this.isFixed) return this.#fixed;
    const url = this.#url.render(record, place, encodeURIComponentOf);
    if (url.kind === "fault") return url;
    const [path = ""] = url.text.split(/[?#]/, 1);
    if (path.split("/").some((segment) => DOT_SEGMENT.test(segment)))
      return { kind: "fault", path: "", reason: "must not make a segment '.' or '..' in the sink's address" };
    const headers: Record<string, string> = {};
    for (const [name, template] of this.#headers) {
      const value = template.render(record, place);
      if (value.kind === "fault") return value;
      if (!isHeaderValue(value.text))
        return { kind: "fault", path: "", reason: `must make a value that the header ${name} can hold` };
      headers[name] = value.text;
    }
    return { kind: "target", url: url.text, headers };
  }

  /** A text that is equal for records that may share a request. */
  textOf(record: Pick<SinkRecord, "event" | "timeMs">, place: PartitionReference): string {
    const target = this.of(record, place);
    return target.kind === "fault" ? `fault ${target.path}` : JSON.stringify([target.url, target.headers]);
  }
}

/** Half of a surrogate pair has no form in UTF-8. */
const encodeURIComponentOf = (value: string): string => encodeURIComponent(value.replace(/\p{Surrogate}/gu, "\ufffd"));

function isHeaderValue(value: string): boolean {
  try {
    new Headers([["x", value]]);
    return !/[\r\n\0]/.test(value);
  } catch {
    return false;
  }
}
