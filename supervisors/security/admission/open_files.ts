/** Computes how many connections the process has files for: none may take a file that the log or a sink needs. */
import { readFileSync } from "node:fs";
import type { Configuration } from "../../configuration/configuration_schema.ts";
import type { PlaceLimits } from "./connection_places.ts";

/** How many files the runtime, the log and the port need. */
const OWN_FILES = 96;
/** How many files one partition of one sink or source has open at once. */
const FILES_PER_DELIVERY = 2;
/** Places of HTTP beside the WebSockets (connection places C4), if the process has enough files. */
const HTTP_PLACES = 512;
/** Most silent and idle connections of one address. */
const WAITING_PER_ADDRESS_MAX = 256;
/** Fewest places, however few files the process may open. */
const PLACES_MIN = 16;

/** The process's limit of open files; undefined if the system does not tell. Node raises its limit to the hard one. */
export function openFilesMax(): number | undefined {
  if (process.platform !== "linux") return undefined;
  const soft = /^Max open files\s+(\d+|unlimited)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];
  return soft === undefined || soft === "unlimited" ? undefined : Number(soft);
}

/** @param filesMax most open files of the process; undefined if unknown */
export function placeLimits(
  configuration: Pick<Configuration, "limits" | "streams" | "sinks">,
  filesMax: number | undefined,
): PlaceLimits {
  const { connectionsMax, connectionsPerAddressMax } = configuration.limits;
  const wanted = connectionsMax + HTTP_PLACES;
  const placesMax = filesMax === undefined ? wanted : Math.min(wanted, filesMax - reserve(configuration, filesMax));
  const places = Math.max(PLACES_MIN, placesMax);
  const httpPlaces = Math.min(HTTP_PLACES, Math.floor(places / 4));
  return {
    placesMax: places,
    upgradesMax: Math.min(connectionsMax, places - httpPlaces),
    perAddressMax: connectionsPerAddressMax,
    waitingPerAddressMax: Math.min(WAITING_PER_ADDRESS_MAX, Math.floor(places / 4)),
  };
}

/** How many files no connection may take: at most half of all. */
function reserve({ streams, sinks }: Pick<Configuration, "streams" | "sinks">, filesMax: number): number {
  const partitions = Object.values(streams).reduce((sum, stream) => sum + stream.partitions, 0);
  const deliveries = partitions * Math.max(1, Object.keys(sinks).length);
  return Math.min(Math.floor(filesMax / 2), OWN_FILES + FILES_PER_DELIVERY * deliveries);
}
