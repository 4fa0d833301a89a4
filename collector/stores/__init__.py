"""Where runs are kept: one module a store, one conformance suite over all."""
