/**
 * A simulated cluster whose faults follow a script instead of chance. It has the parts of `cluster_simulation.ts`, and plays the
 * histories of the design.
 */
import type { Inspect } from "../../../actors/ingest/session.ts";
import { nodeId, partitionName } from "../../../protocols/position.ts";
import { partitionOfName } from "../../../supervisors/cluster/cluster.ts";
import type { SentEvent, Told } from "../../support/checker.ts";
import { type Evidence, judge, undelivered } from "../judgement.ts";
import { Reader, Sender } from "../parts/simulated_clients.ts";
import { SimulatedNetwork } from "../parts/simulated_network.ts";
import { type PlaceKind, SimulatedPlace } from "../parts/simulated_places.ts";
import { SinkModel } from "../parts/simulated_sink.ts";
import { SINKS, SimulatedStore } from "../parts/simulated_store.ts";
import { inPlaceOfGlobals, World } from "../parts/world.ts";
import { inspector } from "../simulation.ts";
import { addressOf, ClusterProcess, type ProcessParts, SIMULATED_TIMES } from "./cluster_process.ts";
import type { ClusterPlant } from "./cluster_simulation.ts";
import { SimulatedLeases } from "./simulated_lease_store.ts";
import { PeerNetwork } from "./simulated_peers.ts";

const STEPS_MAX = 100_000;

export interface ClusterSetting {
  readonly nodes: readonly string[];
  readonly partitions: number;
  readonly links?: ConstructorParameters<typeof PeerNetwork>[2];
  readonly plant?: ClusterPlant;
  readonly place?: PlaceKind;
}

export class ClusterScene {
  readonly world: World;
  readonly store: SimulatedStore;
  readonly leases: SimulatedLeases;
  readonly network: SimulatedNetwork;
  readonly peers: PeerNetwork;
  readonly processes = new Map<string, ClusterProcess>();
  readonly names: readonly string[];
  readonly sent: SentEvent[] = [];
  readonly told = new Map<string, Told>();
  readonly senders: Sender[] = [];
  /** The place that a source of the setting reads. */
  readonly place: SimulatedPlace | undefined;
  readonly #sinks: readonly SinkModel[];
  readonly #reader: Reader;
  readonly #parts: ProcessParts;
  #lives = 0;

  constructor(world: World, inspect: Inspect, { nodes, partitions, links, plant = {}, place }: ClusterSetting) {
    world.isChaos = false;
    this.world = world;
    this.names = nodes;
    this.store = new SimulatedStore(world, "fsync", partitions);
    this.leases = new SimulatedLeases(world, SIMULATED_TIMES.handOverWithinMs);
    this.leases.checkKnown = () => this.store.checkKnown();
    this.leases.isOwner = (life, partition) => {
      const process = this.processes.get(life.node);
      const isHere = process?.isAlive === true && process.life?.incarnation === life.incarnation;
      return isHere && process.owned().includes(partitionOfName(partition).partition);
    };
    this.network = new SimulatedNetwork(world);
    this.peers = new PeerNetwork(world, SIMULATED_TIMES.silentAfterMs, links);
    this.#sinks = SINKS.map((name, at) => new SinkModel(name, at === 0, {}, []));
    const ledgers = { world, store: this.store, sent: this.sent, told: this.told };
    this.place = place === undefined ? undefined : new SimulatedPlace(place, ledgers);
    this.#parts = {
      ...{ world, leases: this.leases, peers: this.peers, times: SIMULATED_TIMES },
      node: {
        ...{ world, store: this.store, sinks: this.#sinks, inspect },
        places: this.place === undefined ? [] : [this.place],
        retention: { bytesMax: 1e9, ageMaxMs: 7 * 86_400_000, onFull: "refuse" },
        creditBytes: 1_000_000,
        isStoreRemote: true,
        wrapNodeLog: plant.wrapNodeLog ?? ((log) => log),
      },
      wrapLog: plant.wrapLog ?? ((log) => log),
      wrapActor: plant.wrapActor ?? ((definition) => definition),
      wrapLeases: plant.wrapLeases ?? ((store) => store),
      wrapOrder: plant.wrapOrder ?? ((order) => order),
      wrapLinks: plant.wrapLinks ?? ((of) => of),
      onDeath: (process) => this.#onDeath(process),
    };
    for (const name of nodes) this.start(name);
    this.#reader = new Reader(world, this.network.connectAs("reader"), this.store, { addresses: this.#addresses });
  }

  get #addresses(): [string, ...string[]] {
    return this.names.map(addressOf) as [string, ...string[]];
  }

  start(name: string): ClusterProcess {
    this.#lives += 1;
    const process = new ClusterProcess(this.#parts, name, this.#lives);
    this.processes.set(name, process);
    this.network.nodes.set(addressOf(name), process.node);
    return process;
  }

  #onDeath({ name, node }: ClusterProcess): void {
    for (const link of this.network.linksTo(node)) link.cut(0);
    this.processes.delete(name);
    this.network.nodes.delete(addressOf(name));
    this.peers.died(nodeId(name), node.kernel, false);
  }

  process(name: string): ClusterProcess {
    const process = this.processes.get(name);
    if (process === undefined) throw new Error(`Cannot find the process ${name} as it does not run`);
    return process;
  }

  /** The process that believes itself the coordinator, by a current overview. */
  get coordinator(): ClusterProcess | undefined {
    return [...this.processes.values()].find(
      ({ cluster, name }) => cluster.overview().coordinator?.node === name && cluster.overview().ageMs === 0,
    );
  }

  get term(): number {
    return Math.max(
      ...[...this.processes.values()].map(({ cluster }) => cluster.overview().coordinator?.leaderEpoch ?? 0),
    );
  }

  /** A process that does not coordinate and owns a partition. */
  follower(): ClusterProcess {
    const found = [...this.processes.values()].find((one) => one !== this.coordinator && one.owned().length > 0);
    if (found === undefined) throw new Error("Cannot find a follower as only the coordinator owns partitions");
    return found;
  }

  ownerOf(partition: number): ClusterProcess | undefined {
    const owners = [...this.processes.values()].filter((process) => process.owned().includes(partition));
    return owners.length === 1 ? owners[0] : undefined;
  }

  isPlaced(): boolean {
    return this.store.partitions.every(({ partition }) => {
      const owner = this.ownerOf(partition);
      const isKnown = ({ name }: ClusterProcess) =>
        this.process(name).ownerAddress(partition) === addressOf(owner?.name ?? "");
      return owner !== undefined && [...this.processes.values()].every(isKnown);
    });
  }

  /** Nothing passes between a node and the others for a while. */
  cutOff(name: string, forMs: number): void {
    for (const other of this.names) {
      if (other === name) continue;
      this.peers.block(nodeId(name), nodeId(other), forMs);
      this.peers.block(nodeId(other), nodeId(name), forMs);
    }
  }

  freeze(name: string, forMs: number): void {
    this.process(name).node.kernel.frozenUntilMs = this.world.trueMs + forMs;
    this.peers.fallsQuiet(nodeId(name));
  }

  setStoreAway(isAway: boolean): void {
    this.store.store.setAway(isAway);
    this.leases.domain.setAway(isAway);
  }

  /** The log, the leases and the id of the cluster in the store are lost. */
  async loseStore(): Promise<void> {
    this.store.isStrange = true;
    this.leases.loseEverything();
    await this.store.restart("everything");
  }

  sender(name: string, at: string, forward: boolean): Sender {
    const ledgers = { sent: this.sent, told: this.told, store: this.store, forgetsInDoubt: false };
    const others = this.#addresses.filter((address) => address !== addressOf(at));
    const wayIn = { addresses: [addressOf(at), ...others] as [string, ...string[]], forward };
    const sender = new Sender(this.world, name, false, this.network.connectAs(name), ledgers, wayIn);
    this.senders.push(sender);
    return sender;
  }

  count(what: string): number {
    return this.world.counts.get(what) ?? 0;
  }

  /** Runs the world until `hasHappened`. Answers how long that took, in ms; throws with `what` if it never happens. */
  async until(hasHappened: () => boolean, what: string): Promise<number> {
    const stepsMax = this.world.steps + STEPS_MAX;
    const beganMs = this.world.trueMs;
    await this.world.run(() => hasHappened() || this.world.steps >= stepsMax);
    if (!hasHappened()) throw new Error(`it never happened that ${what}`);
    return this.world.trueMs - beganMs;
  }

  async pass(forMs: number): Promise<void> {
    const endMs = this.world.trueMs + forMs;
    let isOver = false;
    this.world.at(endMs, () => {
      isOver = true;
    });
    await this.until(() => isOver, `${forMs} ms passed`);
  }

  async formed(): Promise<void> {
    await this.until(() => this.coordinator !== undefined && this.isPlaced(), "every partition has an owner");
  }

  /** Every event is answered and reaches all sinks and the subscriber; then the checker must find nothing. */
  async settled(): Promise<void> {
    await this.until(() => this.senders.every(({ open }) => open === 0), "every sender is told");
    await this.until(() => this.place?.unread() === undefined, "the place is read");
    await this.store.absorb();
    await this.until(() => undelivered(this.#evidence) === undefined, "everything is delivered");
    await judge(this.#evidence);
  }

  get #evidence(): Evidence {
    return {
      ...{ world: this.world, store: this.store, sinks: this.#sinks, reader: this.#reader },
      ...{ senders: this.senders, sent: this.sent, told: this.told, mayTrimUnread: false },
    };
  }

  nameOf(partition: number): string {
    return partitionName(this.store.partitions[partition]!);
  }
}

/** Plays a script. Throws if the script throws, or if the world noted a problem. */
export async function playCluster(
  setting: ClusterSetting,
  script: (scene: ClusterScene) => Promise<void>,
): Promise<void> {
  const world = new World(1);
  const inspect = await inspector();
  await inPlaceOfGlobals(world, async () => script(new ClusterScene(world, inspect, setting)));
  if (world.problems.length > 0) throw new Error(world.problems.join("\n"));
}
