"""Trains the model bank_request, writes its artifact and samples, and prints its sha256 and measured quality.

    python -m venv venv && venv/bin/pip install -r models/bank_request/requirements.txt
    venv/bin/python models/bank_request/train.py <folder of banking77 and clinc150>

The folder holds `banking77/train.csv` and `clinc150/data_train_val.json`. The features are those of
`bank_request_model.ts`; `samples.json` holds what the artifact answers for a few texts, by which a test shows that both agree.
"""

import csv
import hashlib
import json
import pathlib
import re
import sys

import numpy
import onnx
from onnx import TensorProto, helper
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

SEED = 7
# The next constants are those of bank_request_model.ts.
TEXT_UNITS_MAX = 1_000
WORDS_MAX = 64
SLOTS = 8_192
FEATURES_MAX = 2 * WORDS_MAX
UNITS_PER_LOGIT = 24
THRESHOLD = 0.5

FOLDER = pathlib.Path(__file__).parent
SAMPLES = FOLDER.parent.parent / "test" / "models" / "bank_request" / "samples.json"

# The intents of the domains "banking" and "credit cards" of CLINC150.
BANK_INTENTS = set(
    """freeze_account routing pin_change bill_due pay_bill account_blocked interest_rate min_payment bill_balance
    transfer order_checks balance spending_history transactions report_fraud replacement_card_duration
    expiration_date damaged_card improve_credit_score report_lost_card card_declined credit_limit_change apr
    redeem_rewards credit_limit rewards_balance application_status credit_score new_card international_fees""".split()
)
assert len(BANK_INTENTS) == 30

SAMPLE_TEXTS = [
    "my card was declined at the supermarket",
    "Please move 200 dollars from savings to checking.",
    "Why was I charged a fee for withdrawing cash abroad?",
    "what will the weather be like tomorrow",
    "play the next song",
    "How long do I boil an egg?",
    "When are my taxes due?",
    "ÜBERWEISUNG: wo ist mein Geld?",
    "it's it's it's",
    "card card card card",
    "no",
    "1234 5678",
    "card word " * 100,
    "the exchange rate of the euro" + " " * 2_000 + "card",
]


def feature_slots(text):
    """The distinct slots of the words and pairs of neighbouring words, each by FNV-1a of its ASCII bytes."""
    # A text is cut by UTF-16 units, as JavaScript counts.
    cut = text.encode("utf-16-le")[: 2 * TEXT_UNITS_MAX].decode("utf-16-le", "ignore")
    lowered = re.sub("[A-Z]", lambda found: found.group().lower(), cut)
    words = re.findall(r"[a-z0-9]+", lowered)[:WORDS_MAX]
    terms = words + [f"{left} {right}" for left, right in zip(words, words[1:])]
    return sorted({slot_of(term) for term in terms})


def slot_of(term):
    value = 0x811C9DC5
    for byte in term.encode("ascii"):
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value % SLOTS


def matrix_of(texts):
    rows = [feature_slots(text) for text in texts]
    ends = numpy.cumsum([0] + [len(row) for row in rows])
    slots = numpy.array([slot for row in rows for slot in row], dtype=numpy.int32)
    return csr_matrix((numpy.ones(len(slots)), slots, ends), shape=(len(rows), SLOTS))


def fit(examples):
    """The whole weights of the slots, and the bias, in units of 1/UNITS_PER_LOGIT."""
    texts = [text for text, _, _ in examples]
    labels = numpy.array([is_bank for _, is_bank, _ in examples])
    model = LogisticRegression(C=1.0, solver="liblinear", class_weight="balanced", random_state=SEED)
    model.fit(matrix_of(texts), labels)
    weights = numpy.clip(numpy.rint(model.coef_[0] * UNITS_PER_LOGIT), -127, 127).astype(numpy.int8)
    return weights, int(numpy.rint(model.intercept_[0] * UNITS_PER_LOGIT))


def units_of(text, fitted):
    weights, bias = fitted
    return int(weights[feature_slots(text)].astype(numpy.int32).sum()) + bias


def scores_of(texts, fitted):
    units = numpy.array([units_of(text, fitted) for text in texts])
    return 1 / (1 + numpy.exp(-units / UNITS_PER_LOGIT))


def share_flagged(texts, fitted):
    return round(float((scores_of(texts, fitted) >= THRESHOLD).mean()), 4)


def quality(examples, fitted):
    scores = scores_of([text for text, _, _ in examples], fitted)
    labels = numpy.array([is_bank for _, is_bank, _ in examples])
    flagged = scores >= THRESHOLD
    return {
        "texts": len(examples),
        "precision": round(float(labels[flagged].mean()), 4),
        "recall": round(float(flagged[labels].mean()), 4),
        "rocAuc": round(float(roc_auc_score(labels, scores)), 4),
    }


def read_examples(data):
    """Examples `(text, is_bank, intent)`: for training and held back, and the texts outside all intents."""
    with open(data / "banking77" / "train.csv", encoding="utf-8", newline="") as file:
        bank = [(row["text"], True, f"banking77/{row['category']}") for row in csv.DictReader(file)]
    clinc = json.loads((data / "clinc150" / "data_train_val.json").read_text(encoding="utf-8"))
    of_clinc = lambda part: [(text, intent in BANK_INTENTS, f"clinc150/{intent}") for text, intent in clinc[part]]
    held_back = [one for at, one in enumerate(bank) if at % 10 == 9]
    training = [one for at, one in enumerate(bank) if at % 10 != 9] + of_clinc("train")
    outside = [text for part in ("oos_train", "oos_val") for text, _ in clinc[part]]
    return training, of_clinc("val"), held_back, outside


def measured(training, validation, held_back, outside, fitted):
    intents = sorted({intent for _, _, intent in training})
    unseen = set(intents[::5])
    partial = fit([one for one in training if one[2] not in unseen])
    by_intent = {}
    for text, is_bank, intent in validation:
        if not is_bank:
            by_intent.setdefault(intent, []).append(text)
    flagged = sorted(((share_flagged(texts, fitted), intent) for intent, texts in by_intent.items()), reverse=True)
    return {
        "clinc150 val": quality(validation, fitted),
        "banking77, each tenth text: recall": share_flagged([text for text, _, _ in held_back], fitted),
        "unseen intents (each fifth left out of another fit)": quality(
            [one for one in validation + held_back if one[2] in unseen], partial
        ),
        "clinc150 outside all intents: share flagged": share_flagged(outside, fitted),
        "intents most often flagged wrongly": [[intent, share] for share, intent in flagged[:6]],
    }


def artifact_of(fitted):
    """Whole numbers alone: sums are exact in any order, so that a row's output cannot depend on the other rows."""
    weights, bias = fitted
    padded = numpy.append(weights, numpy.int8(0))  # slot SLOTS stands for "no feature"
    slots = helper.make_tensor_value_info("slots", TensorProto.INT32, ["rows", FEATURES_MAX])
    units = helper.make_tensor_value_info("units", TensorProto.INT32, ["rows"])
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["weights", "slots"], ["small"], axis=0),
            helper.make_node("Cast", ["small"], ["wide"], to=TensorProto.INT32),
            helper.make_node("ReduceSum", ["wide", "axis"], ["sums"], keepdims=0),
            helper.make_node("Add", ["sums", "bias"], ["units"]),
        ],
        "bank_request",
        [slots],
        [units],
        [
            onnx.numpy_helper.from_array(padded, "weights"),
            onnx.numpy_helper.from_array(numpy.array([1], dtype=numpy.int64), "axis"),
            onnx.numpy_helper.from_array(numpy.array(bias, dtype=numpy.int32), "bias"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="headrace")
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


def main(data):
    training, validation, held_back, outside = read_examples(data)
    fitted = fit(training)
    artifact = artifact_of(fitted)
    (FOLDER / "model.onnx").write_bytes(artifact)
    samples = [{"text": text, "units": units_of(text, fitted)} for text in SAMPLE_TEXTS]
    SAMPLES.parent.mkdir(parents=True, exist_ok=True)
    SAMPLES.write_text(json.dumps(samples, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    print("sha256", hashlib.sha256(artifact).hexdigest(), "bytes", len(artifact), "bias", fitted[1])
    print("training texts", len(training))
    print(json.dumps(measured(training, validation, held_back, outside, fitted), indent=2))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
