"""Bias of a dataset: who is in it, and whether groups and labels go together.

The formulas are pure functions of counts. They follow Dominguez-Catena, Paternain & Galar, "Metrics for Dataset
Demographic Bias: A Case Study on Facial Expression Recognition", IEEE TPAMI 2024, arXiv:2303.15889, who recommend ENS
with SEI for representation, and Cramér's V with Ducher's Z for stereotypes. Two choices differ from the authors'
package. A group without a clip is still one of the G groups, since a missing group is the strongest bias; for their
figures, pass the counts of the groups that occur. Berger-Parker and Simpson are given as effective numbers of groups
(Hill numbers of order infinity and 2), so that ENS (order 1) and both read alike: 1 where all clips are of one group, G
where groups are even. A figure that is not defined is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equime_loader.arguments import as_names, check_kind
from equime_loader.fairness.figures import number, plain
from equime_loader.fairness.groups import CROSS, Labeled, crossed, crosstab
from equime_loader.index import Codes
from equime_loader.tables import counted, percent, text_table

Floats = NDArray[np.float64]
Attribute = str | tuple[str, ...]


def _counts(counts: ArrayLike, dimensions: int) -> Floats:
    values = np.asarray(counts, np.float64)
    if values.ndim != dimensions or not values.size:
        raise ValueError(f"counts has shape {values.shape}, expected {dimensions} filled dimension(s)")
    if not np.isfinite(values).all() or values.min() < 0 or not values.sum() > 0:
        raise ValueError("counts must be finite, none negative and not all zero")
    return values


def shares(counts: ArrayLike) -> Floats:
    """Share of each group: (G,) counts or shares to (G,) that sum to 1.

    Raises:
        ValueError: counts that are no vector, negative, not finite, or all zero. So do all formulas below.
    """
    values = _counts(counts, 1)
    result: Floats = values / values.sum()
    return result


def _entropy(p: Floats) -> float:
    """Shannon entropy in nats, 0 ln 0 = 0; exactly 0 where all is in one place."""
    filled = p[p > 0]
    return -float((filled * np.log(filled)).sum()) if len(filled) > 1 else 0.0


def effective_number(counts: ArrayLike) -> float:
    """ENS, effective number of groups: exp(-Σ p ln p), 1 (one group) to G (even)."""
    return float(np.exp(_entropy(shares(counts))))


def shannon_evenness(counts: ArrayLike) -> float:
    """SEI: entropy over ln G, 0 (one group) to 1 (even); NaN where G = 1."""
    p = shares(counts)
    return _entropy(p) / float(np.log(len(p))) if len(p) > 1 else float("nan")


def normalized_deviation(counts: ArrayLike) -> float:
    """NSD: sqrt(G/(G-1) Σ (p - 1/G)²), 0 (even) to 1 (one group); NaN where G = 1."""
    p = shares(counts)
    groups = len(p)
    return float(np.sqrt(groups / (groups - 1) * ((p - 1 / groups) ** 2).sum())) if groups > 1 else float("nan")


def imbalance_ratio(counts: ArrayLike) -> float:
    """IR: largest over smallest group, 1 (even) or more; infinite where a group has no clip."""
    p = shares(counts)
    return float(p.max() / p.min()) if p.min() > 0 else float("inf")


def berger_parker(counts: ArrayLike) -> float:
    """Berger-Parker as an effective number of groups: 1 / max p, 1 to G."""
    return float(1 / shares(counts).max())


def simpson(counts: ArrayLike) -> float:
    """Simpson's reciprocal index: 1 / Σ p², 1 to G."""
    return float(1 / (shares(counts) ** 2).sum())


def _filled(table: ArrayLike) -> Floats:
    """A contingency table (G, Y) without its empty rows and columns."""
    values = _counts(table, 2)
    filled: Floats = values[values.sum(axis=1) > 0][:, values.sum(axis=0) > 0]
    return filled


def cramers_v(table: ArrayLike) -> float:
    """Cramér's V of a table of counts (G, Y): sqrt(χ² / (n min(R-1, C-1))), 0 (independent) to 1.

    Plain: neither bias-corrected nor with Yates' correction. R and C count the rows and columns that hold a clip: an
    empty one says nothing of association, and would make χ² undefined. NaN where one row or column is left.
    """
    counts = _filled(table)
    degrees = min(counts.shape) - 1
    if not degrees:
        return float("nan")
    n = counts.sum()
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0) / n
    return min(1.0, float(np.sqrt(((counts - expected) ** 2 / expected).sum() / (n * degrees))))


def cramers_v_by_chance(table: ArrayLike) -> float:
    """V that independent clips with these margins have on average: sqrt((max(R, C) - 1) / (n - 1)).

    The root of the mean V² over all permutations of the labels, whose χ² has the mean n (R-1)(C-1) / (n-1). V is never
    negative, so a small dataset without any bias shows a V of this size. Empty rows and columns as in `cramers_v`.
    """
    counts = _filled(table)
    n = counts.sum()
    return float(np.sqrt((max(counts.shape) - 1) / (n - 1))) if min(counts.shape) > 1 else float("nan")


def _information(table: ArrayLike) -> tuple[float, float, float, float]:
    """Mutual information I(G; Y), and entropies H(G), H(Y), H(G, Y), in nats."""
    joint = _filled(table)
    joint /= joint.sum()
    p_group, p_label = joint.sum(axis=1), joint.sum(axis=0)
    ratio = np.divide(joint, np.outer(p_group, p_label), out=np.ones_like(joint), where=joint > 0)
    shared = max(0.0, float((joint * np.log(ratio)).sum()))
    return shared, _entropy(p_group), _entropy(p_label), _entropy(joint.ravel())


def normalized_mutual_information(table: ArrayLike) -> float:
    """NMI of a table of counts (G, Y): I(G; Y) / H(G, Y), 0 (independent) to 1 (one tells the other).

    Normalized by the joint entropy, as Dominguez-Catena et al. do; scikit-learn divides by a mean of the two entropies.
    NaN where all clips are of one group and one label.
    """
    shared, _, _, joint = _information(table)
    return min(1.0, shared / joint) if joint > 0 else float("nan")


def theils_u(table: ArrayLike) -> tuple[float, float]:
    """Theil's U of a table of counts (G, Y), both ways: (U(Y | G), U(G | Y)), each 0 to 1.

    U(Y | G) = I(G; Y) / H(Y) is the share of the label's entropy that the group tells, U(G | Y) = I(G; Y) / H(G) the
    share of the group's entropy that the label tells. NaN where that entropy is 0.
    """
    shared, group, label, _ = _information(table)
    of_label, of_group = (min(1.0, shared / entropy) if entropy > 0 else float("nan") for entropy in (label, group))
    return of_label, of_group


def ducher_z(table: ArrayLike) -> Floats:
    """Ducher's Z of each cell of a table of counts (G, Y): -1 (as seldom as can be) to 1 (as often), 0 by chance.

    With shares p of the cell, its row and its column, and d = p_gy - p_g p_y, it is d / (min(p_g, p_y) - p_g p_y) where
    d > 0, d / (p_g p_y - max(0, p_g + p_y - 1)) where d < 0, else 0. Cells of an empty row or column are NaN.
    """
    counts = _counts(table, 2)
    n = counts.sum()
    row, column = counts.sum(axis=1, keepdims=True), counts.sum(axis=0, keepdims=True)
    # Times n²: counts stay whole, so that a cell at its expectation is exactly 0.
    excess = n * counts - row * column
    room = np.where(
        excess > 0, n * np.minimum(row, column) - row * column, row * column - n * np.maximum(0, row + column - n)
    )
    z = np.divide(excess, room, out=np.zeros_like(counts), where=excess != 0)
    return np.where((row > 0) & (column > 0), np.clip(z, -1, 1), np.nan)


REPRESENTATION = {
    "ens": effective_number,
    "sei": shannon_evenness,
    "nsd": normalized_deviation,
    "imbalance_ratio": imbalance_ratio,
    "berger_parker": berger_parker,
    "simpson": simpson,
}


@dataclass(frozen=True, slots=True)
class Representation:
    """Who is in it: the groups of an attribute, counted in subjects or in clips.

    Attributes:
        unit: "subjects" or "clips". counts: (G,), in the order of `groups`.
        unknown: those without the attribute, left out of the figures.
        figures: name of a figure in `REPRESENTATION` to its value.
    """

    attribute: str
    unit: str
    groups: tuple[str, ...]
    counts: tuple[int, ...]
    unknown: int
    figures: dict[str, float]

    @classmethod
    def of(
        cls, attribute: str, unit: str, groups: Sequence[str], counts: ArrayLike, unknown: int = 0
    ) -> Representation:
        """The figures of counts; all NaN where nobody's group is known."""
        values = np.asarray(counts)
        known = values.sum() > 0
        figures = {name: formula(values) if known else float("nan") for name, formula in REPRESENTATION.items()}
        return cls(attribute, unit, tuple(groups), tuple(int(count) for count in values), unknown, figures)


@dataclass(frozen=True, slots=True)
class Association:
    """Whether an attribute and a label go together, over clips.

    Attributes:
        counts: (G, Y) clips, in the order of `groups` and `classes`. unknown: clips without one of the two, left out.
        label_from_attribute: Theil's U(label | attribute). attribute_from_label: U(attribute | label).
        ducher_z: (G, Y), NaN in an empty row or column.
    """

    attribute: str
    label: str
    groups: tuple[str, ...]
    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    unknown: int
    cramers_v: float
    cramers_v_by_chance: float
    nmi: float
    label_from_attribute: float
    attribute_from_label: float
    ducher_z: tuple[tuple[float, ...], ...]

    @classmethod
    def of(cls, attribute: str, label: str, groups: Codes, classes: Codes) -> Association:
        """The figures of two labels of the same clips; all NaN where no clip has both."""
        table, unknown = crosstab(groups.codes, classes.codes, (len(groups.words), len(classes.words)))
        counts = tuple(tuple(row) for row in table.tolist())
        if table.sum():
            figures = (cramers_v(table), cramers_v_by_chance(table), normalized_mutual_information(table))
            told, z = theils_u(table), ducher_z(table)
        else:
            nan = float("nan")
            figures, told, z = (nan, nan, nan), (nan, nan), np.full(table.shape, nan)
        local = tuple(tuple(row) for row in z.tolist())
        return cls(attribute, label, groups.words, classes.words, counts, unknown, *figures, *told, local)

    @property
    def strongest(self) -> str:
        """The cell whose Ducher's Z is farthest from 0, of equal ones that with the most clips, and its clips."""
        cells = [
            (abs(z), clips, f"{z:+.3f} {group}{CROSS}{word} ({counted(clips, 'clip')})")
            for group, row, counts in zip(self.groups, self.ducher_z, self.counts, strict=True)
            for word, z, clips in zip(self.classes, row, counts, strict=True)
            if not math.isnan(z)
        ]
        return max(cells, key=lambda cell: cell[:2])[2] if cells else "–"


@dataclass(frozen=True, slots=True)
class BiasReport:
    """Bias of a set of clips; prints as tables."""

    clips: int
    subjects: int
    representation: tuple[Representation, ...]
    associations: tuple[Association, ...]

    def to_dict(self) -> dict[str, Any]:
        """Everything, as values that JSON holds; null where a figure is not defined or infinite."""
        report: dict[str, Any] = plain(self)
        return report

    def __str__(self) -> str:
        parts = [
            f"Bias of {counted(self.clips, 'clip')} of {counted(self.subjects, 'subject')}",
            self._representation(),
        ]
        parts += [self._composition(name) for name in dict.fromkeys(item.attribute for item in self.representation)]
        return "\n\n".join([*parts, self._associations()] if self.associations else parts)

    def _representation(self) -> str:
        head = ("representation", "of", "n", "groups", "present", "ENS", "SEI", "NSD", "IR", "1/max p", "1/Σp²")
        rows = []
        for item in self.representation:
            counts = np.array(item.counts)
            numbers = (f"{counts.sum():,}", str(len(counts)), str((counts > 0).sum()))
            rows.append((item.attribute, item.unit, *numbers, *(number(value) for value in item.figures.values())))
        return text_table(head, rows)

    def _composition(self, attribute: str) -> str:
        items = [item for item in self.representation if item.attribute == attribute]
        head = (attribute, *(word for item in items for word in (item.unit, "share")))
        rows: list[tuple[str, ...]] = []
        for row, group in enumerate(items[0].groups):
            cells = ((f"{item.counts[row]:,}", percent(item.counts[row], sum(item.counts))) for item in items)
            rows.append((f"  {group}", *(word for cell in cells for word in cell)))
        if any(item.unknown for item in items):
            rows.append(("  unknown", *(word for item in items for word in (f"{item.unknown:,}", "left out"))))
        return text_table(head, rows)

    def _associations(self) -> str:
        head = ("association", "n", "V", "V by chance", "NMI", "U(label | group)", "U(group | label)", "strongest Z")
        rows = []
        for item in self.associations:
            figures = (item.cramers_v, item.cramers_v_by_chance, item.nmi)
            told = (item.label_from_attribute, item.attribute_from_label)
            clips = f"{sum(map(sum, item.counts)):,}"
            numbers = (number(value) for value in (*figures, *told))
            rows.append((f"{item.attribute}, {item.label}", clips, *numbers, item.strongest))
        return text_table(head, rows)


def bias_report(
    selection: Labeled,
    attributes: str | Sequence[Attribute] = ("apparent_gender", "apparent_race", "age_group"),
    *,
    labels: str | Sequence[str] = ("emotion",),
) -> BiasReport:
    """Bias of the clips of a selection.

    Args:
        selection: a selection, or an index for all of its clips.
        attributes: names of fields, or one; a tuple of names among them stands for their crossing.
        labels: names of the fields that the groups should say nothing about.

    A group's subjects are those with at least one clip in it. Clips whose attribute is null are counted as unknown and
    left out of the figures. All words of a field's vocabulary are groups, also those without a clip.

    Raises:
        ValueError: no clip, or no attribute.
    """
    if not len(selection):
        raise ValueError("selection holds no clip; there is nothing to report")
    if not attributes:
        raise ValueError("attributes must name at least one field")
    subject = selection.codes("subject").codes
    several = (attributes,) if isinstance(attributes, str) else attributes
    check_kind("attributes", several, Sequence, "names of fields")
    names = [as_names("attributes", each) for each in several]
    groups = dict(crossed({name: selection.codes(name) for name in parts}) for parts in names)
    representation = [item for name, codes in groups.items() for item in _represented(name, codes, subject)]
    associations = [
        Association.of(name, label, codes, selection.codes(label))
        for label in as_names("labels", labels)
        for name, codes in groups.items()
        if label not in name.split(CROSS)
    ]
    clips, subjects = len(selection), len(np.unique(subject[subject >= 0]))
    return BiasReport(clips, subjects, tuple(representation), tuple(associations))


def _represented(name: str, groups: Codes, subject: NDArray[np.int32]) -> tuple[Representation, Representation]:
    """An attribute counted in subjects and in clips."""
    size, known = len(groups.words), groups.codes >= 0
    pairs = np.unique(subject[known].astype(np.int64) * size + groups.codes[known])
    people = np.bincount(pairs % size, minlength=size)
    without = len(np.setdiff1d(subject[~known], subject[known]))
    clips = np.bincount(groups.codes[known], minlength=size)
    return (
        Representation.of(name, "subjects", groups.words, people, without),
        Representation.of(name, "clips", groups.words, clips, int((~known).sum())),
    )
