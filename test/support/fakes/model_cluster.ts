/**
 * A model of several nodes over one log, as a producer sees them. Each node has its own belief about the owners, which
 * may be wrong: a node that is not the owner answers `moved`, with an address where it believes in one. Epochs are
 * judged as the log judges them.
 */
import type { ClientFrame, NodeFrame } from "../../../protocols/wire/frames.ts";
import { ModelNode } from "./model_node.ts";

export class ModelCluster {
  readonly log: ModelNode;
  readonly addresses: readonly string[];
  /** The owner's address, by partition. */
  readonly owners: string[];
  /** The owners that each node believes in; undefined where it knows none. */
  readonly beliefs = new Map<string, (string | undefined)[]>();
  /** Whether `welcome` names the owners that the node believes in. */
  namesOwners = false;
  /**
   * True to give all connections of an instance one epoch, as nodes with one log do; otherwise each gets a higher one.
   */
  keepsEpoch = false;
  readonly opens: { readonly address: string; readonly partition: number }[] = [];
  /** Appends that reached the log, each with its node. */
  readonly appends: { readonly address: string; readonly partition: number }[] = [];
  private readonly openedEpochs = new Map<string, number>();

  constructor(addresses: readonly string[], partitions: number) {
    this.log = new ModelNode(partitions);
    this.addresses = addresses;
    this.owners = Array.from({ length: partitions }, () => addresses[0] ?? "");
    for (const address of addresses) this.beliefs.set(address, [...this.owners]);
  }

  move(partition: number, to: string): void {
    this.owners[partition] = to;
  }

  learn(address: string): void {
    this.beliefs.set(address, [...this.owners]);
  }

  believe(address: string, partition: number, owner: string | undefined): void {
    const beliefs = this.beliefs.get(address);
    if (beliefs !== undefined) beliefs[partition] = owner;
  }

  /** The answers of the node at `address`. */
  take(address: string, frame: ClientFrame, bytes: number): NodeFrame[] {
    if (frame.type === "hello") return this.log.take(frame, bytes).map((answer) => this.welcome(address, answer));
    if (frame.type !== "open" && frame.type !== "append" && frame.type !== "lost") return [];
    const { stream, partition, producerEpoch } = frame;
    const believed = this.beliefs.get(address)?.[partition];
    const credit: NodeFrame[] = frame.type === "append" ? [{ type: "credit", creditBytes: bytes }] : [];
    if (believed !== address) {
      const moved = {
        type: "moved",
        stream,
        partition,
        ...(believed === undefined ? {} : { address: believed }),
      } as const;
      return [moved, ...credit];
    }
    if (this.owners[partition] !== address) {
      this.believe(address, partition, undefined); // the log's fence has told it
      return [{ type: "moved", stream, partition }, ...credit];
    }
    const key = `${stream}/${partition}`;
    if (producerEpoch < (this.openedEpochs.get(key) ?? 0)) {
      return [{ type: "error", code: "STALE_PRODUCER_EPOCH", message: "a newer one was opened", stream, partition }];
    }
    if (frame.type === "open") {
      this.openedEpochs.set(key, producerEpoch);
      this.opens.push({ address, partition });
    }
    if (frame.type === "append") this.appends.push({ address, partition });
    return this.log.take(frame, bytes);
  }

  private welcome(address: string, answer: NodeFrame): NodeFrame {
    if (answer.type !== "welcome") return answer;
    const welcome = this.keepsEpoch ? { ...answer, producerEpoch: 1 } : answer;
    if (!this.namesOwners) return welcome;
    const beliefs = this.beliefs.get(address) ?? [];
    const owners = Object.fromEntries(
      beliefs.flatMap((owner, partition) =>
        owner === undefined || owner === address ? [] : [[String(partition), owner] as const],
      ),
    );
    const streams = Object.entries(welcome.streams).map(([name, stream]) => [name, { ...stream, owners }] as const);
    return { ...welcome, streams: Object.fromEntries(streams) };
  }
}
