"""scikit-learn's grid search, each batch of fits in a process of its own.

One that hangs ends at its deadline, with the line where it stood; no pool is left that hangs with it.
"""

import joblib
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.svm import SVC

import ramet.joblib  # registers the backend "ramet"


class Endless(ClassifierMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn has no types
    """A model whose fit never comes to an end."""

    def fit(self, _: object, __: object) -> None:
        """Compute for ever."""
        while True:
            pass


def main() -> None:
    """A search that finds something, then one that does not end."""
    flowers, kinds = load_iris(return_X_y=True)
    search = GridSearchCV(SVC(), {"C": [0.1, 1, 10], "gamma": [0.01, 0.1]}, cv=3)
    with joblib.parallel_config(backend="ramet", n_jobs=2, timeout=60):
        search.fit(flowers, kinds)
    print(search.best_params_, round(search.best_score_, 2))

    with joblib.parallel_config(backend="ramet", n_jobs=2, timeout=1):
        try:
            cross_val_score(Endless(), flowers, kinds)
        except ramet.DeadlineExceeded as error:
            print(
                "killed at its deadline", "in fit()" if "in fit\n" in error.stack else error.stack
            )


if __name__ == "__main__":
    main()
