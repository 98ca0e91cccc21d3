/**
 * The connections of a client, and which connection each partition uses. A client begins at the addresses given to it,
 * on its home link. Where a node names a partition's owner (`moved`, `welcome.streams[..].owners`), the owner gets a
 * link of its own. The machines decide which frames are sent on a link.
 *
 *   L1. Home tries the given addresses in turn, then the nodes that it has heard of, with backoff, until the client
 *       ends.
 *   L2. A link to an owner that breaks is forgotten. Its partitions go home, where a node knows their owner.
 *   L3. A client has at most `ownersMax` links to owners. At that bound an idle link is closed for a new one, else the
 *       oldest.
 *   L4. A client whose home uses TLS follows no owner without TLS, as its token would travel in clear.
 *   L5. A client that stays (`forward`) follows no owner: the node at home passes on its appends and its reads.
 *   L6. Once a move is announced, the link to the next owner is made, unless `ownersMax` links exist.
 *   L7. A client ends once a node that has welcomed it refuses it, or once each given address has refused it since the
 *       last welcome. Until then it tries the other addresses.
 */
import { backoffMs } from "../clock.ts";
import { ConfigurationError, type HeadraceError, RejectedError } from "../errors.ts";
import { partitionName } from "../position.ts";
import type { StreamDescription } from "../wire/frames.ts";
import type { ConnectionState } from "./connection_state.ts";
import { connectLink, hear, knowsElsewhere, type Link, type LinkEffects } from "./link.ts";

export const HOME = "home";

export const LINK_LIMITS = {
  reconnectFirstMs: 50,
  reconnectMaxMs: 5_000,
  /** Connections to owners of partitions: one for each node of a cluster of ordinary size. */
  ownersMax: 32,
  /** Addresses learned from nodes, which are tried after the given ones. A new one takes the place of the oldest. */
  learnedMax: 16,
} as const;

export interface Links<L extends Link> {
  readonly addresses: readonly string[];
  readonly home: L;
  /** L5. */
  readonly isStaying: boolean;
  /** Links to owners by address, the oldest first. */
  readonly owners: Map<string, L>;
  readonly ownersMax: number;
  /** The owner's address by `stream/partition`, as the node at home named it. */
  readonly hints: Map<string, string>;
  nextAddress: number;
  /** Addresses of owners, to be tried where no given address can be reached; the newest last. */
  readonly learned: Set<string>;
  /** Times that home was lost or not reached since it was last welcomed. */
  tries: number;
  /** Tries to connect home since it was last welcomed, the one under way included. */
  attempt: number;
  /** Tries to connect home since a connection last opened. */
  unopened: number;
  /** L7. Addresses that have refused the client since it was last welcomed. */
  readonly refusedBy: Set<string>;
  /** Milliseconds until home is tried again, before jitter. */
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

/** The part of a machine that the functions of this file call. */
export interface LinkHost<L extends Link> {
  create(address: string): L;
  isBusy(link: L): boolean;
  /** The link is gone: the machine moves the link's partitions home (L2). */
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

/** L1. Connects home again after a backoff of at least `leastMs`, which grows with each try. */
export function reconnectHome<L extends Link>(links: Links<L>, leastMs: number, effects: LinkEffects): void {
  links.home.phase = "offline";
  hear(links.home);
  const backoff = backoffMs(links.tries++, LINK_LIMITS.reconnectFirstMs, LINK_LIMITS.reconnectMaxMs);
  links.nextTryMs = Math.max(leastMs, backoff);
  effects.push({ type: "set_timer", timer: "reconnect", delayMs: links.nextTryMs });
}

/** Home was welcomed: backoff and refusals begin anew. */
export function noteWelcome(links: Links<Link>): void {
  links.tries = 0;
  links.attempt = 0;
  links.refusedBy.clear();
}

/** L7. Answers `error`, the reason why home was lost, where it ends the client; else undefined. */
export function refusalForGood({ home, addresses, refusedBy }: Links<Link>, error: unknown): HeadraceError | undefined {
  if (!(error instanceof RejectedError || error instanceof ConfigurationError)) return undefined;
  if (home.phase === "online") return error;
  refusedBy.add(home.address);
  return addresses.every((address) => refusedBy.has(address)) ? error : undefined;
}

/** Keeps the owners that the node at home names, and their addresses. */
export function noteOwners(
  links: Links<Link>,
  streams: Readonly<Record<string, StreamDescription>>,
  effects: LinkEffects,
): void {
  links.hints.clear();
  for (const [stream, { owners = {} }] of Object.entries(streams)) {
    for (const [partition, address] of Object.entries(owners)) {
      if (!mayFollow(links, address)) continue;
      links.hints.set(partitionName({ stream, partition: Number(partition) }), address);
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

/** The link to the owner at `address`. Connects where no link exists. */
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
  effects.push({ type: "disconnect", link: displaced.name });
  forgetLink(links, displaced, host);
}

/** L2. */
export function forgetLink<L extends Link>(links: Links<L>, link: L, host: LinkHost<L>): void {
  links.owners.delete(link.name);
  link.phase = "offline";
  hear(link);
  host.leave(link);
}

/** Closes an owner's link that no partition uses any more. */
export function closeUnused<L extends Link>(links: Links<L>, name: string, effects: LinkEffects): void {
  const link = links.owners.get(name);
  if (link === undefined || link.uses > 0) return;
  links.owners.delete(name);
  effects.push({ type: "disconnect", link: name });
}

/** Counts a partition that goes from one link to another. */
export function changeLink(links: Links<Link>, from: string | undefined, to: string | undefined): void {
  const before = from === undefined ? undefined : linkNamed(links, from);
  const after = to === undefined ? undefined : linkNamed(links, to);
  if (before !== undefined) before.uses--;
  if (after !== undefined) after.uses++;
}
