"""Read the formats that IMC data comes in, and make cohorts of it.

`image_files` and `mask_files` read single files; `published` knows how the public cohorts are laid
out, `paper_cohorts` and `in_house` how the study's are, which are too large to be read whole.
"""
