/** Admits a request by the host that it names and the web page that it comes from, once, before any route. */
import type { IncomingMessage } from "node:http";
import { canonicalHost, isLoopbackHost, type NamedHost, namedHost } from "../../../actors/transport/network_address.ts";
import { RejectedError } from "../../../protocols/errors.ts";
import type { SecurityConfiguration } from "../../configuration/configuration_schema.ts";

export interface OwnNames {
  readonly listenHost: string;
  /** The address at which other nodes and clients reach this node, as `host:port`. */
  readonly advertise?: string | undefined;
}

/** Throws `RejectedError` `HOST_REFUSED` or `ORIGIN_REFUSED`. */
export function admitRequest(
  request: Pick<IncomingMessage, "headers">,
  security: Pick<SecurityConfiguration, "hosts" | "origins">,
  own: OwnNames,
): void {
  const header = request.headers.host ?? "";
  const host = namedHost(header);
  // Against DNS rebinding: a foreign DNS name that leads to this machine arrives in Host, and is refused.
  if (!isKnown(host, header, security.hosts, own)) {
    throw new RejectedError(
      "HOST_REFUSED",
      `Cannot answer as Host must be one of [${["localhost", "127.0.0.1", "[::1]", ...security.hosts].join(", ")}]: current value is ${shortened(header)}`,
    );
  }
  const { origin } = request.headers;
  if (origin === undefined || isOwnOrigin(origin, header) || isListed(origin, security.origins)) return;
  throw new RejectedError(
    "ORIGIN_REFUSED",
    `Cannot connect as Origin must be this node's own or one of [${security.origins.join(", ")}]: current value is ${shortened(origin)}`,
  );
}

const CHARACTERS_SHOWN = 200;
const shortened = (text: string): string => text.slice(0, CHARACTERS_SHOWN);

function isKnown(
  host: NamedHost | undefined,
  header: string,
  hosts: readonly string[],
  { listenHost, advertise }: OwnNames,
): boolean {
  // Health checks of HTTP/1.0 name no host.
  const isAnyTaken = hosts.length === 0 && !isLoopbackHost(listenHost);
  if (host === undefined) return isAnyTaken && header === "";
  if (isLoopbackHost(host.name)) return true;
  const names = [...hosts, listenHost, ...(advertise === undefined ? [] : [namedHost(advertise)?.name ?? advertise])];
  if (names.some((name) => canonicalHost(name) === host.name)) return true;
  // Beyond loopback a request needs a token, which a rebound page does not have. So any name is accepted if none is listed.
  return isAnyTaken;
}

/** Whether the page was loaded from the host and port that its request goes to. */
function isOwnOrigin(origin: string, header: string): boolean {
  const page = webAddress(origin);
  const here = page === undefined ? undefined : webAddress(`${page.protocol}//${header}`);
  return page !== undefined && page.host !== "" && page.host === here?.host;
}

function isListed(origin: string, origins: readonly string[]): boolean {
  const page = webAddress(origin);
  return origins.some((one) => one === origin || (page !== undefined && webAddress(one)?.origin === page.origin));
}

function webAddress(text: string): URL | undefined {
  if (!URL.canParse(text)) return undefined; // "null" and other opaque origins have no host
  const url = new URL(text);
  return url.protocol === "http:" || url.protocol === "https:" ? url : undefined;
}
