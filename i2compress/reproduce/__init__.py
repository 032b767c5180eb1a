"""The experiments of (Implicit)^2 (Huang, Bai and Kolter, NeurIPS 2021) as commands: implicit networks beside explicit ones.

`presets` holds every number, `signals` and `shapes` what is fitted, `train` one fit, `runs` an experiment, `cost` memory and
speed, `report` the tables, plots and JSON.
"""
