"""Entropy coding in exact integers: the same bytes give the same symbols on every machine, for ever.

laplace: a finite table of quantised Laplace distributions and the range coder around it.
wavefront: which neighbours a latent sees, and in which order latents are coded.
context_model: the small network that predicts each latent's distribution: its tensors and what it reads.
context: the same in exact integers.
latents: a pyramid of integer grids as bytes.
weights: the networks' own numbers as bytes.
"""
