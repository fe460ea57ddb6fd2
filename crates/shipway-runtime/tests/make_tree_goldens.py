"""Trains small models with XGBoost, CatBoost and LightGBM and writes what they answer, as goldens for the engine of trees.

Run by hand when a new case is wanted; the outputs under goldens/ are committed:

    pip install lightgbm==4.7.0 xgboost-cpu==3.2.0 catboost==1.2.10 numpy pandas scikit-learn
    python crates/shipway-runtime/tests/make_tree_goldens.py

Each case is <library>/<name>.<ending> (the model) and <library>/<name>.golden.json: columns, rows (null is missing), values, raw
scores, leaves, contributions; a part that the library does not answer is left out. Categories are written as a user would
send them. `lightgbm/` has only leaves and contributions, for models of make_goldens.py.
"""

import json
import math
import pathlib

import catboost
import lightgbm
import numpy as np
import pandas as pd
import xgboost

from make_goldens import plain

FOLDER = pathlib.Path(__file__).parent / "goldens"
ROWS = 300


def shortened(array):
    """Numbers in as few digits as keep their precision."""
    array = np.asarray(array)
    if array.dtype == np.float32:
        return [shortened(part) if isinstance(part, np.ndarray) else float(str(part)) for part in array]
    return array.tolist()


def save(library, name, columns, rows, **answers):
    rows = [[plain(float(value) if isinstance(value, np.floating) else value) for value in row] for row in rows]
    parts = {part: shortened(np.asarray(answer).reshape(len(rows), -1)) for part, answer in answers.items() if answer is not None}
    path = FOLDER / library / f"{name}.golden.json"
    path.write_text(json.dumps({"columns": columns, "rows": rows, **parts}) + "\n")
    print(library, name, path.stat().st_size, "bytes,", len(rows), "rows")


def numbers(seed, missing=0.1, columns=4):
    random = np.random.default_rng(seed)
    table = random.normal(size=(ROWS, columns))
    table[:, 1] = np.round(table[:, 1] * 2)
    table[random.random(table.shape) < missing] = np.nan
    return table.astype(np.float32)


def signal(table):
    return np.nan_to_num(table[:, 0]) + np.nan_to_num(table[:, 1], nan=0.7) * np.nan_to_num(table[:, 2], nan=-0.4)


def edges(table, thresholds, infinities=True):
    """Rows on thresholds, beside them, and at the odd ends of the number line."""
    probes = [list(row) for row in table[:14]]
    for feature, threshold in thresholds[:8]:
        threshold = np.float32(threshold)
        for value in (threshold, np.nextafter(threshold, np.float32(np.inf)), np.nextafter(threshold, np.float32(-np.inf))):
            row = list(table[len(probes)])
            row[feature] = value
            probes.append(row)
    odd = [0.0, -0.0, 1e-36, math.nan, 1e30, -1e30] + ([math.inf, -math.inf] if infinities else [])
    for value in odd:
        probes.append([value] * table.shape[1])
    return np.array(probes, dtype=np.float32)


# XGBoost


def xgboost_thresholds(booster):
    frame = booster.trees_to_dataframe()
    frame = frame[(frame["Feature"] != "Leaf") & frame["Split"].notna()]
    names = booster.feature_names or [f"f{place}" for place in range(booster.num_features())]
    return [(names.index(feature), split) for feature, split in zip(frame["Feature"], frame["Split"])]


def xgboost_case(name, booster, probes, ending="ubj", iterations=(0, 0), rows=None, model=None):
    (model or booster).save_model(FOLDER / "xgboost" / f"{name}.{ending}")
    matrix = xgboost.DMatrix(probes, enable_categorical=True)
    if booster.feature_names and not isinstance(probes, pd.DataFrame):
        matrix.feature_names, matrix.feature_types = booster.feature_names, booster.feature_types
    part = {"iteration_range": iterations}
    try:
        contributions = booster.predict(matrix, pred_contribs=True, **part)
    except xgboost.core.XGBoostError:
        contributions = None
    save(
        "xgboost",
        name,
        booster.feature_names or [f"f{place}" for place in range(booster.num_features())],
        probes if rows is None else rows,
        values=booster.predict(matrix, **part),
        raw=booster.predict(matrix, output_margin=True, **part),
        leaves=booster.predict(matrix, pred_leaf=True, **part),
        contributions=contributions,
    )


def xgboost_cases():
    (FOLDER / "xgboost").mkdir(exist_ok=True)
    table = numbers(11)
    label = signal(table)
    names = ["temp", "count_1d", "delay_avg_6h", "distance"]
    classes = np.digitize(label, [-0.5, 0.5])
    positive = np.exp(label / 3)
    targets = {
        "reg:squarederror": label, "reg:squaredlogerror": positive, "reg:pseudohubererror": label, "reg:absoluteerror": label,
        "reg:logistic": 1 / (1 + np.exp(-label)), "binary:logistic": label > 0, "binary:logitraw": label > 0,
        "binary:hinge": label > 0, "count:poisson": np.round(positive), "reg:gamma": positive, "reg:tweedie": positive,
        "survival:cox": positive, "survival:aft": None, "multi:softprob": classes, "multi:softmax": classes,
        "rank:pairwise": classes, "rank:ndcg": classes, "rank:map": label > 0, "reg:quantileerror": label,
    }  # fmt: skip
    for place, (objective, target) in enumerate(targets.items()):
        data = xgboost.DMatrix(table, label=target, feature_names=names)
        parameters = {"objective": objective, "max_depth": 3, "nthread": 1}
        if objective.startswith("multi"):
            parameters["num_class"] = 3
        if objective.startswith("rank"):
            data.set_group([100, 100, 100])
        if objective == "survival:aft":
            data.set_float_info("label_lower_bound", positive)
            data.set_float_info("label_upper_bound", positive + 0.5)
        if objective == "reg:quantileerror":
            parameters["quantile_alpha"] = [0.2, 0.8]
        booster = xgboost.train(parameters, data, 4)
        probes = edges(table, xgboost_thresholds(booster), infinities=False)
        xgboost_case(objective.replace(":", "_"), booster, probes[:: 1 if place == 0 else 2], "json" if place % 3 == 0 else "ubj")

    plain_data = xgboost.DMatrix(table, label=label)
    trained = {
        "dart": ({"booster": "dart", "rate_drop": 0.4}, 12),
        "parallel_trees": ({"num_parallel_tree": 3, "subsample": 0.5, "colsample_bynode": 0.6}, 4),
        "deep": ({"max_depth": 12, "min_child_weight": 0}, 3),
        "lossguide": ({"max_depth": 0, "max_leaves": 11, "grow_policy": "lossguide", "tree_method": "hist"}, 4),
        "exact": ({"tree_method": "exact"}, 4),
        "pruned": ({"gamma": 3.0, "tree_method": "exact", "max_depth": 5}, 4),
    }
    for name, (parameters, rounds) in trained.items():
        booster = xgboost.train({"max_depth": 3, "nthread": 1, **parameters}, plain_data, rounds)
        xgboost_case(name, booster, edges(table, xgboost_thresholds(booster), infinities=False)[::2])
    booster = xgboost.train({"booster": "dart", "rate_drop": 0.4, "objective": "multi:softprob", "num_class": 3, "max_depth": 2}, xgboost.DMatrix(table, label=classes), 8)
    xgboost_case("dart_classes", booster, table[:16])
    both = np.stack([label, label**2], axis=1)
    for name, strategy in (("targets", "one_output_per_tree"), ("targets_vector_leaf", "multi_output_tree")):
        booster = xgboost.train({"multi_strategy": strategy, "max_depth": 3, "tree_method": "hist"}, xgboost.DMatrix(table, label=both), 4)
        xgboost_case(name, booster, table[:16], "json" if strategy.startswith("one") else "ubj")
    zero = xgboost.train({"max_depth": 3}, xgboost.DMatrix(np.nan_to_num(table), label=label, missing=0.0), 4)
    xgboost_case("zero_trained_as_missing", zero, table[:16])
    noisy = (label > 0) ^ (np.random.default_rng(3).random(ROWS) < 0.3)
    model = xgboost.XGBClassifier(n_estimators=60, early_stopping_rounds=2, max_depth=2)
    model.fit(table[:200], noisy[:200], eval_set=[(table[200:], noisy[200:])], verbose=False)
    assert model.best_iteration + 1 < model.get_booster().num_boosted_rounds()
    best = (0, model.best_iteration + 1)
    xgboost_case("stopped_early", model.get_booster(), table[:16], iterations=best, model=model)
    booster = xgboost.train({"objective": "binary:logistic", "max_depth": 2}, xgboost.DMatrix(table[:200], noisy[:200]), 60, evals=[(xgboost.DMatrix(table[200:], noisy[200:]), "e")], early_stopping_rounds=2, verbose_eval=False)
    xgboost_case("stopped_early_booster", booster, table[:16])
    xgboost_categories()


def xgboost_categories():
    random = np.random.default_rng(5)
    # XGBoost 3.2 cuts text beyond ASCII when it writes it: it counts letters and takes them for bytes.
    carriers = ["UA", "B6", "AA", 'Uber "x"', "EV, Inc"]
    frame = pd.DataFrame(
        {
            "delay": random.normal(size=ROWS).astype(np.float32),
            "carrier": pd.Categorical(random.choice(carriers, ROWS), categories=carriers),
            "month": pd.Categorical(random.integers(1, 13, ROWS)),
            "late": random.random(ROWS) < 0.5,
        }
    )
    effect = frame["carrier"].cat.codes % 2 + (frame["month"].astype(int) % 3) * frame["late"] - frame["delay"] / 3
    frame.loc[random.random(ROWS) < 0.1, "carrier"] = np.nan
    for name, onehot in (("categories", 1), ("categories_onehot", 100)):
        booster = xgboost.train(
            {"max_depth": 4, "max_cat_to_onehot": onehot, "tree_method": "hist"}, xgboost.DMatrix(frame, label=effect, enable_categorical=True), 5
        )
        probes = frame.head(24)
        rows = [list(row) for row in probes.astype(object).itertuples(index=False)]
        xgboost_case(name, booster, probes, "json" if onehot == 1 else "ubj", rows=rows)

    table = numbers(6)
    table[:, 1] = random.integers(0, 90, ROWS)
    table[:, 3] = random.integers(0, 5, ROWS)
    label = (table[:, 1] % 7 > 3) + np.nan_to_num(table[:, 0]) * (table[:, 3] == 2)
    data = xgboost.DMatrix(table, label=label, feature_types=["float", "c", "float", "c"], enable_categorical=True)
    booster = xgboost.train({"max_depth": 4, "max_cat_to_onehot": 2, "tree_method": "hist"}, data, 5)
    booster.feature_names = None
    probes = [list(row) for row in table[:12]]
    for value in (math.nan, 0.0, 2.7, 33.0, 64.0, 89.0, 90.0, 1e6):
        for column in (1, 3):
            row = list(table[7])
            row[column] = value
            probes.append(row)
    probes = np.array(probes, dtype=np.float32)
    booster.save_model(FOLDER / "xgboost" / "integer_categories.ubj")
    matrix = xgboost.DMatrix(probes, feature_types=["float", "c", "float", "c"], enable_categorical=True)
    answers = {"values": {}, "raw": {"output_margin": True}, "leaves": {"pred_leaf": True}, "contributions": {"pred_contribs": True}}
    save("xgboost", "integer_categories", ["f0", "f1", "f2", "f3"], probes, **{part: booster.predict(matrix, **kind) for part, kind in answers.items()})


# CatBoost


def catboost_case(name, model, probes, rows=None, pool=None, leaves=True, classify=False):
    model.save_model(str(FOLDER / "catboost" / f"{name}.json"), format="json", pool=pool)
    path = FOLDER / "catboost" / f"{name}.json"
    document = json.loads(path.read_text())
    # What the training said of itself is long, and nothing reads it.
    document["model_info"] = {key: part for key, part in document["model_info"].items() if key in ("class_params", "params")}
    document["model_info"]["params"] = {"loss_function": document["model_info"]["params"]["loss_function"]}
    path.write_text(json.dumps(document) + "\n")
    data = catboost.Pool(probes, cat_features=model.get_cat_feature_indices())
    names = [feature if feature else str(place) for place, feature in enumerate(model.feature_names_)]
    save(
        "catboost",
        name,
        names,
        probes if rows is None else rows,
        values=model.predict_proba(data) if classify else model.predict(data),
        raw=model.predict(data, prediction_type="RawFormulaVal"),
        leaves=model.calc_leaf_indexes(data) if leaves else None,
        contributions=np.asarray(model.get_feature_importance(data, type="ShapValues")),
    )


def catboost_cases():
    (FOLDER / "catboost").mkdir(exist_ok=True)
    table = numbers(21)
    label = signal(table)
    quiet = {"verbose": 0, "allow_writing_files": False, "thread_count": 1, "random_seed": 1, "iterations": 6, "depth": 3}

    def thresholds(model):
        return [(feature, border) for feature, borders in model.get_borders().items() for border in borders[:2]]

    for mode in ("Min", "Max"):
        model = catboost.CatBoostRegressor(nan_mode=mode, **quiet).fit(table, label)
        catboost_case(f"regression_nan_{mode.lower()}", model, edges(table, thresholds(model))[::2])
    complete = numbers(22, missing=0.0)
    model = catboost.CatBoostRegressor(nan_mode="Forbidden", **quiet).fit(complete, signal(complete))
    catboost_case("regression_complete", model, edges(complete, thresholds(model))[:30:2])
    for loss, target in (("Poisson", np.exp(label / 3)), ("Quantile:alpha=0.8", label), ("Tweedie:variance_power=1.5", np.exp(label / 3)), ("MAE", label)):
        model = catboost.CatBoostRegressor(loss_function=loss, **quiet).fit(table, target)
        catboost_case(loss.split(":")[0].lower(), model, table[:12])
    both = np.stack([label, label**2], axis=1)
    model = catboost.CatBoostRegressor(loss_function="MultiRMSE", **quiet).fit(table, both)
    catboost_case("multi_rmse", model, table[:12])
    model = catboost.CatBoostClassifier(**quiet).fit(table, (label > 0).astype(int))
    catboost_case("logloss", model, table[:16], classify=True)
    model = catboost.CatBoostClassifier(loss_function="MultiClass", **quiet).fit(table, np.digitize(label, [-0.5, 0.5]))
    catboost_case("multi_class", model, table[:16], classify=True)
    model = catboost.CatBoostClassifier(loss_function="MultiClassOneVsAll", **quiet).fit(table, np.digitize(label, [-0.5, 0.5]))
    catboost_case("one_vs_all", model, table[:16], classify=True)
    for policy in ("Lossguide", "Depthwise"):
        model = catboost.CatBoostRegressor(grow_policy=policy, **quiet).fit(table, label)
        # The file does not have the library's numbers of these leaves.
        catboost_case(policy.lower(), model, edges(table, thresholds(model))[::3], leaves=False)

    random = np.random.default_rng(7)
    frame = pd.DataFrame({"delay": table[:, 0].astype(float), "carrier": random.choice(["UA", "B6", "\u00dcber"], ROWS), "month": random.integers(1, 5, ROWS)})
    effect = np.nan_to_num(frame["delay"]) / 2 + (frame["carrier"] == "B6") * (frame["month"] % 2)
    kinds = ["carrier", "month"]
    pool = catboost.Pool(frame, effect, cat_features=kinds)
    model = catboost.CatBoostRegressor(one_hot_max_size=10, **quiet).fit(pool)
    probes = frame.head(14).copy()
    probes.loc[0:2, "carrier"] = "unseen"
    probes.loc[3, "month"] = 77
    rows = [list(row) for row in probes.astype(object).itertuples(index=False)]
    catboost_case("one_hot", model, probes, rows=rows, pool=pool)
    model = catboost.CatBoostRegressor(one_hot_max_size=1, **{**quiet, "iterations": 2}).fit(pool)
    path = FOLDER / "catboost" / "refused_ctr.json"
    model.save_model(str(path), format="json", pool=pool)
    document = json.loads(path.read_text())
    path.write_text(json.dumps({key: part for key, part in document.items() if key not in ("model_info", "ctr_data")}) + "\n")


# LightGBM


def lightgbm_cases():
    (FOLDER / "lightgbm").mkdir(exist_ok=True)
    for name in ("binary", "multiclass", "rf_regression", "dart", "zero_as_missing", "missing_unused", "regression_integer_categories", "constant"):
        booster = lightgbm.Booster(model_file=FOLDER / f"{name}.txt")
        golden = json.loads((FOLDER / f"{name}.json").read_text())
        rows = [[math.nan if value is None else float(value) for value in row] for row in golden["rows"][::7]]
        probes = np.array(rows)
        save(
            "lightgbm",
            name,
            golden["columns"],
            probes,
            leaves=booster.predict(probes, pred_leaf=True),
            contributions=booster.predict(probes, pred_contrib=True),
        )


if __name__ == "__main__":
    xgboost_cases()
    catboost_cases()
    lightgbm_cases()
