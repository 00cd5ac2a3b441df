"""The cache: cache/<db>/<encoder-slug>/<key12>/ holds settings.json, shards and index.json."""
