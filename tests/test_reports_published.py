"""Published figures: all of them, and which of them a constant predictor would have got."""

from __future__ import annotations

from training.reports.published import Published, constant, find, mark, published


def test_published_rows_of_constant_predictors_are_marked() -> None:
    simple, *_ = [row for row in find("simple3dcnn", "equime", "samm", 3) if row.table == "2"]
    found = mark(simple)
    assert found is not None and found.sign == "=" and "always negative" in found.words
    for model in ("simple3dcnn", "mobilenet", "resnet3d"):
        miex = next(row for row in find(model, "miex", "samm", 3) if row.table == "2")
        found = mark(miex)
        assert found is not None and found.sign == "=" and "always positive" in found.words


def test_other_published_rows_are_not() -> None:
    best = next(row for row in find("mobilenet", "equime", "samm", 3) if row.table == "2")
    assert mark(best) is None
    assert mark(find("st_cnn", "samm", "casme2", 3)[0]) is None
    assert all(mark(row) is None for row in published() if row.table == "site")


def test_of_unknown_test_sets_the_mark_says_possibly() -> None:
    row = find("simple3dcnn", "equime", "casme2", 3)[0]
    found = mark(row)
    assert found is not None and found.sign == "≈"


def test_constants_are_those_of_the_reference() -> None:
    half = constant((36, 13, 8), 0)
    assert [round(value, 3) for value in (half.accuracy, half.weighted_f1, half.macro_f1)] == [0.632, 0.489, 0.258]
    positive = constant((72, 26, 15), 1)
    assert [round(value, 3) for value in (positive.accuracy, positive.weighted_f1, positive.macro_f1)] == [
        *(0.230, 0.086, 0.125)
    ]


def test_every_published_row_is_whole() -> None:
    rows = published()
    assert len(rows) == 35
    for row in rows:
        assert isinstance(row, Published) and row.source
        assert all(0 <= float(figure) <= 1 for figure in row.figures.values()) and "accuracy" in row.figures
