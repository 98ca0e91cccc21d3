/**
 * The look at a server before it is used (C2, C3 of redis_link.ts): that it is new enough and keeps what it is given, that
 * it is still the store that this node knows (E22), and that its format is known.
 */
import { randomUUID } from "node:crypto";
import { ConfigurationError, UnavailableError } from "../../../protocols/errors.ts";
import type { RedisClient } from "./redis_client.ts";
import {
  messageOf,
  misconfigured,
  type RedisLibrary,
  type RedisLogOptions,
  type RedisReply,
} from "./redis_connection.ts";
import { redirectOf } from "./redis_redirects.ts";

/** What a look at a server reads and writes there. */
export interface LookKeys {
  /** Holds the cluster's id, where that lies on this server. */
  readonly id: string | undefined;
  /** Each holds it too. */
  readonly idCopies: readonly string[];
  /** Holds the format's version, where it lies on this server. */
  readonly format: string | undefined;
  /** Of the library's function `probe`; where none lies here the server is asked who it is, and nothing is written. */
  readonly probe: readonly string[];
}

/** The cluster's id, as all links of a store know it. */
export interface KnownId {
  value: string | undefined;
  /** A store without it is given it: where it is new to this node, or its loss is accepted. */
  mayMake: boolean;
}

export const knownId = ({ clusterId, acceptLoss }: RedisLogOptions): KnownId => ({
  value: clusterId,
  mayMake: clusterId === undefined || acceptLoss === true,
});

interface Looked {
  readonly client: RedisClient;
  readonly store: RedisLogOptions;
  readonly library: RedisLibrary;
  readonly id: KnownId;
}

/** Rejects with what is wrong with the server. */
export async function lookAt(looked: Looked, { id, idCopies, format }: LookKeys): Promise<void> {
  const info = String(await looked.client.sendCommand(["INFO", "server"]));
  const version = /redis_version:(\d+)\.(\S+)/.exec(info);
  if (Number(version?.[1]) < 7) {
    throw misconfigured("its version must be at least 7.0", `${version?.[1]}.${version?.[2]}`);
  }
  const policy = await settingOf(looked.client, "maxmemory-policy");
  if (policy !== "noeviction") throw misconfigured("its maxmemory-policy must be noeviction", policy);
  if (id !== undefined) await unlessElsewhere(checkClusterId(looked, id));
  await Promise.all(idCopies.map((key) => unlessElsewhere(checkIdCopy(looked, key))));
  if (format !== undefined) await unlessElsewhere(checkFormat(looked, format));
}

/** Only a node that remembers no cluster may make one. */
async function checkClusterId({ client, id, store }: Looked, key: string): Promise<void> {
  const known = id.value;
  if (id.mayMake) await client.sendCommand(["SET", key, known ?? randomUUID(), "NX"]);
  const stored = await client.sendCommand(["GET", key]);
  if (stored === null || !(known === undefined || known === String(stored) || store.acceptLoss)) {
    throw lost(known, stored);
  }
  id.value = String(stored);
}

async function checkIdCopy({ client, id, store }: Looked, key: string): Promise<void> {
  const { value = "", mayMake } = id;
  if (mayMake) await client.sendCommand(["SET", key, value, ...(store.acceptLoss ? [] : ["NX"])]);
  const stored = await client.sendCommand(["GET", key]);
  if (String(stored) !== value) throw lost(value, stored);
}

const lost = (known: string | undefined, stored: RedisReply): UnavailableError =>
  new UnavailableError(
    "STORE_LOST",
    `Cannot use the store as it must hold cluster id ${known}: current value is ${stored ?? "none"}`,
  );

/** One number for all that the store keeps. One without it is new, or of the first format. */
async function checkFormat({ client, library: { formatVersion } }: Looked, key: string): Promise<void> {
  await client.sendCommand(["SET", key, String(formatVersion), "NX"]);
  const version = Number(await client.sendCommand(["GET", key]));
  if (version === formatVersion) return;
  throw new ConfigurationError(
    "FORMAT_TOO_NEW",
    `Cannot use the store as its format must be at most ${formatVersion}: current value is ${version}`,
  );
}

/** A setting of the server. Throws `ConfigurationError` where it does not tell. */
export async function settingOf(client: RedisClient, name: string): Promise<string> {
  const reply = await client.sendCommand(["CONFIG", "GET", name]).catch((error: unknown) => {
    if (/unknown command|NOPERM/i.test(messageOf(error))) throw misconfigured(`it must tell its ${name}`, "refused");
    throw error;
  });
  return String((reply as Buffer[])[1] ?? "");
}

/** A slot that is just leaving takes the keys with it that are looked at: they are looked at there. */
export const unlessElsewhere = <Reply>(looking: Promise<Reply>): Promise<Reply | undefined> =>
  looking.catch((error: unknown) => {
    const redirect = redirectOf(error);
    if (redirect === undefined || redirect.kind === "down") throw error;
    return undefined;
  });
