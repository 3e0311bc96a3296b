"""The columns of tables on recognition: top-1, accuracy on pairs, TPR, and rank-1 in the own or a teacher's gallery."""

from __future__ import annotations

from collections.abc import Iterable

from facedistill.report.tables.fujitsu import operating_point
from facedistill.results.markdown import SEEDS, number, spread
from facedistill.results.metrics import Results
from facedistill.results.names import pair_labels

Place = tuple[str, ...]


def columns(results: Results, shared: bool) -> list[tuple[str, Place]]:
    """The title of each column, and the place of its number below a model's address.

    There is no rank-1 if it is not known who is on the photographs. This is a list and not a dict, because a user may
    give a set of pairs the title of another column.

    shared: whether student and teacher share a space, so that one can search the gallery of the other.
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
    """The numbers of the model at `address`, one for each place."""
    row = []
    for place in places:
        if place[0] == "pairs":
            row.append(spread(*(results[*address, *place[:2], key] for key in ("accuracy", "fold_std"))))
        else:
            row.append(number(results.get(*address, *place)))
    return row


def notes(results: Results, shared: bool) -> list[str]:
    """Sentences on what the columns mean.

    shared: as in `columns`.
    """
    gallery = "; the teacher's gallery is embedded by the teacher, the probes by the student" if shared else ""
    rank1 = (
        "Rank-1 is the share of photographs of unseen people whose nearest other photograph, by cosine, shows the same "
        f"person. The model's own gallery is embedded by the model itself{gallery}."
    )
    across = "Across models, the teacher embeds one photograph of each pair, and the student the other. "
    sets = f"{', '.join(pair_labels(results.layout).values())}: ± is the standard deviation over the folds, {SEEDS}."
    return [*([rank1] if results.identified else []), (across if shared else "") + sets, operating_point(results)]
