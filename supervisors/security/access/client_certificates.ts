/**
 * Client certificates as principals (mutual TLS). A certificate is valid if an authority of the configured file signed
 * it, directly or through other certificates that the client shows. An authority for nodes does not vouch for clients.
 */
import { X509Certificate } from "node:crypto";
import type { Socket } from "node:net";
import type { PeerCertificate, TLSSocket } from "node:tls";
import { ConfigurationError } from "../../../protocols/errors.ts";
import type { CertificateConfiguration } from "../../configuration/configuration_schema.ts";

/** Most certificates between a client's and its authority. */
const CHAIN_MAX = 8;
const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

export type Authorities = readonly X509Certificate[];

export interface ShownCertificate {
  readonly commonName: string | undefined;
  /** Such as `DNS:sensor-1.example` and `URI:spiffe://example/sensor-1`. */
  readonly alternativeNames: readonly string[];
  readonly validUntilMs: number;
}

/** Reads the authorities. Throws `ConfigurationError` for a file without a certificate. */
export function authoritiesOf(pem: string, file: string): Authorities {
  try {
    const found = [...pem.matchAll(PEM_CERTIFICATE)].map(([text]) => new X509Certificate(text));
    if (found.length > 0) return found;
  } catch (error) {
    throw refusal(file, (error as Error).message);
  }
  throw refusal(file, "it holds none");
}

const refusal = (file: string, reason: string): ConfigurationError =>
  new ConfigurationError(
    "INVALID_CONFIGURATION",
    `Cannot check certificates as ${file} must hold certificates in PEM: ${reason}`,
  );

/** The client's certificate; undefined if it shows none, or none that these authorities vouch for. */
export function certificateOf(socket: Socket, authorities: Authorities): ShownCertificate | undefined {
  const { authorized, getPeerCertificate } = socket as Partial<TLSSocket>;
  if (authorized !== true || getPeerCertificate === undefined) return undefined;
  const shown = (socket as TLSSocket).getPeerCertificate(true);
  if (shown.raw === undefined || !isVouchedFor(shown, authorities)) return undefined;
  const leaf = new X509Certificate(shown.raw);
  const { CN: commonName } = shown.subject as { readonly CN?: string | readonly string[] };
  return {
    commonName: typeof commonName === "string" ? commonName : undefined,
    alternativeNames: namesOf(leaf.subjectAltName ?? ""),
    validUntilMs: Date.parse(leaf.validTo),
  };
}

/** TLS has checked the chain against all authorities of the server. This checks it against these alone. */
function isVouchedFor(shown: PeerCertificate, authorities: Authorities): boolean {
  let one: { readonly raw: Buffer; readonly issuerCertificate?: PeerCertificate } | undefined = shown;
  for (let length = 0; length < CHAIN_MAX && one?.raw !== undefined; length += 1) {
    const certificate = new X509Certificate(one.raw);
    const isSigned = authorities.some(
      (authority) =>
        authority.fingerprint256 === certificate.fingerprint256 ||
        (certificate.checkIssued(authority) && certificate.verify(authority.publicKey)),
    );
    if (isSigned) return true;
    const next: PeerCertificate | undefined = one.issuerCertificate;
    one = next === one ? undefined : next;
  }
  return false;
}

/** Names that hold a comma are quoted in the list. */
const namesOf = (list: string): readonly string[] =>
  (list.match(/(?:[^,"]|"(?:[^"\\]|\\.)*")+/g) ?? []).map((name) => name.trim());

/** The first entry of the configuration that the certificate matches. */
export function entryFor(
  { commonName, alternativeNames }: ShownCertificate,
  entries: readonly CertificateConfiguration[],
): CertificateConfiguration | undefined {
  return entries.find(
    (entry) =>
      (entry.commonName === undefined || entry.commonName === commonName) &&
      (entry.alternativeName === undefined || alternativeNames.includes(entry.alternativeName)) &&
      (entry.commonName !== undefined || entry.alternativeName !== undefined),
  );
}
