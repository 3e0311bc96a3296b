"""The report in Markdown: tables 1 to 5 of the main paper, 6 to 9 of the poster, 10 of ProxylessKD, ranking, claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from facedistill.agreement import cut_otherwise
from facedistill.grid.layout import TRANSFER, Layout
from facedistill.params import PARAMS_FILE
from facedistill.report.page import page
from facedistill.report.reproducibility import origin
from facedistill.report.tables import fujitsu, proxyless, wang
from facedistill.report.tables.claims import claims_document, summary
from facedistill.report.tables.custom import custom
from facedistill.report.tables.exported import exported
from facedistill.report.tables.gap_closed import leads
from facedistill.report.tables.ranking import ranking
from facedistill.results.chosen import chosen
from facedistill.results.names import student_label
from facedistill.results.provenance import NAMES
from facedistill.results.reading import Reading
from facedistill.results.verdicts import Finding

TITLES = {
    "alignment": "Table 3. Alignment: NRMSE (%), lower is better",
    "triplet": "Table 4. Verification with the triplet loss: nearest-neighbour top-1 (%)",
    "triplet_softmax": "Table 5. Verification with triplet and softmax loss: nearest-neighbour top-1 (%)",
}
LEGEND = (
    "Everything is in percent, except the costs. In brackets: the number that the paper prints, – if it prints none; "
    "its photographs and sizes are others, so compare orders and gaps, not levels. In italics: what the paper lacks. "
    "W_S0 is the student that the trick of Wang et al. starts from; “full budget” means both rates, as long as that "
    "trick takes in all. Tables 1 to 5 are of Wang et al. (2018), 6 to 9 of Fujitsu's poster on "
    "improved KD (2018), 10 of ProxylessKD (2020)."
)
SOFT_NOTE = (
    "The paper prints soft from scratch at /8 as 61.27 (Table 1, targets), 64.49 (Table 1, initialisations) and 66.12 "
    "(Table 2, on CASIA-WebFace); its text does not settle why. Here it is one network."
)

GROUPED = (
    "These photographs come in groups, such as the frames of a video, and the nearest neighbour of one is mostly of "
    "its own group: every network is far better here than at knowing a person again."
)


def documents(reading: Reading, pictures: Sequence[str]) -> dict[str, str]:
    """tables.md, claims.md and index.html by name, from parameters, metrics, CLAIMS, DATASETS and TRAINED.

    So from nothing that git lacks. pictures: Markdown blocks for the end of tables.md.
    Raises ParamsError or MissingResultError where anything that the parameters ask for is not there.
    """
    texts = {
        "tables.md": report(reading, reading.found, pictures),
        "claims.md": claims_document(reading),
    }
    return texts | {"index.html": page(texts, origin(reading), reading.root)}


def report(reading: Reading, found: Mapping[str, Finding], pictures: Sequence[str]) -> str:
    """The whole of tables.md; a table without students is left out.

    found: the verdict on each claim, by name. pictures: as in `documents`.
    """
    provenance, layout = reading.provenance, reading.layout
    heading = provenance.heading
    blocks = [f"# {heading.title}"]
    if heading.note:
        blocks.append(f"> **{heading.note.strip()}**")
    blocks += [
        *(f"**{said}.**" for said in cut_otherwise(reading.values)),
        LEGEND,
        _seeds(layout),
        summary(found),
        *filter(None, (dataset.lost for dataset in provenance.datasets.values())),
    ]
    corpus, caption = provenance.corpus, provenance.caption("classification", *layout.pairs)
    if layout.tables["table1"]:
        blocks.append("## Table 1. Classification: targets and initialisations, top-1 (%)")
        blocks += [*wang.table1(reading), provenance.caption("classification")]
    if layout.tables["table2"]:
        blocks += [
            "## Table 2. Classification: top-1 and accuracy on pairs (%)",
            *wang.table2(reading, corpus),
            provenance.caption("classification", *layout.pairs, corpus=corpus),
            f"In brackets is the half of the paper's Table 2 on {NAMES[corpus]}. {SOFT_NOTE}",
            *leads(reading),
        ]
    for task in filter(layout.transfer, TRANSFER):
        blocks += [f"## {TITLES[task]}", *wang.transfer(reading, task)]
        if task != "alignment" and provenance.of(task).grouped:
            blocks.append(GROUPED)
        blocks.append(provenance.caption(task))
    blocks += wang.selection(reading)
    if layout.tables["losses"]:
        blocks += ["## Table 6. Improved KD: losses (%)", *fujitsu.losses(reading), caption]
    if layout.tables["architectures"]:
        blocks += ["## Table 7. Improved KD: architectures (%)", *fujitsu.architectures(reading), caption]
    if layout.tables["weighting"]:
        blocks += ["## Table 8. Improved KD: teacher weighting (%)", *fujitsu.weighting(reading), caption]
    blocks += ["## Table 9. What the networks cost", *fujitsu.cost(reading)]
    if layout.tables["proxyless"] and layout.margins:
        blocks += ["## Table 10. ProxylessKD: one space for teacher and student (%)", *proxyless.table10(reading)]
        blocks.append(caption)
    for own in (custom(reading), ranking(reading)):
        blocks += [*own, caption] if own else []
    blocks += exported(chosen(layout, reading.root / PARAMS_FILE).values(), layout, reading.root)
    return "\n\n".join([*blocks, "## Plots", *pictures]) + "\n"


def _seeds(layout: Layout) -> str:
    """In words, which networks have a spread."""
    seeds: dict[str, list[str]] = {}
    for student in layout.students:
        seeds.setdefault(student_label(student), []).append(str(student.seed))
    several = [f"{label} with seeds {', '.join(found)}" for label, found in seeds.items() if len(found) > 1]
    if not several:
        return "One seed: no gap has a spread."
    return (
        f"Trained several times: {'; '.join(several)}. A mean over these has ± their standard deviation, and says "
        "(seeds) in columns where others have a ± of another kind. The teacher and all else is of one seed, whose gaps "
        "have no spread. Accuracy is plotted against cost as the mean; all other plots show each network's first seed."
    )
