/** The names under which a delivery keeps its state in the partition's log. A sink's name holds no `/`. */
import type { PartitionReference } from "../../../protocols/position.ts";

export interface DeliveryIdentity {
  readonly name: string;
  readonly replay?: string;
}

/** Names the delivery, unlike any other delivery of the partition. */
const deliveryId = ({ name, replay }: DeliveryIdentity): string =>
  replay === undefined ? name : `${name}/replay/${replay}`;

export const sinkProducerId = (of: DeliveryIdentity, { partition }: PartitionReference): string =>
  `sink/${deliveryId(of)}/${partition}`;

export const positionCheckpoint = (of: DeliveryIdentity): string => `sink/${deliveryId(of)}`;

/** The checkpoint that holds the records set aside beyond the position (D4). */
export const setAsideCheckpoint = (of: DeliveryIdentity): string => `sink/${deliveryId(of)}/set_aside`;

/** The checkpoint that holds the cut into requests (D13). */
export const cutCheckpoint = (of: DeliveryIdentity): string => `sink/${deliveryId(of)}/cut`;

export const deliveryName = (of: DeliveryIdentity): string => `delivery-${deliveryId(of)}`;
