/** Checks the security section of a configuration, beyond its schema. */
import { namedHost } from "../../actors/transport/network_address.ts";
import { jwksAddress } from "../security/access/signed_tokens.ts";
import { type LineAt, type Problem, problemAt } from "./configuration_problem.ts";
import type { Options, SecurityConfiguration } from "./configuration_schema.ts";

type RawSecurity = Partial<SecurityConfiguration>;

export function securityProblems(section: Options | undefined, at: LineAt): Problem[] {
  const security = (section ?? {}) as RawSecurity;
  const refuse: Refuse = (path, reason) => problemAt(at, ["security", ...path], reason);
  return [tokenProblems, jwtProblems, certificateProblems, hostProblems].flatMap((check) => check(security, refuse));
}

type Refuse = (path: readonly (string | number)[], reason: string) => Problem;

function tokenProblems({ tokens = [] }: RawSecurity, refuse: Refuse): Problem[] {
  return tokens.flatMap((token, index) => {
    const given = [token.valueFile, token.valueEnv].filter((one) => one !== undefined).length;
    if (given === 1) return [];
    return [
      refuse(["tokens", index], `token ${token.name} needs exactly one of valueFile and valueEnv: given are ${given}`),
    ];
  });
}

function jwtProblems({ jwt }: RawSecurity, refuse: Refuse): Problem[] {
  if (jwt === undefined) return [];
  const ways = ["secretFile", "secretEnv", "publicKeyFile", "jwksUrl"] as const;
  const given = ways.filter((way) => jwt[way] !== undefined);
  if (given.length !== 1) {
    const named = given.length === 0 ? "none" : given.join(" and ");
    return [refuse(["jwt"], `signed tokens need exactly one of ${ways.join(", ")}: given are ${named}`)];
  }
  if (jwt.jwksUrl === undefined) return [];
  try {
    jwksAddress(jwt.jwksUrl);
    return [];
  } catch (error) {
    return [refuse(["jwt", "jwksUrl"], (error as Error).message)];
  }
}

function certificateProblems({ certificates = [], tls }: RawSecurity, refuse: Refuse): Problem[] {
  const unnamed = certificates.flatMap(({ name, commonName, alternativeName }, index) =>
    commonName === undefined && alternativeName === undefined
      ? [refuse(["certificates", index], `certificate ${name} needs a commonName or an alternativeName: given is none`)]
      : [],
  );
  if (certificates.length > 0 && tls?.clientCaFile === undefined)
    return [...unnamed, refuse(["certificates"], "certificates need security.tls.clientCaFile: none is configured")];
  return unnamed;
}

function hostProblems({ hosts = [] }: RawSecurity, refuse: Refuse): Problem[] {
  return hosts.flatMap((host, index) => {
    const bare = host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
    const named = namedHost(bare);
    if (named !== undefined && named.port === "") return [];
    return [refuse(["hosts", index], `a host is a name or an address without port: current value is ${host}`)];
  });
}
