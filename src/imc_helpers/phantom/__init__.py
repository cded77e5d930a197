"""The IMC phantom: made-up tissue with its truth, imaged and annotated as the real thing is.

Nothing here is data. Tissue, images and experts come from a seed; what was fitted to real images,
and to which, stands beside each constant. Results on the phantom are to be called synthetic.

- :mod:`~imc_helpers.phantom.tissue` packs cells into a section and draws cells and nuclei;
- :mod:`~imc_helpers.phantom.markers` says what each channel shows, where and how strongly;
- :mod:`~imc_helpers.phantom.imaging` turns a tissue into ion counts;
- :mod:`~imc_helpers.phantom.origins` says from which cell the ions in any cell of any mask come;
- :mod:`~imc_helpers.phantom.true_cells` writes down what is known of each cell;
- :mod:`~imc_helpers.phantom.drawing` is how simulated experts draw: habits, doubts, slips;
- :mod:`~imc_helpers.phantom.experts` lets them label crops, train a classifier and segment;
- :mod:`~imc_helpers.phantom.recipes` puts them together in the manner of the study's five cohorts;
- :mod:`~imc_helpers.experiments.likeness` compares phantom and real images channel by channel.
"""
