"""Fields: functions from coordinates to values whose network is an implicit layer, and their explicit twins.

`spec` is plain numpy: what a file must say for its field to be rebuilt. The rest is torch, for the fit and for GPUs.
"""
