/** A model is a folder: its card, its artifact, its definition, and the program that trains it. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { MODEL_FILES, MODELS } from "./rules.ts";
import type { Finding } from "./tree.ts";

export function checkModels(root: string): Finding[] {
  const folder = join(root, MODELS);
  if (!existsSync(folder)) return [];
  const models = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return models.flatMap(({ name }) =>
    [...MODEL_FILES, `${name}_model.ts`]
      .filter((file) => !existsSync(join(folder, name, file)))
      .map((file) => ({
        path: `${MODELS}/${name}`,
        message: `Cannot be a model as its folder must hold ${file}: it does not`,
      })),
  );
}
