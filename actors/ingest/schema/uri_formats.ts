/** URIs (RFC 3986) and their templates (RFC 6570), checked in one pass. */
import { isIpv4, isIpv6 } from "./host_formats.ts";

const UNRESERVED = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
const SUB_DELIMITERS = "!$&'()*+,;=";

/** A table of the ASCII characters that a part may hold, besides percent-encoded ones. */
function tableOf(characters: string): Uint8Array {
  const table = new Uint8Array(128);
  for (const character of characters) table[character.charCodeAt(0)] = 1;
  return table;
}

const USER = tableOf(`${UNRESERVED}${SUB_DELIMITERS}:`);
const HOST = tableOf(`${UNRESERVED}${SUB_DELIMITERS}`);
const PATH = tableOf(`${UNRESERVED}${SUB_DELIMITERS}:@/`);
const QUERY = tableOf(`${UNRESERVED}${SUB_DELIMITERS}:@/?`);
const HEX = tableOf("0123456789abcdefABCDEF");

const SCHEME = /^[a-z][a-z0-9+.-]{0,63}:/i;
const PORT = /^\d*$/;
const FUTURE_ADDRESS = /^v[0-9a-f]+\.[a-z0-9\-._~!$&'()*+,;=:]+$/i;
const PERCENT = 0x25;

/** Whether each character at `[from, to)` is in the table or percent-encoded. */
function holds(text: string, from: number, to: number, table: Uint8Array): boolean {
  for (let at = from; at < to; at++) {
    const character = text.charCodeAt(at);
    if (character === PERCENT) {
      if (at + 2 >= to || HEX[text.charCodeAt(at + 1)] !== 1 || HEX[text.charCodeAt(at + 2)] !== 1) return false;
      at += 2;
    } else if (table[character] !== 1) return false;
  }
  return true;
}

export function isUri(text: string): boolean {
  const scheme = SCHEME.exec(text);
  return scheme !== null && isAfterScheme(text, scheme[0].length);
}

/** Whether a text is a URI or a relative reference. The first segment of a relative path holds no colon. */
export function isUriReference(text: string): boolean {
  const scheme = SCHEME.exec(text);
  if (scheme !== null) return isAfterScheme(text, scheme[0].length);
  const colon = text.indexOf(":");
  const first = text.search(/[/?#]/);
  return (colon < 0 || (first >= 0 && first < colon)) && isAfterScheme(text, 0);
}

function isAfterScheme(text: string, start: number): boolean {
  const hash = text.indexOf("#", start);
  const beforeFragment = hash < 0 ? text.length : hash;
  const mark = text.indexOf("?", start);
  const pathEnd = mark < 0 || mark > beforeFragment ? beforeFragment : mark;
  let pathStart = start;
  if (text.startsWith("//", start)) {
    const slash = text.indexOf("/", start + 2);
    pathStart = slash < 0 || slash > pathEnd ? pathEnd : slash;
    if (!isAuthority(text.slice(start + 2, pathStart))) return false;
  }
  return (
    holds(text, pathStart, pathEnd, PATH) &&
    holds(text, Math.min(pathEnd + 1, beforeFragment), beforeFragment, QUERY) &&
    holds(text, Math.min(beforeFragment + 1, text.length), text.length, QUERY)
  );
}

function isAuthority(authority: string): boolean {
  const at = authority.lastIndexOf("@");
  if (at >= 0 && !holds(authority, 0, at, USER)) return false;
  const rest = authority.slice(at + 1);
  const literalEnd = rest.startsWith("[") ? rest.indexOf("]") : -1;
  if (rest.startsWith("[")) {
    const address = rest.slice(1, literalEnd);
    const after = rest.slice(literalEnd + 1);
    if (literalEnd < 0 || (after !== "" && !after.startsWith(":"))) return false;
    return PORT.test(after.slice(1)) && (isIpv6(address) || FUTURE_ADDRESS.test(address));
  }
  const colon = rest.lastIndexOf(":");
  const hostEnd = colon < 0 ? rest.length : colon;
  if (!PORT.test(rest.slice(hostEnd + 1))) return false;
  return holds(rest, 0, hostEnd, HOST) || isIpv4(rest.slice(0, hostEnd));
}

const EXPRESSION = /^[+#./;?&=,!@|]?[A-Za-z0-9_.%]+(?::[1-9]\d{0,3}|\*)?(?:,[A-Za-z0-9_.%]+(?::[1-9]\d{0,3}|\*)?)*$/;
const NOT_LITERAL = tableOf('"<>\\^`{|}\u007f');

/** Whether `[from, to)` is a literal of RFC 6570: no control character, no space, none of its reserved characters. */
function isLiteral(text: string, from: number, to: number): boolean {
  for (let at = from; at < to; at++) {
    const character = text.charCodeAt(at);
    if (character <= 0x20 || NOT_LITERAL[character] === 1) return false;
  }
  return true;
}

/** Whether a text is a URI template: braces in pairs, each around names of variables. */
export function isUriTemplate(text: string): boolean {
  for (let at = 0; at < text.length; ) {
    const open = text.indexOf("{", at);
    const literalEnd = open < 0 ? text.length : open;
    if (!isLiteral(text, at, literalEnd)) return false;
    if (open < 0) return true;
    const close = text.indexOf("}", open);
    if (close < 0 || !EXPRESSION.test(text.slice(open + 1, close))) return false;
    at = close + 1;
  }
  return true;
}
