"""Honest numbers: real files of i2compress and of the codecs people would pick instead, scored by one set of measures.

codec.py and benchmark.py say what everything is made of, image.py and audio.py fill that in; run.py, measure.py and store.py measure;
results.py, tables.py, plots.py and report.py show what was found. The peers, the measures and matplotlib are the optional extra
i2compress[bench]; each is imported when it is first used.
"""
