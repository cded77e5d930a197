"""A page per sample to look at the tissue and at what its raters drew: pan, zoom, step, hover.

Pages are static files that work from a folder, without a server: a browser reads nothing but them
and, once for all of them, the scripts in ``site/`` and Leaflet, the library that pans and zooms.

`packing` makes an image small enough to lie inside a page, `pages` writes the pages, `library` the
files that they share, `links` says where a page stands and how to open it at one cell, `gallery`
shows all samples with a link to each.
"""
