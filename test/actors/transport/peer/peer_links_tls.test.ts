import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  linkUp,
  type PeerNode,
  type PeerNodeOptions,
  startPeerNode,
  untilSo,
} from "../../../support/fakes/peer_node.ts";

const folder = mkdtempSync(join(tmpdir(), "headrace-peers-"));
const file = (name: string): string => join(folder, name);
const openssl = (...args: readonly string[]) => execFileSync("openssl", args, { stdio: "ignore", cwd: folder });
const KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"];

/** An authority, and a certificate that it signed for this machine. */
function authority(name: string) {
  openssl("req", "-x509", ...KEY, "-subj", `/CN=${name}`, "-keyout", `${name}-ca.key`, "-out", `${name}-ca.pem`);
  openssl("req", ...KEY.slice(0, -2), "-subj", "/CN=node", "-keyout", `${name}.key`, "-out", `${name}.csr`);
  writeFileSync(file("names.txt"), "subjectAltName=IP:127.0.0.1\n");
  const signing = ["-CA", `${name}-ca.pem`, "-CAkey", `${name}-ca.key`, "-CAcreateserial", "-days", "1"];
  openssl("x509", "-req", "-in", `${name}.csr`, ...signing, "-extfile", "names.txt", "-out", `${name}.pem`);
  const read = (of: string) => readFileSync(file(of));
  return { ca: read(`${name}-ca.pem`), certificate: read(`${name}.pem`), key: read(`${name}.key`) };
}

const OURS = authority("ours");
const THEIRS = authority("theirs");

const byTls = (of: typeof OURS): PeerNodeOptions =>
  ({
    secret: undefined,
    authorizedByTls: true,
    tls: { ca: OURS.ca, certificate: of.certificate, key: of.key },
    served: { ca: OURS.ca, cert: of.certificate, key: of.key, requestCert: true, rejectUnauthorized: false },
  }) as unknown as PeerNodeOptions;

const closeAll = (...nodes: readonly PeerNode[]) => Promise.all(nodes.map((node) => node.close()));

test("nodes that show certificates of one authority are linked over TLS without a secret", async () => {
  const [a, b] = [await startPeerNode("a", byTls(OURS)), await startPeerNode("b", byTls(OURS))];
  await linkUp(a, b);
  const heard: object[] = [];
  b.actor<object>("member", (message) => void heard.push(message));
  a.links.reference<object>(b.peer.node, "member").tell({ fine: true });
  await untilSo(() => heard.length === 1, "it is heard");
  await closeAll(a, b);
});

test("a certificate of another authority, or none, is refused by both sides, on this machine too", async () => {
  const [a, stranger] = [await startPeerNode("a", byTls(OURS)), await startPeerNode("b", byTls(THEIRS))];
  a.links.keep([stranger.peer]);
  await untilSo(() => a.problems.includes("CONNECTION_LOST"), "the dialler does not trust it");
  stranger.links.keep([a.peer]);
  await untilSo(() => a.problems.includes("UNAUTHENTICATED"), "the acceptor does not either");
  const { ca } = OURS;
  const bare = await startPeerNode("c", { ...byTls(OURS), tls: { ca } });
  a.problems.length = 0;
  bare.links.keep([a.peer]);
  await untilSo(() => a.problems.includes("UNAUTHENTICATED"), "nor one without a certificate");
  await untilSo(() => bare.problems.includes("FORBIDDEN"), "which is told");
  assert.equal([a.events, stranger.events, bare.events], [[], [], []]);
  await closeAll(a, stranger, bare);
});

test("over TLS too, a node with a secret links only with nodes that know it", async () => {
  const secret = "a secret that only one of them knows";
  const [a, b] = [await startPeerNode("a", { ...byTls(OURS), secret }), await startPeerNode("b", byTls(OURS))];
  b.links.keep([a.peer]);
  await untilSo(() => a.problems.includes("UNAUTHENTICATED"), "it is refused");
  assert.equal([a.events, b.events], [[], []]);
  await closeAll(a, b);
});

test.after(() => rmSync(folder, { recursive: true }));

test.run();
