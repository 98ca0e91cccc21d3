/**
 * `headrace cluster add-node` and `kill-node`: for a cluster that `npm run cluster` runs on this machine, and no other.
 */
import { UsageError } from "../exit_codes.ts";
import { askLocalCluster, type LocalRequest } from "./local_cluster_control.ts";
import { type LocalClusterState, type LocalNode, readState } from "./local_cluster_state.ts";

export interface LocalOptions {
  readonly folder: string;
  /** The address that the user gives for a node of the cluster. */
  readonly address?: string;
}

const ELSEWHERE =
  "nodes of any other cluster are started with headrace up, and stopped or killed, on the machines where they run";

/** Throws `UsageError` if no local cluster runs in the folder, or if the address belongs to another cluster. */
export async function commandLocalCluster(
  { folder, address }: LocalOptions,
  request: LocalRequest,
): Promise<LocalNode | undefined> {
  const state = await readState(folder);
  if (state === undefined) {
    throw new UsageError(
      `Cannot find a cluster in ${folder} as npm run cluster must have started it there: ${ELSEWHERE}`,
    );
  }
  if (address !== undefined) refuseOther(state, folder, address);
  const answer = await askLocalCluster(state, request);
  if (answer !== undefined) return answer[0];
  throw new UsageError(
    `Cannot reach the cluster in ${folder} as process ${state.pid}, which started it, must still run: it left its state behind and is gone`,
  );
}

function refuseOther({ nodes }: LocalClusterState, folder: string, address: string): void {
  const port = URL.canParse(address) ? Number(new URL(address).port) : undefined;
  if (nodes.some((node) => node.port === port)) return;
  const known = nodes.map((node) => node.address).join(", ");
  throw new UsageError(
    `Cannot do this at ${address} as it must be a node of the cluster in ${folder} ([${known}]): ${ELSEWHERE}`,
  );
}
