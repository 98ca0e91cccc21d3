/**
 * Finds what other users of the machine, or listeners on the network, can read: the data folder, files of secrets,
 * tokens without TLS. The start, `lint` and `doctor` warn of it. Nothing is refused: in a container with one user,
 * mounted secrets are often readable by all users.
 */
import { mkdir, stat } from "node:fs/promises";
import { isLoopbackHost } from "../../../actors/transport/network_address.ts";
import { ConfigurationError } from "../../../protocols/errors.ts";
import type { Configuration } from "../../configuration/configuration_schema.ts";
import { isSecretName } from "../secrets/clear_secrets.ts";

export interface Exposure {
  /** The place in the configuration. */
  readonly path: readonly string[];
  readonly reason: string;
}

const OTHERS_BITS = 0o077;
export const DATA_FOLDER_MODE = 0o700;

/** Makes the data folder, readable by its owner alone, where none exists. Throws `ConfigurationError` on failure. */
export async function makeDataFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true, mode: DATA_FOLDER_MODE });
  } catch (error) {
    throw new ConfigurationError(
      "INVALID_CONFIGURATION",
      `Cannot keep data as node.data (--data, HEADRACE_DATA) must be a folder, or a place for one: current value is ${folder} (${(error as Error).message})`,
      { cause: error },
    );
  }
}

export async function exposuresOf(configuration: Configuration): Promise<readonly Exposure[]> {
  return [
    ...plainTokens(configuration),
    ...plainHeaders(configuration),
    ...(await openDataFolder(configuration)),
    ...(await openSecretFiles(configuration)),
  ];
}

function plainTokens({ node, security }: Configuration): readonly Exposure[] {
  const hasTokens = security.tokens.length > 0 || security.jwt !== undefined;
  if (!hasTokens || security.tls !== undefined || isLoopbackHost(node.host)) return [];
  const reason = `tokens travel in clear text to ${node.host} as security.tls is not configured: a listener on the network can use them`;
  return [{ path: ["security"], reason }];
}

function plainHeaders({ sinks }: Configuration): readonly Exposure[] {
  return Object.entries(sinks).flatMap(([name, { options }]) => {
    const { url, headers } = options as { readonly url?: unknown; readonly headers?: unknown };
    if (typeof url !== "string" || !URL.canParse(url) || typeof headers !== "object" || headers === null) return [];
    const { protocol, hostname, host } = new URL(url);
    const secret = Object.keys(headers).find(isSecretName);
    if (protocol !== "http:" || isLoopbackHost(hostname) || secret === undefined) return [];
    return [{ path: ["sinks", name, "url"], reason: `header ${secret} travels in clear text to ${host}: use https` }];
  });
}

async function openDataFolder({ node }: Configuration): Promise<readonly Exposure[]> {
  const mode = await modeOf(node.data);
  if (mode === undefined || (mode & OTHERS_BITS) === 0) return [];
  const reason = `other users of this machine may look into ${node.data}: its mode should be 0700, current value is ${octal(mode)}`;
  return [{ path: ["node", "data"], reason }];
}

async function openSecretFiles(configuration: Configuration): Promise<readonly Exposure[]> {
  const found = secretFilesOf(configuration).map(async ({ path, file }): Promise<readonly Exposure[]> => {
    const mode = await modeOf(file);
    if (mode === undefined || (mode & OTHERS_BITS) === 0) return [];
    const who = (mode & 0o007) === 0 ? "its group" : "every user of this machine";
    return [{ path, reason: `${who} may use ${file}: its mode should be 0600, current value is ${octal(mode)}` }];
  });
  return (await Promise.all(found)).flat();
}

interface SecretFile {
  readonly path: readonly string[];
  readonly file: string;
}

/** The files that hold secrets. Certificates and public keys are no secrets. */
function secretFilesOf({ security, cluster }: Configuration): readonly SecretFile[] {
  const { tokens, jwt, tls } = security;
  const files: { path: readonly string[]; file: string | undefined }[] = [
    ...tokens.map(({ valueFile }, at) => ({ path: ["security", "tokens", String(at)], file: valueFile })),
    { path: ["security", "jwt"], file: jwt?.secretFile },
    { path: ["security", "tls"], file: tls?.keyFile },
    { path: ["cluster"], file: cluster?.secretFile },
  ];
  return files.flatMap(({ path, file }) => (file === undefined ? [] : [{ path, file }]));
}

/** The mode of a file. Undefined if the file does not exist, and on systems without modes. */
async function modeOf(path: string): Promise<number | undefined> {
  if (process.platform === "win32") return undefined;
  const found = await stat(path).catch(() => undefined); // the reader of the file reports that it is missing
  return found === undefined ? undefined : found.mode & 0o777;
}

const octal = (mode: number): string => `0${mode.toString(8).padStart(3, "0")}`;
