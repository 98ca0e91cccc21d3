import type { ModelCard } from "../card.ts";

/** The figures are those that `train.py` prints. */
export const BANK_REQUEST_CARD: ModelCard = {
  name: "bank_request",
  version: 1,
  task: "Tells whether a short English text asks for something that a bank handles: cards, accounts, payments, transfers, fees.",
  licence: "Apache-2.0, with the attribution of the data below",
  fields: [{ name: "text", unit: "text", about: "A message as a person wrote it, such as a question to a help desk." }],
  result: [
    {
      name: "score",
      unit: "0 to 1, four decimals",
      about:
        "The model's confidence that the text is such a request; 0.5 is the threshold of the figures below. It is no calibrated probability.",
    },
  ],
  bounds: [
    {
      name: "textUnitsMax",
      value: 1_000,
      unit: "UTF-16 units",
      rule: "cut",
      about: "The text behind them is not read.",
    },
    {
      name: "wordsMax",
      value: 64,
      unit: "words",
      rule: "cut",
      about: "Runs of ASCII letters and digits; the words behind them are not read.",
    },
  ],
  inputs: [
    { name: "slots", type: "int32", shape: ["rows", 128], unit: "slot of a feature, 0 to 8,191; 8,192 for none" },
  ],
  outputs: [{ name: "units", type: "int32", shape: ["rows"], unit: "1/24 logit" }],
  rowsMax: 256,
  examples: [
    { input: { text: "my card was declined at the supermarket" }, result: { score: 1 } },
    { input: { text: "When are my taxes due?" }, result: { score: 0.1534 } },
    { input: { text: "what will the weather be like tomorrow" }, result: { score: 0.0017 } },
  ],
  artifact: {
    file: "model.onnx",
    sizeBytes: 8_493,
    sha256: "7133bcbcdff82306f6be1b220e1b41377066be23f676286763e52dceee24ff2c",
  },
  data: [
    {
      name: "BANKING77, training part",
      licence: "CC BY 4.0",
      attribution:
        "I. Casanueva, T. Temčinas, D. Gerz, M. Henderson, I. Vulić: Efficient Intent Detection with Dual Sentence Encoders, 2020 (PolyAI)",
      use: "Each text counts as a bank request; each tenth was held back. Only weights of hashed words were derived.",
    },
    {
      name: "CLINC150, train and val",
      licence: "CC BY 3.0",
      attribution:
        "S. Larson et al.: An Evaluation Dataset for Intent Classification and Out-of-Scope Prediction, EMNLP 2019",
      use: "The 30 intents of the domains banking and credit cards count as bank requests, the other 120 as none. Trained on train, measured on val. Texts outside all intents were only measured, as some are bank requests.",
    },
  ],
  training: {
    command: "python models/bank_request/train.py <folder of the data>",
    about:
      "Logistic regression (C = 1, balanced classes, seed 7) on 24,003 texts, weights rounded to 1/24 logit. Python 3.11 with the packages of requirements.txt, on x86-64.",
  },
  quality: [
    { on: "CLINC150 val, 3,000 texts of which 600 are bank requests", measure: "precision at 0.5", value: 0.9357 },
    { on: "CLINC150 val, 3,000 texts of which 600 are bank requests", measure: "recall at 0.5", value: 0.97 },
    {
      on: "CLINC150 val, 3,000 texts of which 600 are bank requests",
      measure: "area under the ROC curve",
      value: 0.9974,
    },
    { on: "BANKING77, 1,000 texts held back", measure: "recall at 0.5", value: 0.98 },
    { on: "808 held-back texts of 46 intents that another fit never saw", measure: "precision at 0.5", value: 0.9682 },
    { on: "808 held-back texts of 46 intents that another fit never saw", measure: "recall at 0.5", value: 0.9407 },
  ],
  fails: [
    "Requests about money that are none to a bank: 25 % of the texts about the status of an order, 20 % about direct deposit and 15 % about payday are flagged (20 texts each).",
    "Texts of no known intent: 11.5 % of 200 are flagged, some of them rightly.",
    "Other languages: letters outside ASCII are not read, and the words are unknown.",
    "Negation and irony: words and pairs of neighbouring words are all that is seen.",
    "Long texts: words add up, so that a long text that touches on money is flagged more often than a short one. No long texts were measured.",
  ],
};
