/**
 * The connections of a client, and which of them a partition is spoken of on. A client begins at the addresses given to it,
 * on its home link; where a node names a partition's owner (`moved`, `welcome.streams[..].owners`), the owner gets a link of
 * its own. What has to be sent there is the machines' concern.
 *
 *   L1. Home tries the addresses given in turn, then the nodes that it has heard of, with backoff, for as long as the client lives.
 *   L2. A link to an owner that breaks is forgotten: what was spoken of on it goes home, where a node knows what became of it.
 *   L3. At most `ownersMax` links to owners: beyond them one that nothing waits for makes room, else the oldest.
 *   L4. Where home is reached over TLS, no owner is followed without it: the token goes along.
 *   L5. A client that stays (`forward`) follows nobody: the node at home passes on what it sends and reads.
 *   L6. Where a partition is about to go, the link to its next owner is made meanwhile, unless another had to make room.
 *   L7. A client ends where a node that has welcomed it refuses it, or each of the addresses given has refused it since it
 *       was last welcomed; until then the other addresses are tried.
 */
import { backoffMs } from "../clock.ts";
import { ConfigurationError, type HeadraceError, RejectedError } from "../errors.ts";
import type { StreamDescription } from "../wire/frames.ts";
import type { ConnectionState } from "./connection_state.ts";
import { connectLink, hear, knowsElsewhere, type Link, type LinkEffects } from "./link.ts";

export const HOME = "home";

export const LINK_LIMITS = {
  reconnectFirstMs: 50,
  reconnectMaxMs: 5_000,
  /** Connections to owners of partitions: one for each node of a cluster of ordinary size. */
  ownersMax: 32,
  /** Addresses that were not given, and are tried after those that were. */
  learnedMax: 16,
} as const;

export interface Links<L extends Link> {
  readonly addresses: readonly string[];
  readonly home: L;
  /** L5. */
  readonly isStaying: boolean;
  /** By address, the oldest first. */
  readonly owners: Map<string, L>;
  readonly ownersMax: number;
  /** Owners named by the node at home, by partition. */
  readonly hints: Map<string, string>;
  nextAddress: number;
  /** Owners that were named to it, for when the addresses given can not be reached: the newest last. */
  readonly learned: Set<string>;
  /** Times that home was lost or not reached since it was last welcomed. */
  tries: number;
  /** Tries to connect home since it was last welcomed, the one under way included. */
  attempt: number;
  /** Those of them since a connection last opened. */
  unopened: number;
  /** L7. Addresses that have refused the client since it was last welcomed. */
  readonly refusedBy: Set<string>;
  /** Until home is tried again, before jitter. */
  nextTryMs: number;
  lastError: Error | undefined;
  /** Why the client has ended; undefined while it lives. */
  closedBy: Error | undefined;
  /** The state that the application was last told. */
  told: ConnectionState | undefined;
}

export interface LinkOptions {
  readonly ownersMax?: number | undefined;
  readonly isStaying?: boolean | undefined;
}

/** What a machine does with links. */
export interface LinkHost<L extends Link> {
  create(address: string): L;
  isBusy(link: L): boolean;
  /** The link is gone: all that it was used for goes home (L2). */
  leave(link: L): void;
}

export const createLinks = <L extends Link>(
  home: L,
  addresses: readonly string[],
  { ownersMax = LINK_LIMITS.ownersMax, isStaying = false }: LinkOptions = {},
): Links<L> => ({
  addresses,
  home,
  isStaying,
  owners: new Map(),
  ownersMax,
  hints: new Map(),
  learned: new Set(),
  nextAddress: 0,
  tries: 0,
  attempt: 0,
  unopened: 0,
  refusedBy: new Set(),
  nextTryMs: 0,
  lastError: undefined,
  closedBy: undefined,
  told: undefined,
});

export const linkNamed = <L extends Link>(links: Links<L>, name: string): L | undefined =>
  name === HOME ? links.home : links.owners.get(name);

export const allLinks = <L extends Link>(links: Links<L>): readonly L[] => [links.home, ...links.owners.values()];

/** L1. */
export function connectHome<L extends Link>(links: Links<L>, effects: LinkEffects): void {
  if (links.home.phase !== "offline") return;
  links.attempt++;
  links.unopened++;
  const candidates = [...links.addresses, ...links.learned];
  connectLink(links.home, candidates[links.nextAddress++ % candidates.length] ?? "", effects);
}

/** L1. Home is tried again after a while, longer each time. */
export function reconnectHome<L extends Link>(links: Links<L>, leastMs: number, effects: LinkEffects): void {
  links.home.phase = "offline";
  hear(links.home);
  const backoff = backoffMs(links.tries++, LINK_LIMITS.reconnectFirstMs, LINK_LIMITS.reconnectMaxMs);
  links.nextTryMs = Math.max(leastMs, backoff);
  effects.push({ kind: "set_timer", timer: "reconnect", delayMs: links.nextTryMs });
}

/** Home is welcomed. */
export function noteWelcome(links: Links<Link>): void {
  links.tries = 0;
  links.attempt = 0;
  links.refusedBy.clear();
}

/** L7. The refusal that ends the client, if `error`, with which home was lost, is one. */
export function refusalForGood({ home, addresses, refusedBy }: Links<Link>, error: unknown): HeadraceError | undefined {
  if (!(error instanceof RejectedError || error instanceof ConfigurationError)) return undefined;
  if (home.phase === "online") return error;
  refusedBy.add(home.address);
  return addresses.every((address) => refusedBy.has(address)) ? error : undefined;
}

/** Takes down which owners the node at home knows of. */
export function noteOwners(
  links: Links<Link>,
  streams: Readonly<Record<string, StreamDescription>>,
  effects: LinkEffects,
): void {
  links.hints.clear();
  for (const [stream, { owners = {} }] of Object.entries(streams)) {
    for (const [partition, address] of Object.entries(owners)) {
      if (!mayFollow(links, address)) continue;
      links.hints.set(`${stream}/${partition}`, address);
      learn(links, address);
    }
  }
  if (links.learned.size > 0) knowsElsewhere(links.home, effects);
}

/** L1. */
export function learn({ addresses, learned }: Links<Link>, address: string): void {
  if (addresses.includes(address)) return;
  learned.delete(address);
  learned.add(address);
  for (const oldest of learned) {
    if (learned.size <= LINK_LIMITS.learnedMax) return;
    learned.delete(oldest);
  }
}

/** L4, L5. */
export const mayFollow = ({ home, isStaying }: Links<Link>, address: string): boolean =>
  !isStaying && (address.startsWith("wss:") || !home.address.startsWith("wss:"));

/** The link to an owner, made where there is none. */
export function linkTo<L extends Link>(links: Links<L>, address: string, host: LinkHost<L>, effects: LinkEffects): L {
  if (links.home.address === address && links.home.phase !== "offline") return links.home;
  const known = links.owners.get(address);
  if (known !== undefined) return known;
  if (links.owners.size >= links.ownersMax) makeRoom(links, host, effects);
  const link = host.create(address);
  links.owners.set(address, link);
  connectLink(link, address, effects);
  return link;
}

/** L6. */
export function prepareLink<L extends Link>(
  links: Links<L>,
  address: string,
  host: LinkHost<L>,
  effects: LinkEffects,
): void {
  if (mayFollow(links, address) && links.owners.size < links.ownersMax) linkTo(links, address, host, effects);
}

/** L3. */
function makeRoom<L extends Link>(links: Links<L>, host: LinkHost<L>, effects: LinkEffects): void {
  const owners = [...links.owners.values()];
  const displaced = owners.find((link) => !host.isBusy(link)) ?? owners[0];
  if (displaced === undefined) return;
  effects.push({ kind: "disconnect", link: displaced.name });
  forgetLink(links, displaced, host);
}

/** L2. */
export function forgetLink<L extends Link>(links: Links<L>, link: L, host: LinkHost<L>): void {
  links.owners.delete(link.name);
  link.phase = "offline";
  hear(link);
  host.leave(link);
}

/** Closes a link that nothing is spoken of on any more. */
export function closeUnused<L extends Link>(links: Links<L>, name: string, effects: LinkEffects): void {
  const link = links.owners.get(name);
  if (link === undefined || link.uses > 0) return;
  links.owners.delete(name);
  effects.push({ kind: "disconnect", link: name });
}

/** Speaks of a partition on another link than before. */
export function changeLink(links: Links<Link>, from: string | undefined, to: string | undefined): void {
  const before = from === undefined ? undefined : linkNamed(links, from);
  const after = to === undefined ? undefined : linkNamed(links, to);
  if (before !== undefined) before.uses--;
  if (after !== undefined) after.uses++;
}
