import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  addressGroup,
  canonicalHost,
  isEveryAddress,
  isLoopbackAddress,
  isLoopbackHost,
  namedHost,
} from "../../../actors/transport/network_address.ts";

const LOOPBACK = [
  ...["127.0.0.1", "127.255.255.254", "127.1", "0x7f.1", "0177.0.0.1", "2130706433", "127.0.0.1."],
  ...["::1", "[::1]", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1", "[::ffff:7f00:1]", "::1%lo"],
  ...["localhost", "LOCALHOST", "localhost.", "app.localhost", "a.b.localhost."],
];
const ELSEWHERE = [
  ...["127.evil.example", "127.0.0.1.evil.example", "127.0.0.1evil", "localhost.evil.example", "notlocalhost"],
  ...["0.0.0.0", "::", "[::]", "128.0.0.1", "10.0.0.1", "::ffff:10.0.0.1", "::7f00:1", "fe80::1%eth0", "1127.0.0.1"],
  ...["", ".", "localhost..", "user@127.0.0.1", "127.0.0.1/x", "127.0.0.1#", "127.0.0.1:80", "[127.0.0.1", "a b"],
];

test("loopback is an address or a reserved name in any spelling, never a name that begins like one", () => {
  for (const host of LOOPBACK) assert.ok(isLoopbackHost(host), host);
  for (const host of ELSEWHERE) assert.not(isLoopbackHost(host), host);
});

test("the address of a connection is never taken for a name", () => {
  for (const address of ["127.0.0.1", "::1", "::ffff:127.0.0.1", "::FFFF:127.3.2.1", "::1%lo"])
    assert.ok(isLoopbackAddress(address), address);
  for (const address of ["localhost", "127.1", "unknown", "", "::ffff:10.0.0.1", "fe80::1%lo"])
    assert.not(isLoopbackAddress(address), address);
});

test("a Host header names one host and one port, and nothing else", () => {
  assert.equal(namedHost("LocalHost:7070"), { name: "localhost", port: "7070" });
  assert.equal(namedHost("[::1]:7070"), { name: "::1", port: "7070" });
  assert.equal(namedHost("ingest.example."), { name: "ingest.example", port: "" });
  for (const text of ["", ":7070", "a:b", "a:1:2", "user@localhost", "[::1", "::1", "localhost:7070/x", "a%2eb"])
    assert.is(namedHost(text), undefined, text);
});

test("every spelling of every address of the machine is recognised", () => {
  for (const host of ["0.0.0.0", "0", "::", "[::]", "0:0:0:0:0:0:0:0", "0x0"]) assert.ok(isEveryAddress(host), host);
  for (const host of ["127.0.0.1", "::1", "localhost"]) assert.not(isEveryAddress(host), host);
});

test("an IPv6 client is counted once, whatever addresses of its network it uses", () => {
  assert.is(addressGroup("2001:db8:1:2::7"), "2001:db8:1:2::/64");
  assert.is(addressGroup("2001:db8:1:2:3:4:5:6"), addressGroup("2001:db8:1:2::7"));
  assert.is.not(addressGroup("2001:db8:1:3::7"), addressGroup("2001:db8:1:2::7"));
  assert.is(addressGroup("2001:db8::1"), "2001:db8:0:0::/64");
  assert.is(addressGroup("::ffff:192.0.2.1"), "192.0.2.1");
  assert.is(canonicalHost("::ffff:192.0.2.1"), canonicalHost("192.0.2.1"));
});

test.run();
