import { test } from "uvu";
import * as assert from "uvu/assert";
import { admitRequest } from "../../../../supervisors/security/admission/request_admission.ts";

interface Case {
  readonly host: string;
  readonly origin?: string;
  readonly listenHost?: string;
  readonly advertise?: string;
  readonly hosts?: readonly string[];
  readonly origins?: readonly string[];
}

function outcome({ host, origin, listenHost = "127.0.0.1", advertise, hosts = [], origins = [] }: Case): string {
  try {
    const headers = { host, ...(origin === undefined ? {} : { origin }) };
    admitRequest({ headers }, { hosts, origins }, { listenHost, advertise });
    return "admitted";
  } catch (error) {
    return (error as { code: string }).code;
  }
}

test("a foreign DNS name is refused, however much it looks like this machine", () => {
  const names = [
    "127.evil.example",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "evil.example",
    "0.0.0.0",
    "[::]",
  ];
  for (const name of names) {
    assert.is(outcome({ host: `${name}:7070`, origin: `http://${name}:7070` }), "HOST_REFUSED", name);
  }
  for (const host of ["", "evil.example@127.0.0.1", "127.0.0.1/evil", "localhost:1:2"])
    assert.is(outcome({ host }), "HOST_REFUSED", host);
});

test("this machine's own names are answered in every spelling", () => {
  for (const host of [
    "localhost:7070",
    "LOCALHOST",
    "localhost.:7070",
    "127.0.0.1:7070",
    "[::1]:7070",
    "[::ffff:127.0.0.1]",
    "app.localhost",
  ])
    assert.is(outcome({ host }), "admitted", host);
});

test("configured names, the listening one and the advertised one are compared without case and final dot", () => {
  const own = { hosts: ["Ingest.Example"], listenHost: "10.0.0.5", advertise: "node-1.example:7070" };
  for (const host of ["ingest.example", "INGEST.example.:7070", "10.0.0.5:7070", "node-1.example:7070"])
    assert.is(outcome({ ...own, host }), "admitted", host);
  assert.is(outcome({ ...own, host: "other.example" }), "HOST_REFUSED");
});

test("beyond loopback, if no name is configured, any name and a health check without a name are answered", () => {
  assert.is(outcome({ host: "any.example", listenHost: "0.0.0.0" }), "admitted");
  assert.is(outcome({ host: "", listenHost: "0.0.0.0" }), "admitted");
  assert.is(outcome({ host: "", listenHost: "0.0.0.0", hosts: ["a.example"] }), "HOST_REFUSED");
});

test("a web page is the node's own if its host and port are those of the request, in any spelling", () => {
  assert.is(outcome({ host: "LOCALHOST:7070", origin: "http://localhost:7070" }), "admitted");
  assert.is(outcome({ host: "localhost:80", origin: "http://localhost" }), "admitted");
  for (const origin of ["http://localhost:8080", "http://127.0.0.1:7070", "null", "http://evil.example", "file://", ""])
    assert.is(outcome({ host: "localhost:7070", origin }), "ORIGIN_REFUSED", origin);
});

test("a listed origin is compared as an origin, not as a text", () => {
  const origins = ["https://shop.example", "chrome-extension://abc"];
  for (const origin of ["https://shop.example", "https://SHOP.example:443", "chrome-extension://abc"])
    assert.is(outcome({ host: "localhost", origin, origins }), "admitted", origin);
  for (const origin of ["http://shop.example", "https://shop.example.evil", "https://shop.example:8443"])
    assert.is(outcome({ host: "localhost", origin, origins }), "ORIGIN_REFUSED", origin);
});

test.run();
