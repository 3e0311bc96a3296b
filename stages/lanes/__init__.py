"""`dvc repro`, several stages at a time, on this machine or on many: `python -m stages.lanes`."""
