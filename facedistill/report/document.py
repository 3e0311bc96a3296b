"""The documents of the report, and tables.md: tables 1 to 11, the user's own recipes, and the ranking."""

from __future__ import annotations

from collections.abc import Sequence

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
from facedistill.results.verdicts import Findings

TITLES = {
    "alignment": "Table 3. Alignment: NRMSE (%), lower is better",
    "triplet": "Table 4. Verification with the triplet loss: nearest-neighbour top-1 (%)",
    "triplet_softmax": "Table 5. Verification with triplet and softmax loss: nearest-neighbour top-1 (%)",
}
LEGEND = (
    "All numbers are in percent, except the costs. The number in brackets is the one that the paper prints, – if it "
    "prints none. The paper used other photographs and sizes, so compare orders and gaps, not levels. For recipes in "
    "italics the paper prints no numbers. W_S0 is the student trained by softmax alone; the trick of Wang et al. "
    "starts from it. “Full budget” means training at both rates, as long as that trick takes in all. Tables 1 to 5 "
    "follow Wang et al. (2018), tables 6 to 9 Fujitsu's poster on improved KD (2018), and table 10 ProxylessKD (2020)."
)
SOFT_NOTE = (
    "For soft targets from scratch at /8, the paper prints 61.27 (Table 1, targets), 64.49 (Table 1, initialisations) "
    "and 66.12 (Table 2, on CASIA-WebFace). Its text does not say why they differ. Here they are one network."
)

GROUPED = (
    "These photographs come in groups, such as the frames of a video. The nearest neighbour of a photograph is mostly "
    "from its own group, so every network looks far better here than it is at recognising a person again."
)


def documents(reading: Reading, pictures: Sequence[str]) -> dict[str, str]:
    """The texts of tables.md, claims.md and index.html, by file name.

    They follow from parameters, metrics, CLAIMS, DATASETS and TRAINED, which are all in git.

    pictures: Markdown blocks for the end of tables.md.
    Raises ParamsError or MissingResultError if anything that the parameters ask for is missing.
    """
    texts = {
        "tables.md": report(reading, reading.found, pictures),
        "claims.md": claims_document(reading),
    }
    return texts | {"index.html": page(texts, origin(reading), reading.root)}


def report(reading: Reading, found: Findings, pictures: Sequence[str]) -> str:
    """The whole of tables.md. A table without students is left out.

    found: what came out for each claim.
    pictures: as in `documents`.
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
            f"The numbers in brackets are the half of the paper's Table 2 on {NAMES[corpus]}. {SOFT_NOTE}",
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
    """Which networks were trained with several seeds, in words."""
    seeds: dict[str, list[str]] = {}
    for student in layout.students:
        seeds.setdefault(student_label(student), []).append(str(student.seed))
    several = [f"{label} with seeds {', '.join(found)}" for label, found in seeds.items() if len(found) > 1]
    if not several:
        return "Every network was trained with one seed, so no gap has a spread over seeds."
    return (
        f"Trained with several seeds: {'; '.join(several)}. Their numbers are means ± the standard deviation over "
        "seeds, marked (seeds) in columns in which ± has another meaning. The teacher and all other networks have one "
        "seed, so their gaps have no spread. The plot of accuracy against cost shows means; all other plots show the "
        "first seed of each network."
    )
