"""The report's charts as inline SVG.

Drawn by hand: colours come from the page's style sheet, so that one drawing is
right in light and dark, every mark has a title of its own, and nothing but
the page is needed to see it. Each chart is drawn for a width in pixels; the
page holds a wide and a narrow drawing and shows the one that fits.
"""
