"""The page: components, handlers and rendering; knows nothing of torch or decoders."""
