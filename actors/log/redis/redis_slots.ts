/** Redis Cluster's 16,384 slots: the slot of a key, and a hash tag for each slot. */

export const SLOT_COUNT = 16_384;

/** Table of CRC16 (XMODEM) for one byte. */
const CRC_TABLE = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit += 1) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
  return crc;
});

/** The slot of a key: that of its hash tag (the text in its first braces) where it has a tag, else that of the whole key. */
export function slotOf(key: string): number {
  const open = key.indexOf("{");
  const close = open < 0 ? -1 : key.indexOf("}", open + 1);
  const bytes = Buffer.from(close > open + 1 ? key.slice(open + 1, close) : key);
  let crc = 0;
  for (const byte of bytes) crc = ((crc << 8) & 0xffff) ^ (CRC_TABLE[(crc >> 8) ^ byte] as number);
  return crc & (SLOT_COUNT - 1);
}

const tags = new Map<number, string>();
let triedTags = 0;

/** A hash tag that lies in the slot: the least number whose text does. */
export function tagOf(slot: number): string {
  for (;;) {
    const known = tags.get(slot);
    if (known !== undefined) return known;
    const tag = String(triedTags);
    triedTags += 1;
    const lies = slotOf(tag);
    if (!tags.has(lies)) tags.set(lies, tag);
  }
}
