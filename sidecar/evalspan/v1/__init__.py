"""Generated code of the gRPC contract `proto/evalspan/v1/evalspan.proto` (`make proto`)."""
