/** Under which names a delivery keeps its state in the partition's log. A sink's name holds no `/`. */
import type { PartitionReference } from "../../../protocols/position.ts";

export interface DeliveryIdentity {
  readonly name: string;
  readonly replay?: string;
}

/** Tells the delivery's checkpoints and its chain from those of every other delivery. */
const deliveryId = ({ name, replay }: DeliveryIdentity): string =>
  replay === undefined ? name : `${name}/replay/${replay}`;

/** The chain of the delivery's dead letters. */
export const sinkProducerId = (of: DeliveryIdentity, { partition }: PartitionReference): string =>
  `sink/${deliveryId(of)}/${partition}`;

/** The checkpoint that holds a delivery's position. */
export const positionCheckpoint = (of: DeliveryIdentity): string => `sink/${deliveryId(of)}`;

/** The checkpoint of the records beyond the position that are set aside (D4). */
export const setAsideCheckpoint = (of: DeliveryIdentity): string => `sink/${deliveryId(of)}/set_aside`;

/** The checkpoint of the cut into requests (D13). */
export const cutCheckpoint = (of: DeliveryIdentity): string => `sink/${deliveryId(of)}/cut`;

export const deliveryName = (of: DeliveryIdentity): string => `delivery-${deliveryId(of)}`;
