/** A program that starts a local cluster and lives until it is killed: `local_cluster_program.ts <options as JSON>`. */
import { startLocalCluster } from "../../../scripts/console/local_cluster/local_cluster.ts";

await startLocalCluster(JSON.parse(process.argv[2] ?? "{}"));
