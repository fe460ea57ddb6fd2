"""Trains small models with LightGBM and scikit-learn and writes what they predict, as goldens for the Rust evaluator.

Run by hand when a new case is wanted; the outputs under goldens/ are committed:

    pip install lightgbm==4.7.0 numpy pandas scikit-learn skl2onnx onnxruntime==1.32.0
    python crates/shipway-runtime/tests/make_goldens.py

Each case is <name>.txt (the model) and <name>.json: columns, rows (null is missing), raw scores, predictions. Categories
are written as a user would send them: strings and numbers, not codes.
"""

import json
import math
import pathlib

import lightgbm as lgb
import numpy as np
import pandas as pd

FOLDER = pathlib.Path(__file__).parent / "goldens"
ROWS = 300
SMALL = {"num_leaves": 9, "min_data_in_leaf": 5, "verbose": -1, "seed": 3, "deterministic": True, "num_threads": 1}


def plain(value):
    """A value as JSON that the Rust side reads back bit for bit."""
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        value = float(value)
        if math.isinf(value):
            return "Infinity" if value > 0 else "-Infinity"
        return value
    return str(value)


def write(name, booster, probes):
    text = booster.model_to_string()
    loaded = lgb.Booster(model_str=text)
    raw = np.asarray(loaded.predict(probes, raw_score=True), dtype=float)
    predictions = np.asarray(loaded.predict(probes), dtype=float)
    if isinstance(probes, pd.DataFrame):
        rows = [[plain(value) for value in row] for row in probes.astype(object).itertuples(index=False)]
    else:
        rows = [[plain(value) for value in row] for row in probes]
    (FOLDER / f"{name}.txt").write_text(text)
    (FOLDER / f"{name}.json").write_text(
        json.dumps(
            {
                "columns": loaded.feature_name(),
                "rows": rows,
                "raw": raw.reshape(len(rows), -1).tolist(),
                "predictions": predictions.reshape(len(rows), -1).tolist(),
            }
        )
        + "\n"
    )
    print(name, len(text), "bytes,", len(rows), "rows")


def numbers(seed, missing=0.1):
    random = np.random.default_rng(seed)
    table = random.normal(size=(ROWS, 4))
    table[:, 1] = np.round(table[:, 1] * 2)
    table[random.random(table.shape) < missing] = np.nan
    return table


def edges(booster, table):
    """Rows on the thresholds, beside them, and at the odd ends of the number line."""
    probes = [list(row) for row in table[:20]]
    width = table.shape[1]
    for tree in booster.dump_model()["tree_info"]:
        node = tree["tree_structure"]
        if "threshold" not in node or isinstance(node["threshold"], str):
            continue
        for value in (node["threshold"], np.nextafter(node["threshold"], math.inf), np.nextafter(node["threshold"], -math.inf)):
            row = list(table[len(probes) % ROWS])
            row[node["split_feature"]] = value
            probes.append(row)
    for value in (0.0, -0.0, 1e-36, -1e-36, 1e-34, -1e-34, math.nan, math.inf, -math.inf, 1e300, -1e300):
        probes.append([value] * width)
        for column in range(width):
            row = list(table[column])
            row[column] = value
            probes.append(row)
    return np.array(probes)[:90]


def train(parameters, table, label, rounds=12, **dataset):
    return lgb.train({**SMALL, **parameters}, lgb.Dataset(table, label, **dataset), num_boost_round=rounds)


def signal(table):
    return np.nan_to_num(table[:, 0]) + np.nan_to_num(table[:, 1], nan=0.7) * np.nan_to_num(table[:, 2], nan=-0.4)


def numeric_cases():
    table = numbers(1)
    label = signal(table)
    names = ["temp", "count_1d", "delay_avg_6h", "distance"]
    for name, parameters, target in [
        ("regression", {"objective": "regression"}, label),
        ("regression_l1", {"objective": "regression_l1"}, label),
        ("huber", {"objective": "huber"}, label),
        ("quantile", {"objective": "quantile", "alpha": 0.8}, label),
        ("regression_sqrt", {"objective": "regression", "reg_sqrt": True}, label * 3),
        ("poisson", {"objective": "poisson"}, np.exp(label / 3)),
        ("tweedie", {"objective": "tweedie"}, np.exp(label / 3)),
        ("binary", {"objective": "binary", "sigmoid": 1.7}, label > 0),
        ("cross_entropy", {"objective": "cross_entropy"}, 1 / (1 + np.exp(-label))),
        ("cross_entropy_lambda", {"objective": "cross_entropy_lambda"}, 1 / (1 + np.exp(-label))),
        ("multiclass", {"objective": "multiclass", "num_class": 3}, np.digitize(label, [-0.5, 0.5])),
        ("multiclassova", {"objective": "multiclassova", "num_class": 3}, np.digitize(label, [-0.5, 0.5])),
        ("zero_as_missing", {"objective": "regression", "zero_as_missing": True}, label),
        ("missing_unused", {"objective": "regression", "use_missing": False}, label),
        ("constant", {"objective": "regression", "min_data_in_leaf": 1000}, label),
    ]:
        booster = train(parameters, table, target.astype(float), rounds=5, feature_name=names)
        write(name, booster, edges(booster, table))
    forest = {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.7, "feature_fraction": 0.8}
    booster = train({"objective": "binary", **forest}, table, (label > 0).astype(float), feature_name=names)
    write("rf_binary", booster, edges(booster, table))
    booster = train({"objective": "regression", **forest}, table, label, feature_name=names)
    write("rf_regression", booster, edges(booster, table))
    booster = train({"objective": "regression", "boosting": "dart"}, table, label, feature_name=names)
    write("dart", booster, edges(booster, table))
    complete = numbers(2, missing=0.0)
    booster = train({"objective": "regression", "linear_tree": True}, complete, signal(complete), rounds=6)
    probes = edges(booster, complete)
    write("linear_tree", booster, probes[np.isfinite(probes).all(axis=1) | np.isnan(probes).any(axis=1)])


def custom_objective():
    table = numbers(4)
    booster = train(
        {"objective": lambda scores, data: (scores - data.get_label(), np.ones_like(scores))}, table, signal(table), rounds=4
    )
    write("custom_objective", booster, edges(booster, table))


def categories():
    random = np.random.default_rng(5)
    carriers = ["UA", "B6", "AA", "\u00dcber \"x\"", "EV, Inc"]
    frame = pd.DataFrame(
        {
            "delay": random.normal(size=ROWS),
            "carrier": pd.Categorical(random.choice(carriers, ROWS), categories=carriers),
            "constant": pd.Categorical(["only"] * ROWS),
            "month": pd.Categorical(random.integers(1, 13, ROWS)),
            "late": random.random(ROWS) < 0.5,
            "size": pd.Categorical(random.choice([0.5, 1.0, 2.5], ROWS)),
        }
    )
    effect = frame["carrier"].cat.codes % 2 + (frame["month"].astype(int) > 6) * frame["late"] - frame["delay"] / 3
    effect += frame["size"].astype(float) * (frame["month"].astype(int) % 3)
    frame.loc[random.random(ROWS) < 0.1, "carrier"] = np.nan
    frame.loc[random.random(ROWS) < 0.1, "delay"] = np.nan
    label = (effect > effect.median()).astype(int)
    parameters = {"objective": "binary", "min_data_per_group": 5, "cat_smooth": 1.0, "max_cat_to_onehot": 2}
    booster = train(parameters, frame, label, rounds=8)
    probes = frame.head(70).copy()
    probes["carrier"] = probes["carrier"].astype(object)
    probes.loc[0:5, "carrier"] = "unseen"
    probes["carrier"] = pd.Categorical(probes["carrier"])
    probes["month"] = pd.Categorical([13 if place < 5 else int(month) for place, month in enumerate(probes["month"])])
    write("binary_pandas_categories", booster, probes)

    table = numbers(6)
    table[:, 1] = random.integers(0, 90, ROWS)
    table[:, 3] = random.integers(0, 5, ROWS)
    label = (table[:, 1] % 7 > 3) + np.nan_to_num(table[:, 0]) * (table[:, 3] == 2)
    booster = train(
        {"objective": "regression", "min_data_per_group": 1, "cat_smooth": 0.1, "max_cat_threshold": 64},
        table,
        label,
        rounds=6,
        categorical_feature=[1, 3],
    )
    probes = [list(row) for row in table[:40]]
    for value in (math.nan, -1.0, -0.5, 0.0, 2.7, 33.0, 64.0, 89.0, 90.0, 1e10, -1e10, 95.5):
        for column in (1, 3):
            row = list(table[7])
            row[column] = value
            probes.append(row)
    write("regression_integer_categories", booster, np.array(probes))


def onnx():
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LinearRegression, LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler
    import onnxruntime

    def save(name, model, feeds, columns, rows, output):
        session = onnxruntime.InferenceSession(model.SerializeToString())
        expected = session.run([output], feeds)[0]
        (FOLDER / f"{name}.onnx").write_bytes(model.SerializeToString())
        (FOLDER / f"{name}.onnx.json").write_text(
            json.dumps({"columns": columns, "rows": rows, "predictions": np.asarray(expected, float).reshape(len(rows), -1).tolist()})
            + "\n"
        )
        print(name, len(model.SerializeToString()), "bytes")

    table = numbers(7, missing=0.0).astype(np.float32)
    label = signal(table)
    matrix = [("features", FloatTensorType([None, 4]))]
    plain_rows = [[float(value) for value in row] for row in table[:12]]
    names = [f"features_{place}" for place in range(4)]
    classifier = make_pipeline(StandardScaler(), LogisticRegression()).fit(table, label > 0)
    model = to_onnx(classifier, initial_types=matrix, options={"zipmap": False}, target_opset=15)
    save("logistic_binary", model, {"features": table[:12]}, names, plain_rows, "probabilities")
    classifier = LogisticRegression().fit(table, np.digitize(label, [-0.5, 0.5]))
    model = to_onnx(classifier, initial_types=matrix, options={"zipmap": False}, target_opset=15)
    save("logistic_multiclass", model, {"features": table[:12]}, names, plain_rows, "probabilities")
    model = to_onnx(LinearRegression().fit(table, label), initial_types=matrix, target_opset=15)
    save("linear_regression", model, {"features": table[:12]}, names, plain_rows, "variable")
    classifier = LogisticRegression().fit(table, label > 0)
    model = to_onnx(classifier, initial_types=matrix, target_opset=15)
    (FOLDER / "zipmap.onnx").write_bytes(model.SerializeToString())

    frame = pd.DataFrame({"delay": table[:, 0], "carrier": np.random.default_rng(8).choice(["UA", "B6"], ROWS)})
    transform = ColumnTransformer([("number", StandardScaler(), ["delay"]), ("word", OneHotEncoder(handle_unknown="ignore"), ["carrier"])])
    pipeline = make_pipeline(transform, LogisticRegression()).fit(frame, (label > 0) ^ (frame["carrier"] == "UA"))
    types = [("delay", FloatTensorType([None, 1])), ("carrier", StringTensorType([None, 1]))]
    model = to_onnx(pipeline, initial_types=types, options={"zipmap": False}, target_opset=15)
    head = frame.head(10)
    feeds = {"delay": head[["delay"]].to_numpy(), "carrier": head[["carrier"]].to_numpy()}
    save("columns_binary", model, feeds, list(frame.columns), [[float(d), c] for d, c in head.itertuples(index=False)], "probabilities")


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    numeric_cases()
    custom_objective()
    categories()
    onnx()
