/** One master that sentinels watch. The answer with the newest failover is believed: a sentinel may be cut off. */
import { reasonOf, UnavailableError } from "../../../protocols/errors.ts";
import { addressOf, askOnce } from "./redis_client.ts";
import type { RedisLibrary, RedisReply, SentinelAddress } from "./redis_connection.ts";
import type { LookKeys } from "./redis_look.ts";
import { SLOT_COUNT } from "./redis_slots.ts";
import { keysOfOne, type SlotRange, type Topology } from "./redis_topology.ts";

const ASK_WITHIN_MS = 2_000;

type Known = ReturnType<typeof knownOf>;

export class SentinelTopology implements Topology {
  readonly firstSlot = 0;
  readonly copiedKey = undefined;
  readonly #sentinel: SentinelAddress;
  readonly #keys: LookKeys;
  #known: Known | undefined;

  constructor(sentinel: SentinelAddress, prefix: string, library: RedisLibrary) {
    this.#sentinel = sentinel;
    this.#keys = keysOfOne(prefix, library);
  }

  readonly urlOf: Topology["urlOf"] = (address) => urlOf(this.#sentinel, address);
  readonly lookKeys: Topology["lookKeys"] = () => this.#keys;

  async masters(): Promise<readonly SlotRange[]> {
    this.#known = await newestOf(this.#sentinel, this.#known);
    return [{ from: 0, to: SLOT_COUNT - 1, address: this.#known.address }];
  }
}

/** The master's URL. Rejects with `UnavailableError` where no sentinel knows it. */
export const masterOf = async (sentinel: SentinelAddress): Promise<string> =>
  urlOf(sentinel, (await newestOf(sentinel, undefined)).address);

function urlOf({ username = "", password = "", tls = false }: SentinelAddress, address: string): string {
  const asking =
    username === "" && password === "" ? "" : `${encodeURIComponent(username)}:${encodeURIComponent(password)}@`;
  return `${tls ? "rediss" : "redis"}://${asking}${address}`;
}

async function newestOf({ master, urls }: SentinelAddress, before: Known | undefined): Promise<Known> {
  const asked = await Promise.allSettled(
    urls.map((url) => askOnce(url, ["SENTINEL", "MASTER", master], ASK_WITHIN_MS)),
  );
  const reasons: string[] = [];
  let newest = before;
  for (const answer of asked) {
    if (answer.status === "rejected") {
      reasons.push(reasonOf(answer.reason));
      continue;
    }
    const told = knownOf(answer.value);
    if (newest === undefined || told.configEpoch >= newest.configEpoch) newest = told;
  }
  if (newest !== undefined && reasons.length < urls.length) return newest;
  throw new UnavailableError(
    "STORE_UNAVAILABLE",
    `Cannot find the master as a sentinel must know ${master}: ${reasons.join("; ")}`,
  );
}

/** Reads a sentinel's reply, a list of names and values in turn. `config-epoch` numbers the failover that made the master. */
function knownOf(reply: RedisReply) {
  const texts = (reply as RedisReply[]).map(String);
  const field = (name: string): string => texts[texts.indexOf(name) + 1] ?? "";
  return { address: addressOf(field("ip"), field("port")), configEpoch: Number(field("config-epoch")) };
}
