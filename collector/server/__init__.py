"""What the collector serves: CollectorService over gRPC, and metrics over HTTP."""
