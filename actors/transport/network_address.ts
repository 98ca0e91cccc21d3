/**
 * Tells addresses from names. A text that only begins like an address, such as `127.evil.example`, is a name in DNS.
 * Spellings that URL parsers read as an address (`0x7f.1`, `2130706433`, `[::ffff:127.0.0.1]`) count as that address.
 */
import { BlockList, isIP, isIPv4, isIPv6 } from "node:net";

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet("127.0.0.0", 8, "ipv4");
LOOPBACK.addAddress("::1", "ipv6");

/** A host and its port, as a text such as `example.org:8080` names them. `port` is empty where the text has none. */
export interface NamedHost {
  readonly name: string;
  readonly port: string;
}

/** The one spelling of a host: lower case, no brackets, zone or final dot, an IPv4-mapped address as IPv4. */
export function canonicalHost(host: string): string | undefined {
  const bare = host.startsWith("[") && host.endsWith("]") ? host.slice(1, -1) : host;
  const address = bare.replace(/%.*$/, ""); // a zone names a network card of this machine, not another host
  if (isIPv6(address)) return unmapped(new URL(`http://[${address}]`).hostname.slice(1, -1));
  if (/[\s/\\?#@:%[\]]/.test(bare) || !URL.canParse(`http://${bare}`)) return undefined;
  const name = new URL(`http://${bare}`).hostname.replace(/\.$/, "");
  return name === "" ? undefined : name;
}

/** Reads a `Host` header, or the part of an address between `//` and the path. Undefined where it names no host. */
export function namedHost(text: string): NamedHost | undefined {
  const found = /^(\[[^\]]*\]|[^:[\]]*)(?::([0-9]{0,5}))?$/.exec(text);
  const name = found === null ? undefined : canonicalHost(found[1] ?? "");
  return name === undefined ? undefined : { name, port: found?.[2] ?? "" };
}

/** True for an IP address of this machine's loopback network, and for no name. */
export function isLoopbackAddress(address: string): boolean {
  const one = isIP(address.replace(/%.*$/, "")) === 0 ? undefined : canonicalHost(address);
  return one !== undefined && isIP(one) !== 0 && LOOPBACK.check(one, isIPv4(one) ? "ipv4" : "ipv6");
}

/** True for a loopback address in any spelling, for `localhost`, and for the names below `localhost` (RFC 6761). */
export function isLoopbackHost(host: string): boolean {
  const one = canonicalHost(host);
  if (one === undefined) return false;
  return isIP(one) !== 0 ? isLoopbackAddress(one) : one === "localhost" || one.endsWith(".localhost");
}

/** True for the hosts `0.0.0.0` and `::`, on which a listener is reached at every address of the machine. */
export function isEveryAddress(host: string): boolean {
  const one = canonicalHost(host);
  return one === "0.0.0.0" || one === "::";
}

/** The group by which connections are counted: an IPv4 address, or the /64 network that one IPv6 client commonly has. */
export function addressGroup(address: string): string {
  const one = canonicalHost(address);
  if (one === undefined || !isIPv6(one)) return one ?? "unknown";
  const [head = "", tail] = one.split("::");
  const groups = head === "" ? [] : head.split(":");
  const rest = tail === undefined || tail === "" ? [] : tail.split(":");
  const all = tail === undefined ? groups : [...groups, ...Array(8 - groups.length - rest.length).fill("0"), ...rest];
  return `${all.slice(0, 4).join(":")}::/64`;
}

/** The IPv4 address of an IPv4-mapped one: `::ffff:7f00:1`, as URL parsers write it, is `127.0.0.1`. */
function unmapped(address: string): string {
  const found = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(address);
  if (found === null) return address;
  const [high, low] = [Number.parseInt(found[1] ?? "0", 16), Number.parseInt(found[2] ?? "0", 16)];
  return [high >> 8, high & 255, low >> 8, low & 255].join(".");
}
