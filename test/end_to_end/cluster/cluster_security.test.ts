/** Admission to a cluster: by its secret, or by a certificate of its authority. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { RunningCluster } from "../../support/processes/running_cluster.ts";
import { configurationOf, eventually } from "../../support/processes/running_node.ts";
import { requireRedis } from "../../support/redis/redis_server.ts";

requireRedis();

const STREAMS = "streams: { readings: { partitions: 4, durability: everysec } }";

test("nodes with the secret share the partitions; a node with another secret gets no link and no partition", async () => {
  const cluster = await RunningCluster.start(`${STREAMS}\ncluster: { secretEnv: SECRET }`, []);
  cluster.secrets.SECRET = "the secret of this cluster, and of no other one";
  await cluster.add("a");
  await cluster.add("b");
  await cluster.settled();
  cluster.secrets.SECRET = "some other secret that somebody has made up";
  void cluster.add("c"); // this node never becomes ready
  const stranger = await eventually(() => cluster.nodes.get("c"));
  await eventually(() =>
    stranger.logged.some((line) => /secret|UNAUTHENTICATED|FORBIDDEN/.test(line)) ? true : undefined,
  );
  const { partitions } = await cluster.node("a").overview();
  assert.equal([...new Set(partitions.map(({ owner }) => owner))].sort(), ["a", "b"]);
  await cluster.end();
});

test("nodes behind TLS show each other their certificates, without any secret", async () => {
  const folder = mkdtempSync(join(tmpdir(), "headrace-certificates-"));
  const openssl = (...args: readonly string[]) => execFileSync("openssl", args, { stdio: "ignore", cwd: folder });
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  openssl("req", "-x509", ...key, "-days", "1", "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.pem");
  openssl("req", ...key, "-subj", "/CN=node", "-keyout", "node.key", "-out", "node.csr");
  writeFileSync(join(folder, "names.txt"), "subjectAltName=IP:127.0.0.1\n");
  const signing = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "1", "-extfile", "names.txt"];
  openssl("x509", "-req", "-in", "node.csr", ...signing, "-out", "node.pem");
  const at = (name: string) => JSON.stringify(join(folder, name));
  const tls = `security: { tls: { certificateFile: ${at("node.pem")}, keyFile: ${at("node.key")} } }`;
  const cluster = await RunningCluster.start(`${STREAMS}\n${tls}\ncluster: { caFile: ${at("ca.pem")} }`, ["a", "b"]);
  const { nodes } = await cluster.settled();
  assert.equal(
    nodes.map(({ state, partitions, address }) => [state, partitions, address.split(":")[0]]),
    [
      ["ready", 2, "wss"],
      ["ready", 2, "wss"],
    ],
  );
  await cluster.end();
  rmSync(folder, { recursive: true, force: true });
});

test("a node that others could not reach, or that would be open to everybody, does not start and names the missing setting", async () => {
  const cluster = await RunningCluster.start(
    `${STREAMS}\nsecurity: { tokens: [{ name: t, valueEnv: T, scopes: [admin] }] }\nnode: { host: 0.0.0.0 }`,
    [],
  );
  cluster.secrets.T = "a token that is long enough for a test";
  const refusal = () =>
    cluster.add("a").then(
      () => "started",
      (error: Error) => error.message,
    );
  assert.match(await refusal(), /needs cluster\.secretFile, cluster\.secretEnv or cluster\.caFile/);
  await cluster.end();
  const wrong = await configurationOf("cluster: {}\n", tmpdir()).catch((error: Error) => error.message);
  assert.match(String(wrong), /share a log of type redis/);
});

test.run();
