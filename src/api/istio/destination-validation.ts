import { type FieldPath, invalid } from "../field.ts";
import type { Destination } from "./common.ts";
import { type Errors, isDnsLabel, labelMessage, validatePort, wildcardDomainProblem } from "./names.ts";

/** Checks the name of a subset where one is set. */
export function* validateSubsetName(name: string, path: FieldPath): Errors {
  if (!isDnsLabel(name)) yield invalid(path, name, labelMessage);
}

/** Checks where traffic goes. */
export function* validateDestination({ host, subset, port }: Destination, path: FieldPath): Errors {
  const problem = host === "*" ? "must be one service" : wildcardDomainProblem(host);
  if (problem !== undefined) yield invalid(path.field("host"), host, problem);
  if (subset) yield* validateSubsetName(subset, path.field("subset"));
  if (port !== undefined) yield* validatePort(port.number ?? 0, path.field("port", "number"));
}

/** A destination with its share. */
interface Weighted {
  readonly destination: Destination;
  readonly weight?: number;
}

/** Checks the destinations of a route, which share its traffic by weight. */
export function* validateDestinations(route: readonly Weighted[], path: FieldPath): Errors {
  for (const [index, { destination, weight = 0 }] of route.entries()) {
    yield* validateDestination(destination, path.item(index).field("destination"));
    if (weight < 0) yield invalid(path.item(index).field("weight"), weight, "must be 0 or more");
  }
  const total = route.reduce((sum, { weight = 0 }) => sum + weight, 0);
  if (route.length > 1 && total === 0)
    yield invalid(path, total, "the weights of several destinations must not all be 0");
}
