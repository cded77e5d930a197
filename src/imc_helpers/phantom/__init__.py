"""The IMC phantom: made-up tissue with its truth, imaged and annotated as the real thing is.

Nothing here is data. Tissue, images and experts come from a seed; what was fitted to real images,
and to which, stands beside each constant. Results on the phantom are to be called synthetic.

- :mod:`~imc_helpers.phantom.tissue` packs cells into a section and draws cells and nuclei;
- :mod:`~imc_helpers.phantom.imaging` turns a tissue into ion counts;
- :mod:`~imc_helpers.phantom.annotators` simulates experts who label crops and train a classifier;
- :mod:`~imc_helpers.phantom.cohorts` puts them together in the manner of the study's five cohorts;
- :mod:`~imc_helpers.phantom.likeness` compares phantom and real images channel by channel.
"""
