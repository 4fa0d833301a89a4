"""The store's migrations: an ordered chain, each committed together with its record.

``versions`` holds one module a migration, named after its revision. A
migration that was released is never edited.
"""
