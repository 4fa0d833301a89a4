"""An image without an engine: found by its name, its layers one tree, its process resolved.

=========== ==============================================================
finding     from an image's name to an archive that holds it
archives    image archives         engine   images of a Docker engine
tree        a file tree            layers   layers to one tree
user        whom to run as         command  what to run
unfit       why an image cannot become an instance
=========== ==============================================================

It is for every runtime that makes its own root file system; it knows none of them.
"""
