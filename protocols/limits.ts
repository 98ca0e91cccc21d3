/**
 * Bounds of the fields of frames: one table for the parser, the stored form of batches, docs/protocol.md and its test.
 * A field beyond its bound is refused by name (`MALFORMED_FRAME`). Texts of a node's own, messages and reasons, are
 * cut.
 */
export const FIELD_LIMITS = {
  /** Characters (UTF-16 code units) of a stream's, producer's or instance's name. */
  nameCharactersMax: 256,
  clientCharactersMax: 256,
  tokenCharactersMax: 16_384,
  /** Characters of a node's name or address. */
  addressCharactersMax: 2_048,
  codeCharactersMax: 64,
  pathCharactersMax: 1_024,
  /** Characters of a message or a reason. */
  messageCharactersMax: 4_096,
  /** MessagePack bytes of `append.position` as sent, or compact if sent as JSON. A chain keeps its producer's last. */
  positionBytesMax: 4_096,
  /** Sequences listed by one append. */
  sequencesMax: 10_000,
  /** Partitions of one subscription. */
  subscriptionPartitionsMax: 4_096,
  /** Versions of one schema: the stored form has 32 bits for them. */
  schemaVersionMax: 4_294_967_295,
} as const;

/** A node's own text, cut to its bound. */
export const cutText = (text: string, charactersMax: number): string =>
  text.length <= charactersMax ? text : `${text.slice(0, charactersMax - 1)}…`;
