"""The columns of tables on recognition: top-1, accuracy on pairs, TPR, rank-1 in its own and a teacher's gallery."""

from __future__ import annotations

from collections.abc import Iterable

from facedistill.report.tables.fujitsu import operating_point
from facedistill.results.markdown import SEEDS, number, spread
from facedistill.results.metrics import Results
from facedistill.results.names import pair_labels

Place = tuple[str, ...]


def columns(results: Results, shared: bool) -> list[tuple[str, Place]]:
    """The title of each column and the place of its number, without rank-1 if nobody knows who is on the photographs.

    shared: whether student and teacher share a space, so that one searches the gallery of the other.
    A list, for a user may call a set of pairs as another column is called.
    """
    sets = pair_labels(results.layout)
    found: list[tuple[str, Place]] = [("Top-1", ("top1",))]
    found += [(title, ("pairs", name, "accuracy")) for name, title in sets.items()]
    found.append(("TPR", ("tpr", "all")))
    if results.identified:
        found.append(("Rank-1, own gallery", ("rank1",)))
        found += [("Rank-1, teacher's gallery", ("cross", "rank1"))] if shared else []
    return [*found, *([(f"{next(iter(sets.values()))} across models", ("cross", "accuracy"))] if shared else [])]


def line(results: Results, places: Iterable[Place], address: tuple[str, ...]) -> list[str]:
    """The numbers of a model at these places."""
    row = []
    for place in places:
        if place[0] == "pairs":
            row.append(spread(*(results[*address, *place[:2], key] for key in ("accuracy", "fold_std"))))
        else:
            row.append(number(results.get(*address, *place)))
    return row


def notes(results: Results, shared: bool) -> list[str]:
    """Sentences on what the columns are."""
    gallery = ", or by the teacher while the student embeds the probes" if shared else ""
    rank1 = (
        "Rank-1: the nearest other photograph of unseen people, by cosine, shows the same person; the gallery is "
        f"embedded by the model itself{gallery}."
    )
    across = (
        "Across models: of each pair one photograph by the teacher, the other by the student; the teacher's row is "
        "teacher against teacher. "
    )
    sets = f"{', '.join(pair_labels(results.layout).values())} ± the deviation between folds, {SEEDS}."
    return [*([rank1] if results.identified else []), (across if shared else "") + sets, operating_point(results)]
