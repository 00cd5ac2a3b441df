"""`python -m pipeline`: the commands."""

COMMANDS = {
    "databases": "what is known of each database; check what lies on this disk",
    "extract": "pictures of a database, folder or CSV to the cache of embeddings",
    "fit": "tune and judge heads on cached embeddings, over ten folds",
    "compare": "paired difference of two runs, with its interval",
    "evaluate": "judge a head of one database on another",
    "score": "score pictures with a run's head",
    "report": "one page of all runs: tables, plots, pictures, published numbers beside ours",
    "serve": "a local page: score, rank, few-shot scores, runs",
    "head": "share a run's head: pack it with its card, check one",
    "pretrain": "contrastive pretraining of an encoder on pictures of your own",
    "distort": "the bank of distortions, applied to a picture",
    "weights": "which encoder needs which weight file; list, verify, import, fetch",
    "cache": "what is cached, under which settings; list, verify, pack, prune",
}


def main() -> None:
    """Print what there is."""
    print("meanopinion: no-reference image quality. Each has --help with examples.\n")
    for name, summary in COMMANDS.items():
        print(f"  python -m pipeline.{name:9} {summary}")


if __name__ == "__main__":
    main()
