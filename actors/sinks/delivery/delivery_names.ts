/**
 * The names of deliveries, and of the state that they keep in the partition's log. The name of a sink, and a name given
 * by `as`, hold neither `/` nor `@`.
 */
import type { PartitionReference } from "../../../protocols/position.ts";

/** A sink as a pipeline names it. `as` tells deliveries of one stream to one sink apart. */
export interface DeliveryTarget {
  readonly sink: string;
  readonly as?: string;
}

/** The most characters of `deliveryText`: as many as a sink's name alone may have, as both stand in longer names. */
export const DELIVERY_TEXT_CHARACTERS_MAX = 100;

/** `sink`, or `sink@as`: the name by which people and commands call a delivery. */
export const deliveryText = ({ sink, as }: DeliveryTarget): string => (as === undefined ? sink : `${sink}@${as}`);

/** The target that `deliveryText` has named. */
export function deliveryTarget(text: string): DeliveryTarget {
  const [sink = "", as] = text.split("@");
  return as === undefined ? { sink } : { sink, as };
}

export interface DeliveryIdentity {
  /** Name of the sink. */
  readonly name: string;
  readonly as?: string;
  readonly replay?: string;
}

/** The name of the delivery, whichever replay it belongs to. */
export const nameOf = ({ name, as }: DeliveryIdentity): string =>
  deliveryText(as === undefined ? { sink: name } : { sink: name, as });

/** Names the delivery, unlike any other delivery of the partition. */
const deliveryId = (of: DeliveryIdentity): string =>
  of.replay === undefined ? nameOf(of) : `${nameOf(of)}/replay/${of.replay}`;

export const sinkProducerId = (of: DeliveryIdentity, { partition }: PartitionReference): string =>
  `sink/${deliveryId(of)}/${partition}`;

/** Names the position, and the consumer that retention waits for. */
export const positionCheckpoint = (of: DeliveryIdentity): string => `sink/${deliveryId(of)}`;

/** The checkpoint that holds the records set aside beyond the position (D4). */
export const setAsideCheckpoint = (of: DeliveryIdentity): string => `sink/${deliveryId(of)}/set_aside`;

/** The checkpoint that holds the cut into requests (D13). */
export const cutCheckpoint = (of: DeliveryIdentity): string => `sink/${deliveryId(of)}/cut`;

/** The channel of the records that the delivery, or a replay of it, has set aside. */
export const lettersChannel = (of: DeliveryIdentity): `dead_letters/${string}` => `dead_letters/${nameOf(of)}`;

export const deliveryName = (of: DeliveryIdentity): string => `delivery-${deliveryId(of)}`;
