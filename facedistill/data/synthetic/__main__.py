"""`python -m facedistill.data.synthetic sheet.png`: a contact sheet to look at."""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2

from facedistill.data.synthetic.sheet import sheet


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m facedistill.data.synthetic", description=__doc__)
    parser.add_argument("out", type=Path, metavar="OUT.png")
    parser.add_argument("--people", type=int, default=8)
    parser.add_argument("--photographs", type=int, default=12)
    parser.add_argument("--difficulty", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--landmarks", action="store_true", help="draw the five points")
    a = parser.parse_args()
    image = sheet(a.seed, a.people, a.photographs, a.difficulty, a.landmarks)
    a.out.write_bytes(cv2.imencode(".png", image[..., ::-1])[1].tobytes())


if __name__ == "__main__":
    main()
