/**
 * Shares out the places of a node's one port among all its connections. Decides which connection gets a place, and
 * which one gives way. Leaves sockets to `connection_gate.ts`. Pure.
 *   C1. The port never holds more than `placesMax` connections. A newcomer takes the place of the one that has waited
 *       longest: silent ones first, then idle ones, greeting ones, and ones whose request is under way. A welcomed
 *       WebSocket never loses its place.
 *   C2. Silent and idle connections of one address have `waitingPerAddressMax` places. Beyond these the longest-waiting
 *       end, but each only after `WAIT_MS_MIN`, as many clients may begin, or ask again, at the same moment.
 *   C3. WebSockets of one address, and requests under way of one address, stay within `perAddressMax` each. A newcomer
 *       among the WebSockets takes the place of the address's longest-greeting one.
 *   C4. WebSockets leave `placesMax - upgradesMax` places to HTTP, so that requests for health and metrics are
 *       answered.
 */

/**
 * `silent`: no whole request has come; `idle`: kept after an answer; `asking`: a request is under way; `greeting`: a
 * WebSocket without a valid `hello`; `welcomed`: a WebSocket with one, or a connection of another node.
 */
export type Phase = "silent" | "idle" | "asking" | "greeting" | "welcomed";

/** The least wait before a connection gives way, in ms: its client may be about to send. */
export const WAIT_MS_MIN = 2_000;

export interface PlaceLimits {
  readonly placesMax: number;
  /** Most WebSockets, of all addresses together. */
  readonly upgradesMax: number;
  readonly perAddressMax: number;
  readonly waitingPerAddressMax: number;
}

/** The connections that give way; undefined if no place is free. */
export type Taken = readonly number[] | undefined;

/** The order of giving way; within a phase, the longest-waiting first (C1). */
const GIVES_WAY = ["silent", "idle", "greeting", "asking"] as const;

interface Place {
  readonly address: string;
  phase: Phase;
  /** When the connection became silent or idle, in ms. */
  waitingSinceMs: number;
}

type PlacesByPhase = Readonly<Record<Phase, Set<number>>>;

const none = (): PlacesByPhase => ({
  silent: new Set(),
  idle: new Set(),
  asking: new Set(),
  greeting: new Set(),
  welcomed: new Set(),
});

const longest = (ids: ReadonlySet<number>): number | undefined => ids.values().next().value;

export class ConnectionPlaces {
  readonly #limits: PlaceLimits;
  readonly #places = new Map<number, Place>();
  readonly #all = none();
  readonly #byAddress = new Map<string, PlacesByPhase>();

  constructor(limits: PlaceLimits) {
    this.#limits = limits;
  }

  get count(): number {
    return this.#places.size;
  }

  countIn(phase: Phase): number {
    return this.#all[phase].size;
  }

  countOf(address: string, phase: Phase): number {
    return this.#byAddress.get(address)?.[phase].size ?? 0;
  }

  /** A connection was accepted (C1). */
  arrive(id: number, address: string, nowMs: number): Taken {
    const ended: number[] = [];
    while (this.#places.size >= this.#limits.placesMax) {
      const phase = GIVES_WAY.find((one) => this.#all[one].size > 0);
      const victim = phase === undefined ? undefined : longest(this.#all[phase]);
      if (victim === undefined) return undefined;
      this.leave(victim);
      ended.push(victim);
    }
    this.#places.set(id, { address, phase: "silent", waitingSinceMs: nowMs });
    this.#put(id, address, "silent");
    return ended;
  }

  /** A whole request has come (C3). */
  ask(id: number): Taken {
    const place = this.#places.get(id);
    if (place === undefined) return undefined;
    if (place.phase !== "asking" && this.countOf(place.address, "asking") >= this.#limits.perAddressMax)
      return undefined;
    this.#move(id, place, "asking");
    return [];
  }

  /** The request is answered, and the connection is kept. */
  rest(id: number, nowMs: number): void {
    const place = this.#places.get(id);
    if (place?.phase !== "asking") return;
    place.waitingSinceMs = nowMs;
    this.#move(id, place, "idle");
  }

  /** The connection asks to become a WebSocket (C3, C4). */
  upgrade(id: number): Taken {
    const place = this.#places.get(id);
    if (place === undefined) return undefined;
    const { upgradesMax, perAddressMax } = this.#limits;
    const { address } = place;
    const ended: number[] = [];
    const give = (greeting: ReadonlySet<number> | undefined): boolean => {
      const victim = greeting === undefined ? undefined : longest(greeting);
      if (victim === undefined) return false;
      this.leave(victim);
      ended.push(victim);
      return true;
    };
    const own = this.countOf(address, "greeting") + this.countOf(address, "welcomed");
    if (own >= perAddressMax && !give(this.#byAddress.get(address)?.greeting)) return undefined;
    const all = this.#all.greeting.size + this.#all.welcomed.size;
    if (all >= upgradesMax && !give(this.#all.greeting)) return undefined;
    this.#move(id, place, "greeting");
    return ended;
  }

  welcome(id: number): void {
    const place = this.#places.get(id);
    if (place?.phase === "greeting") this.#move(id, place, "welcomed");
  }

  leave(id: number): void {
    const place = this.#places.get(id);
    if (place === undefined) return;
    this.#places.delete(id);
    this.#take(id, place);
  }

  /** Whether an address has more connections waiting than its share (C2). */
  isOverShare(address: string): boolean {
    return this.countOf(address, "silent") + this.countOf(address, "idle") > this.#limits.waitingPerAddressMax;
  }

  /** Takes at most `countMax` places of connections beyond the address's share that have waited enough (C2). */
  overShare(address: string, nowMs: number, countMax = Number.POSITIVE_INFINITY): readonly number[] {
    const ended: number[] = [];
    while (ended.length < countMax && this.isOverShare(address)) {
      const victim = this.#longestWaiting(address, nowMs);
      if (victim === undefined) break;
      this.leave(victim);
      ended.push(victim);
    }
    return ended;
  }

  #longestWaiting(address: string, nowMs: number): number | undefined {
    const own = this.#byAddress.get(address);
    const candidates = own === undefined ? [] : [longest(own.silent), longest(own.idle)];
    return candidates.find((id) => {
      const place = id === undefined ? undefined : this.#places.get(id);
      return place !== undefined && nowMs - place.waitingSinceMs >= WAIT_MS_MIN;
    });
  }

  #move(id: number, place: Place, phase: Phase): void {
    this.#take(id, place);
    place.phase = phase;
    this.#put(id, place.address, phase);
  }

  #put(id: number, address: string, phase: Phase): void {
    this.#all[phase].add(id);
    const own = this.#byAddress.get(address) ?? none();
    this.#byAddress.set(address, own);
    own[phase].add(id);
  }

  #take(id: number, { address, phase }: Place): void {
    this.#all[phase].delete(id);
    const own = this.#byAddress.get(address);
    own?.[phase].delete(id);
    if (own !== undefined && Object.values(own).every(({ size }) => size === 0)) this.#byAddress.delete(address);
  }
}
