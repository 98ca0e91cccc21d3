/** Formats of host names and addresses (RFC 1123, RFC 2673, RFC 4291, RFC 5321), read in one pass. */

const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i;
const OCTET = /^(?:0|[1-9]\d{0,2})$/;
const GROUP = /^[0-9a-f]{1,4}$/i;
const ATOM = /^[a-z0-9!#$%&'*+/=?^_`{|}~-]+$/i;

/** Whether a text is a host name of at most 253 characters, not counting a point at its end. */
export function isHostname(text: string): boolean {
  const name = text.endsWith(".") ? text.slice(0, -1) : text;
  return name.length > 0 && name.length <= 253 && name.split(".").every((label) => LABEL.test(label));
}

export function isIpv4(text: string): boolean {
  const octets = text.split(".");
  return octets.length === 4 && octets.every((octet) => OCTET.test(octet) && Number(octet) <= 255);
}

/** Whether a text has eight groups. `::` stands for one or more; the last two may be written as an IPv4 address. */
export function isIpv6(text: string): boolean {
  const halves = text.split("::");
  if (text.length > 45 || halves.length > 2) return false;
  const groups = halves.map((half) => (half === "" ? [] : half.split(":")));
  const last = groups.at(-1)?.at(-1);
  let count = groups.reduce((sum, half) => sum + half.length, 0);
  if (last?.includes(".")) {
    if (!isIpv4(last)) return false;
    groups.at(-1)?.pop();
    count += 1;
  }
  if (!groups.every((half) => half.every((group) => GROUP.test(group)))) return false;
  return halves.length === 2 ? count < 8 : count === 8;
}

/** Whether a text is atoms joined by points, `@` and a host name. Quoted local parts and literal addresses are none. */
export function isEmail(text: string): boolean {
  const at = text.lastIndexOf("@");
  if (at < 1 || at > 64) return false;
  return (
    text
      .slice(0, at)
      .split(".")
      .every((atom) => ATOM.test(atom)) && isHostname(text.slice(at + 1))
  );
}
