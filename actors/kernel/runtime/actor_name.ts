/** Which name an actor may have beside its siblings, and how many siblings it may have. */
import { invariant } from "../../../protocols/errors.ts";

/** Children of one actor. nact copies the map of children in each turn; beyond this the copies cost more than the turns. */
export const CHILDREN_MAX = 100;
/** Characters of one name. Names appear in paths, metrics and logs. The longest are those of a replay's deliveries, 345. */
const NAME_CHARACTERS_MAX = 400;

/** Throws `InvariantError` for a name that is invalid or in use, and where the parent has `CHILDREN_MAX` children. */
export function checkName(name: string, siblings: ReadonlyMap<string, unknown>): void {
  const isValid = name.length > 0 && name.length <= NAME_CHARACTERS_MAX && !/[/\p{Cc}]/u.test(name);
  const need = `it must be 1 to ${NAME_CHARACTERS_MAX} characters without "/" or control characters`;
  invariant(isValid, `Cannot name an actor as ${need}: current value is ${JSON.stringify(name)}`);
  invariant(!siblings.has(name), `Cannot start an actor as its name must be free: current value is ${name}`);
  const { size } = siblings;
  invariant(
    size < CHILDREN_MAX,
    `Cannot start ${name} as children must be at most ${CHILDREN_MAX}: current value is ${size}`,
  );
}
