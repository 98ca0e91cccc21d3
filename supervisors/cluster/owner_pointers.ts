/** Directs requests for partitions of other nodes to their owners over the links, while the member knows an owner. */
import type { Log } from "../../actors/log/log.ts";
import { ForwardedPartition } from "../../actors/partition/forwarded_partition.ts";
import type { PartitionRequest } from "../../actors/partition/partition.ts";
import { RemoteView } from "../../actors/partition/remote_view.ts";
import type { PeerLinks } from "../../actors/transport/peer/peer_links.ts";
import { SYSTEM_CLOCK } from "../../protocols/clock.ts";
import type { NodeDirectory } from "../node/stream_directory.ts";
import { isSameLife, type Life, lifeOf, type Member, type PartitionName, partitionOfName } from "./cluster.ts";

interface Pointer {
  readonly life: Life;
  readonly address: string;
  readonly forwarded: ForwardedPartition;
  readonly view: RemoteView;
}

/** The name of a partition's owner for other nodes. */
export const partitionActorName = (partition: PartitionName): string => `partition/${partition}`;

export class OwnerPointers {
  readonly #directory: Pick<NodeDirectory, "setElsewhere">;
  readonly #records: Pick<Log, "read" | "seek">;
  readonly #pointers = new Map<PartitionName, Pointer>();

  /** @param records the log that all nodes share */
  constructor(directory: Pick<NodeDirectory, "setElsewhere">, records: Pick<Log, "read" | "seek">) {
    this.#directory = directory;
    this.#records = records;
  }

  pointTo(links: Pick<PeerLinks, "reference">, name: PartitionName, owner: Member | undefined): void {
    const known = this.#pointers.get(name);
    const address = owner?.profile.clientAddress;
    if (isSameLife(known?.life, owner) && known?.address === address) return;
    this.#forget(name);
    if (owner === undefined) return;
    const partition = partitionOfName(name);
    const reference = links.reference<PartitionRequest>(owner.node, partitionActorName(name));
    const forwarded = new ForwardedPartition(partition, reference);
    const view = new RemoteView({ partition, owner: reference, log: this.#records, setTimer: SYSTEM_CLOCK.setTimer });
    const { clientAddress } = owner.profile;
    this.#pointers.set(name, { life: lifeOf(owner), address: clientAddress, forwarded, view });
    this.#directory.setElsewhere(partition, { reference: forwarded, address: clientAddress, view });
  }

  #forget(name: PartitionName): void {
    const known = this.#pointers.get(name);
    if (known === undefined) return;
    this.#pointers.delete(name);
    this.#directory.setElsewhere(partitionOfName(name), undefined);
    known.forwarded.end();
    known.view.end();
  }

  forgetAll(): void {
    for (const partition of [...this.#pointers.keys()]) this.#forget(partition);
  }
}
