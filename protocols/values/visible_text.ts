/**
 * Makes a text safe to show on a terminal: characters that steer a terminal, break a line, change the direction of
 * reading or take no room are written as `\uXXXX`. In JSON strings such an escape stands for the character itself, so
 * the JSON keeps its value.
 */

/**
 * C0, DEL and C1 (Cc); bidirectional marks, embeddings, overrides and isolates, zero-width and other format characters
 * (Cf); line and paragraph separators (Zl, Zp); and halves of surrogate pairs that stand alone (Cs).
 */
const STEERING = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

export function visibleText(text: string): string {
  return text.replace(STEERING, escaped);
}

function escaped(character: string): string {
  let written = "";
  for (let at = 0; at < character.length; at += 1)
    written += `\\u${character.charCodeAt(at).toString(16).padStart(4, "0")}`;
  return written;
}
