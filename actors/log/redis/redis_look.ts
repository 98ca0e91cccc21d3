/**
 * The look at a server before it is used (redis link C2, C3). It checks the server's version, that the server evicts no keys,
 * that its store is the one that this node remembers (E22), and the store's format.
 */
import { randomUUID } from "node:crypto";
import { ConfigurationError, reasonOf, UnavailableError } from "../../../protocols/errors.ts";
import type { RedisClient } from "./redis_client.ts";
import { misconfigured, type RedisLibrary, type RedisLogOptions, type RedisReply } from "./redis_connection.ts";
import { redirectOf } from "./redis_redirects.ts";

/** The keys that a look reads and writes at a server. */
export interface LookKeys {
  /** The key of the cluster's id; undefined where it lies on another server. */
  readonly id: string | undefined;
  /** Further keys that hold the cluster's id. */
  readonly idCopies: readonly string[];
  /** The key of the format's version; undefined where it lies on another server. */
  readonly format: string | undefined;
  /** Keys of the library's function `probe`. Without keys on this server the function `who` is called, which writes nothing. */
  readonly probe: readonly string[];
}

/** The cluster's id, shared by all links of a store. */
export interface KnownId {
  value: string | undefined;
  /** Whether a store without an id is given one: where this node remembers no store, or accepts the loss. */
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

/** Rejects with the reason why the server cannot be used. */
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

/** Makes the id where that is allowed, and rejects where the server has another one than the node remembers. */
async function checkClusterId({ client, id, store }: Looked, key: string): Promise<void> {
  const known = id.value;
  if (id.mayMake) await client.sendCommand(["SET", key, known ?? randomUUID(), "NX"]);
  const stored = await client.sendCommand(["GET", key]);
  const isKnown = known === undefined || known === String(stored) || store.acceptLoss;
  if (stored === null || !isKnown) throw lost(known, stored);
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

/** Checks the number of the store's format. A store without a number is new, or of the first format. */
async function checkFormat({ client, library: { formatVersion } }: Looked, key: string): Promise<void> {
  await client.sendCommand(["SET", key, String(formatVersion), "NX"]);
  const version = Number(await client.sendCommand(["GET", key]));
  if (version === formatVersion) return;
  throw new ConfigurationError(
    "FORMAT_TOO_NEW",
    `Cannot use the store as its format must be at most ${formatVersion}: current value is ${version}`,
  );
}

/** A setting of the server. Rejects with `ConfigurationError` where the server does not tell it. */
export async function settingOf(client: RedisClient, name: string): Promise<string> {
  const reply = await client.sendCommand(["CONFIG", "GET", name]).catch((error: unknown) => {
    if (/unknown command|NOPERM/i.test(reasonOf(error))) throw misconfigured(`it must tell its ${name}`, "refused");
    throw error;
  });
  return String((reply as Buffer[])[1] ?? "");
}

/** Undefined where the key's slot is just moving to another server, whose own look checks the key. */
export const unlessElsewhere = <Reply>(looking: Promise<Reply>): Promise<Reply | undefined> =>
  looking.catch((error: unknown) => {
    const redirect = redirectOf(error);
    if (redirect === undefined || redirect.kind === "down") throw error;
    return undefined;
  });
