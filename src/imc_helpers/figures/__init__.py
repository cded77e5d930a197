"""Every plot of the book, one module per subject.

Figures come back as `matplotlib.figure.Figure`; `page.show` puts one on the page with its label,
caption and alt text. Colours are from Okabe and Ito's set, which colour-blind readers can tell
apart.
"""
