"""Honest numbers: real files of i2compress and of the codecs people would pick instead, scored by one set of measures.

The peers, the measures and matplotlib are the optional extra i2compress[bench]; each is imported when it is first used.
"""
