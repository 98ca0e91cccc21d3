/**
 * Processor time of this process, in ms: a limit on work that holds on a busy machine too, where a limit in seconds would judge the
 * machine's other programs.
 */
export function cpuTimeMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}
