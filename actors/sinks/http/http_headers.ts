/**
 * Merges the headers of the configuration with those of the sink. Pure. Names are compared without regard to case (RFC
 * 9110, section 5.1), so that no header is sent twice or with two values.
 */

export type HttpHeaders = Readonly<Record<string, string>>;

const NOT_OF_THE_CONFIGURATION: Readonly<Record<string, string>> = {
  "idempotency-key": "the sink gives each request a key of its own",
  traceparent: "the sink sends the first trace of each request",
  "content-encoding": "the sink sends its body as it is",
  "content-length": "the sink counts its body",
  host: "'url' names the host",
  connection: "the sink keeps its own connections",
  expect: "the sink waits for no consent",
  "keep-alive": "the sink keeps its own connections",
  "proxy-connection": "the sink keeps its own connections",
  te: "the sink reads no trailers",
  trailer: "the sink sends no trailers",
  "transfer-encoding": "the sink counts its body",
  upgrade: "the sink speaks HTTP alone",
};

/** Why the headers cannot be sent, if they cannot. Names no value, as a value may be a secret. */
export function faultOfHeaders(headers: HttpHeaders): string | undefined {
  const seen = new Map<string, string>();
  for (const name of Object.keys(headers)) {
    const lower = name.toLowerCase();
    const twin = seen.get(lower);
    if (twin !== undefined) return `'headers' must name each header once: it holds '${twin}' and '${name}'`;
    seen.set(lower, name);
    const owner = Object.hasOwn(NOT_OF_THE_CONFIGURATION, lower) ? NOT_OF_THE_CONFIGURATION[lower] : undefined;
    if (owner !== undefined) return `'headers' must leave ${lower} to the sink, as ${owner}: it holds '${name}'`;
  }
  return undefined;
}

/** The value of a header; the case of its name does not matter. */
export function headerIn(headers: HttpHeaders, name: string): string | undefined {
  return Object.entries(headers).find(([one]) => one.toLowerCase() === name)?.[1];
}

/** Both sets of headers, by names in lower case. A header of the sink replaces the configuration's. */
export function mergeHeaders(ofConfiguration: HttpHeaders, ofSink: HttpHeaders): HttpHeaders {
  const named = [...Object.entries(ofConfiguration), ...Object.entries(ofSink)];
  return Object.fromEntries(named.map(([name, value]) => [name.toLowerCase(), value]));
}
