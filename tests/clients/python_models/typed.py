"""A model that answers 1 for each row whose columns have come with the types of its signature, and 0 for others."""

import mlflow
import pandas

TYPES = {
    "flag": "bool", "small": "int32", "large": "int64", "single": "float32", "double": "float64", "word": "object", "time": "datetime64[ns]",
}  # fmt: skip


class Typed(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        found = {name: str(dtype) for name, dtype in model_input.dtypes.items()}
        if found != TYPES or list(model_input.columns) != list(TYPES):
            raise ValueError(f"columns {found}")
        fits = (
            model_input["flag"]
            & (model_input["small"] == 7)
            & (model_input["large"] == 2**40 + 1)
            & (model_input["word"].isna() | (model_input["word"] == "007"))
            & (model_input["time"].isna() | (model_input["time"] == pandas.Timestamp("2026-11-30 01:02:03")))
        )
        return fits.astype(float) + model_input["double"].fillna(100)


mlflow.models.set_model(Typed())
